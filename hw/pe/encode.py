"""Block floats: the scale of an output vector, and elements rounded to the nearest quotient by it.

Roundings to small floats count the ties, of the values of neighbouring patterns, that a number is above: that is the
number's pattern. All of this follows from the formats' definitions and not from the values that the golden side lists.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Format, Minifloat
from vsq.hw.mac.scales import scale_decoder
from vsq.hw.pe.recurrence import STEPS_PER_STAGE, divide
from vsq.hw.pe.streams import code_layout, feed, pipe, scaled_layout, staged


def nearest_scale(m: Module, value: Value, fmt: Minifloat, divisor: int) -> Value:
    """Return the pattern of nearest(value / divisor), ties to the even one.

    The value is shifted right by k, until it has no more than B bits; k = 0 if it has none too many, and its pattern
    is then k * 2^mantissa_bits plus that of nearest(value / 2^k / divisor).

    Proof: if k > 0 the quotient is 2^(B-1) / divisor >= 2^mantissa_bits at least, which is normal, and so are its
    neighbours above; doubling a normal value adds 1 to its exponent.
    """
    bits = (divisor << fmt.mantissa_bits).bit_length() + 1
    rest: Value = Cat(Const(0, 1), value)  # twice the value, so that halves are whole
    sticky: Value = Const(0, 1)
    places: list[Value] = []
    for size in (1 << index for index in reversed(range(max(0, len(value) - bits).bit_length()))):
        move = Signal(name=f"scale_moves_{size}")
        m.d.comb += move.eq(rest[bits + size :].any())
        sticky = sticky | (move & rest[:size].any())
        places.insert(0, move)
        rest = Mux(move, rest[size:], rest)[: bits + size]
    patterns = 1  # as many as the largest value of B bits comes to
    while _tie(fmt, patterns - 1) * divisor < 2 << bits:
        patterns += 1
    count = ties_below(m, Cat(sticky, rest[: bits + 1]), [_tie(fmt, i) * divisor for i in range(patterns - 1)], "scale")
    pattern = Signal(scale_decoder(fmt).shape(), name="scale_pattern")
    m.d.comb += pattern.eq(Cat(Const(0, fmt.mantissa_bits), *places) + count)
    return pattern


def _tie(fmt: Minifloat, pattern: int) -> int:
    """Return twice the number halfway between the values of a pattern and of the next one."""
    return sum(_value(fmt, each) for each in (pattern, pattern + 1))


def _value(fmt: Minifloat, pattern: int) -> int:
    """Return the value of a pattern without sign, by its definition."""
    exponent, mantissa = divmod(pattern, 1 << fmt.mantissa_bits)
    return ((exponent > 0) << fmt.mantissa_bits) + mantissa << max(exponent, 1) - 1


def ties_below(m: Module, number: Value, ties: Sequence[int], name: str) -> Value:
    """Return how many of the ascending ties a number is above, or at, of those whose place is odd.

    Bit 0 of the number says whether it is more than the rest of its bits.
    """
    above = Signal(len(ties), name=f"{name}_above")
    m.d.comb += [
        bit.eq(number >= 2 * tie + 1 - place % 2) for place, (bit, tie) in enumerate(zip(above, ties, strict=True))
    ]
    count = Signal(range(len(ties) + 1), name=f"{name}_count")
    # Bits of ``above`` are 1 up to the count: its bit of weight w is 1 from an odd multiple of w to the next even one.
    for index, bit in enumerate(count):
        weight = 1 << index
        runs = [above[start - 1] for start in range(weight, len(ties) + 1, 2 * weight)]
        ends = [above[start - 1] for start in range(2 * weight, len(ties) + 1, 2 * weight)]
        m.d.comb += bit.eq(reduce(or_, (run & ~end for run, end in zip(runs, [*ends, Const(0, 1)], strict=False))))
    return count


def floor_log2(m: Module, value: Value) -> Value:
    """Return the place of the highest 1 of a value; 0 if there is none."""
    rest: Value = value
    places: list[Value] = []
    for size in (1 << index for index in reversed(range((len(value) - 1).bit_length()))):
        move = Signal(name=f"log2_moves_{size}")
        m.d.comb += move.eq(rest[size:].any())
        places.insert(0, move)
        rest = Mux(move, rest[size:], rest[:size])
    return Cat(places)


class FloatDivider(wiring.Component):
    """``code = nearest(z / scale)``, clipped, 0 if the scale is 0; ties go to the even pattern. Exact for every input.

    The scale is sig * 2^k, so that z is shifted right by k and divided by sig. Proof of the widths: the scale is the
    nearest to m / qmax, which is less than 3/2 of it (17/16 of a normal one); so 2 * |z| / scale < 3 * qmax, and the
    shifted 2 * |z| is below 3 * qmax * sig. Beside a scale of 0, 2 * |z| is at most qmax.

    Latency: 1 + ceil(b / STEPS_PER_STAGE) cycles with b bits of 3 * qmax - 1. Throughput: one code per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(scaled_layout(config), code_layout(config)))

    @staticmethod
    def latency(config: PeConfig) -> int:
        """Return its register stages."""
        return 1 + -(-_quotient_bits(config) // STEPS_PER_STAGE)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        z, scale, element = self.i.payload.z, self.i.payload.scale, self.config.mac.activation
        assert self.config.mac.activation_scale
        significand, exponent = scale_decoder(self.config.mac.activation_scale).parts(m, scale, "scale")
        assert significand is not None
        assert exponent is not None
        bits = _quotient_bits(self.config)
        # max(e, 1) is k + 1: the number that it shifts is 4 * |z|.
        rest, sticky = _shifted_right(m, Cat(Const(0, 2), z.magnitude), exponent, len(significand) + bits)
        side = {"significand": significand, "sticky": sticky, "scale": scale, "end": self.i.payload.end}
        if element.signed:
            side["negative"] = z.negative
        source = staged(m, "aligned", self.i, {**side, "rest": rest})
        held = source.payload
        source, side, rest, quotient = divide(
            m, source, {name: held[name] for name in side}, held.rest, bits, "significand"
        )
        side = {**side, "sticky": side["sticky"] | rest.any(), "quotient": quotient}
        side.pop("significand")
        source = staged(m, "divided", source, side)
        side = {name: source.payload[name] for name in side}
        _feed_codes(m, element, source, self.o, Cat(side.pop("sticky"), side.pop("quotient")), side)
        return m


class PowerDivider(wiring.Component):
    """``code = nearest(z * 2^(top - e))``, clipped, beside a scale that is a power of two; ties go to the even pattern.

    top is floor(log2 qmax) and e floor(log2 m) of the vector's largest magnitude m, so that |z| * 2^(top - e) is below
    2^(top+1).

    Latency: 1 cycle. Throughput: one code per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(scaled_layout(config), code_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        z, element = self.i.payload.z, self.config.mac.activation
        bits = element.qmax.bit_length() + 1  # of twice the number
        rest, sticky = _shifted_right(m, Cat(Const(0, bits - 1), z.magnitude), self.i.payload.exponent, bits)
        side = {"scale": self.i.payload.scale, "end": self.i.payload.end}
        if element.signed:
            side["negative"] = z.negative
        source = staged(m, "aligned", self.i, {**side, "number": Cat(sticky, rest)})
        held = source.payload
        _feed_codes(m, element, source, self.o, held.number, {name: held[name] for name in side})
        return m


def _feed_codes(m: Module, element: Format, source: Any, sink: Any, number: Value, side: dict[str, Value]) -> None:
    """Give the codes nearest to half of a number, whose bit 0 says whether it is more; 0 has no sign."""
    magnitude = _nearest(m, element, number)
    if element.signed:
        side["negative"] = side["negative"] & magnitude.any()
    feed(m, source, sink, {"magnitude": magnitude, **side})


def _nearest(m: Module, element: Format, number: Value) -> Value:
    """Return the magnitude of the code nearest to half of a number, whose bit 0 says whether it is more."""
    if isinstance(element, Minifloat):
        last = (1 << (element.exponent_bits + element.mantissa_bits)) - 1 - element.reserved
        return ties_below(m, number, [_tie(element, pattern) for pattern in range(last)], "code")
    whole = number[2:]
    rounded = Signal(len(whole) + 1, name="code_rounded")
    m.d.comb += rounded.eq(whole + (number[1] & (number[0] | whole[0])))
    most = element.qmax
    return Mux(rounded > most, most, rounded[: most.bit_length()])


def _quotient_bits(config: PeConfig) -> int:
    """Bits of twice |z| / scale, which is below 3 * qmax."""
    return (3 * config.mac.activation.qmax - 1).bit_length()


def _shifted_right(m: Module, value: Value, places: Value, bits: int) -> tuple[Value, Value]:
    """Return ``value >> places``, which has so many bits at most, and whether a 1 is lost; the largest shift first."""
    sticky: Value = Const(0, 1)
    for index, move in reversed(list(enumerate(places))):
        size = 1 << index
        sticky = sticky | (move & value[:size].any())
        value = Mux(move, value[size:], value)[: bits + size - 1]
    shifted, lost = Signal(bits, name="shifted"), Signal(name="shifted_lost")
    m.d.comb += [shifted.eq(value), lost.eq(sticky)]
    return shifted, lost
