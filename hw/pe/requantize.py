"""Requantization: the output scale of a vector, the division by an integer one, and codes as vectors."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import fifo, wiring

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Minifloat
from vsq.hw.pe.encode import floor_log2, nearest_scale
from vsq.hw.pe.recurrence import divide
from vsq.hw.pe.streams import code_layout, feed, packed_layout, pipe, rescaled_layout, scaled_layout


class OutputScale(wiring.Component):
    """``sq = ceil(max_l |z[l]| / qmax)`` beside each z of the vector, or the nearest small float to that quotient.

    |z| <= qmax * sq_max, so that sq fits. Of powers of two, it is the base and floor(log2(max_l |z[l]|)), or 0.
    The z wait until their vector is complete, while those of the vector before leave.

    Latency: V + 1 cycles. Throughput: one z per cycle, without a pause between vectors.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the post-processing unit's vector maximum; ``ceil`` is ours.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(rescaled_layout(config), scaled_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size = self.config.mac.vector_size
        z, out = self.i.payload.z, self.o.payload
        # The next vector's first z arrives while the scale is taken, and its second while the first of this one leaves.
        m.submodules.waiting = waiting = fifo.SyncFIFO(width=len(z.as_value()), depth=size + 2)
        most = Signal.like(z.magnitude)
        first = Signal(init=1)
        full = Signal()
        end = Signal(reset_less=True)
        active = Signal()
        lane = Signal(range(size))
        active_end = Signal(reset_less=True)
        start = Signal()
        leaves = Signal()
        last_lane = Signal()
        m.d.comb += [
            last_lane.eq(lane == size - 1),
            leaves.eq(active & self.o.ready),
            start.eq(full & (~active | (leaves & last_lane))),
            self.i.ready.eq(waiting.w_rdy & (~full | start)),
            waiting.w_data.eq(z),
            waiting.w_en.eq(self.i.valid & self.i.ready),
            waiting.r_en.eq(leaves),
            self.o.valid.eq(active),
            out.z.eq(waiting.r_data),
            out.end.eq(active_end),
        ]
        with m.If(leaves):
            m.d.sync += lane.eq(lane + 1)
            with m.If(last_lane):
                m.d.sync += [lane.eq(0), active.eq(0)]
        chosen = self._scale(m, most)
        for name, value in chosen.items():
            held = Signal(out[name].shape(), name=f"held_{name}", reset_less=True)
            m.d.comb += out[name].eq(held)
            with m.If(start):
                m.d.sync += held.eq(value)
        with m.If(start):
            m.d.sync += [
                active.eq(1),
                full.eq(0),
                active_end.eq(end),
            ]
        with m.If(waiting.w_en):
            m.d.sync += [
                most.eq(Mux(first | (z.magnitude > most), z.magnitude, most)),
                first.eq(self.i.payload.last),
                full.eq(self.i.payload.last),
                end.eq(self.i.payload.end),
            ]
        return m

    def _scale(self, m: Module, most: Value) -> dict[str, Value]:
        """Return the scale of a vector whose largest magnitude is ``most``, and of a power of two its exponent."""
        config, qmax = self.config, self.config.mac.activation.qmax
        if isinstance(config.mac.activation_scale, Minifloat):
            return {"scale": nearest_scale(m, most, config.mac.activation_scale, qmax)}
        if config.powers:
            base = Signal.like(self.i.payload.base, reset_less=True)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += base.eq(self.i.payload.base)
            exponent = floor_log2(m, most)
            return {"scale": (base + exponent)[:8] & most.any().replicate(8), "exponent": exponent}
        return {"scale": ceil_quotient(m, most, config.z_range[1], qmax.bit_length())}


def ceil_quotient(m: Module, value: Value, most: int, bits: int) -> Value:
    """Return ceil(value / (2^bits - 1)) for values 0 .. most, by adders.

    Proof: with value = high * 2^bits + low, value = high * (2^bits - 1) + (high + low), so the quotient is high plus
    that of the smaller sum; of a value up to the divisor it is 0 or 1. The sum is largest for the largest high, or for
    one less beside the largest low.
    """
    divisor = (1 << bits) - 1
    if divisor == 1:
        return value
    if most <= divisor:
        return value.any()
    high, low = value[bits:], value[:bits]
    smaller = max((most >> bits) + (most & divisor), (most >> bits) - 1 + divisor)
    folded = Signal(smaller.bit_length(), name=f"folded_{smaller}")
    m.d.comb += folded.eq(high + low)
    return high + ceil_quotient(m, folded, smaller, bits)


class Divider(wiring.Component):
    """``code = round_half_up(z / scale)``, 0 if the scale is 0, by digit recurrence: exact for every input.

    With n = |z| + floor((scale - (z < 0)) / 2), the code's magnitude is floor(n / scale), because half up of a negative
    number is half down of its magnitude. |z| <= qmax * scale, hence n < 2^b * scale with b bits of qmax, and b steps of
    comparing with the scale and subtracting it give the quotient's bits, the highest first.

    Latency: ceil(b / 3) - 1 cycles. Throughput: one code per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(scaled_layout(config), code_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        element, z, scale = self.config.mac.activation, self.i.payload.z, self.i.payload.scale
        bits = element.qmax.bit_length()
        rest = Signal(len(scale) + bits, name="numerator")
        side = {"scale": scale, "end": self.i.payload.end}
        if element.signed:
            side["negative"] = z.negative
            m.d.comb += rest.eq(z.magnitude + scale[1:] - (z.negative & ~scale[0]))
        else:
            m.d.comb += rest.eq(z.magnitude + scale[1:])

        source, side, _, quotient = divide(m, self.i, side, rest, bits, "scale")
        feed(m, source, self.o, {"magnitude": quotient, **side})
        return m


class Packer(wiring.Component):
    """Gathers V codes, integers in two's complement, and their common scale.

    Latency: 1 cycle after the last code. Throughput: one code per cycle, without a pause if vectors are taken at once.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(code_layout(config), packed_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, code = self.config.mac.vector_size, self.i.payload
        lane = Signal(range(size))
        held = Signal(packed_layout(self.config), reset_less=True)
        signed_code: Value = code.magnitude
        if isinstance(self.config.mac.activation, Minifloat):
            signed_code = Cat(code.magnitude, code.negative)
        elif self.config.mac.activation.signed:
            bits = Cat(code.magnitude, Const(0, 1))
            signed_code = (bits ^ code.negative.replicate(len(bits))) + code.negative
        m.d.comb += [self.o.payload.eq(held), self.i.ready.eq(~self.o.valid | self.o.ready)]
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid & (lane == size - 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.vector.codes[lane].eq(signed_code), lane.eq(lane + 1)]
            with m.If(lane == size - 1):
                m.d.sync += [lane.eq(0), held.end.eq(code.end)]
                if self.config.mac.activation_scale:
                    m.d.sync += held.vector.scale.eq(code.scale)
        return m
