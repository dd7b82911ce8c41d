"""Elements in hardware: shape, range and meaning of their bit patterns.

All of this follows from the formats' definitions and not from the values that the golden side lists, so that a mistake
in one does not hide in the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned

from vsq.golden.formats.elements import Format, IntFormat, Minifloat


@dataclass(frozen=True)
class Operand:
    """The number ``(-1)^negative * significand * 2^i``, with ``shifts[i]`` high.

    Args:
        significand: As signed as its shape.
        negative: One bit; None for a number without a sign of its own.
        shifts: One bit each, of which one is high; none for a number without exponent.
    """

    significand: Value
    negative: Value | None = None
    shifts: Sequence[Value] = ()

    @property
    def plain(self) -> bool:
        """Whether the significand is the number."""
        return self.negative is None and not self.shifts

    def number(self, m: Module, name: str) -> Value:
        """Return the number as one value; an unsigned significand with a sign is assumed."""
        if self.plain:
            return self.significand
        magnitude = shifted(self.significand, self.shifts)
        number = Signal(signed(len(magnitude) + 1), name=name)
        m.d.comb += number.eq(Mux(self.negative, -magnitude, magnitude))
        return number


def shifted(value: Value, shifts: Sequence[Value]) -> Value:
    """Return ``value * 2^i``, with ``shifts[i]`` high, in so many bits as the last shift needs."""
    if not shifts:
        return value
    width, sign = len(value) + len(shifts) - 1, value.shape().signed
    columns: list[list[Value]] = [[] for _ in range(width)]
    for shift, chosen in enumerate(shifts):
        for index in range(width - shift if sign else len(value)):
            columns[shift + index].append(chosen & value[min(index, len(value) - 1)])
    bits = Cat(reduce(or_, terms) for terms in columns)
    return bits.as_signed() if sign else bits


@dataclass(frozen=True)
class IntegerDecoder:
    """Integers, which stand for themselves."""

    fmt: IntFormat

    def shape(self) -> Shape:
        """Return the shape of a pattern."""
        return Shape(self.fmt.bits, self.fmt.signed)

    def range(self) -> tuple[int, int]:
        """Return the ends: n bits hold 0 .. 2^n - 1, or -2^(n-1) .. 2^(n-1) - 1, or one less if narrow."""
        half = 1 << (self.fmt.bits - 1)
        return (self.fmt.narrow - half, half - 1) if self.fmt.signed else (0, 2 * half - 1)

    def operand(self, pattern: Value) -> Operand:
        """Return the pattern as it is."""
        return Operand(pattern)


@dataclass(frozen=True)
class MinifloatDecoder:
    """Sign, exponent e and mantissa: in units of the least value, the significand is shifted by max(e, 1) - 1."""

    fmt: Minifloat

    def shape(self) -> Shape:
        """Return the shape of a pattern, which as such has no sign."""
        return unsigned(1 + self.fmt.exponent_bits + self.fmt.mantissa_bits)

    def range(self) -> tuple[int, int]:
        """Return the ends: exponents are at most 2^E - 1, hence shifts 2^E - 2, and significands 2^(M+1) - 1."""
        most = ((2 << self.fmt.mantissa_bits) - 1) << ((1 << self.fmt.exponent_bits) - 2)
        return -most, most

    def operand(self, pattern: Value) -> Operand:
        """Return sign, significand and shift."""
        split = self.fmt.mantissa_bits
        mantissa, exponent, sign = pattern[:split], pattern[split:-1], pattern[-1]
        shifts = [exponent == e for e in range(1, 1 << len(exponent))]
        shifts[0] = ~exponent[1:].any()
        return Operand(Cat(mantissa, exponent.any()), sign, shifts)


Decoder = IntegerDecoder | MinifloatDecoder
_DECODERS: dict[type[Format], Callable[[Any], Decoder]] = {IntFormat: IntegerDecoder, Minifloat: MinifloatDecoder}


def decoder(fmt: Format) -> Decoder:
    """Return the decoder of a format."""
    return _DECODERS[type(fmt)](fmt)
