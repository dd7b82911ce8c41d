"""Elements in hardware: shape, range and meaning of their bit patterns.

All of this follows from the formats' definitions and not from the values that the golden side lists, so that a mistake
in one does not hide in the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned

from vsq.golden.formats.elements import Format, IntFormat, Minifloat
from vsq.hw.arithmetic.shift import shift_left


@dataclass(frozen=True)
class Operand:
    """The number ``(-1)^negative * significand * 2^(exponent - 1)``.

    Args:
        significand: As signed as its shape; unsigned if the number has a sign of its own.
        negative: One bit; None for a number without a sign of its own.
        exponent: From 1 to ``largest_exponent``; None for a number without exponent.
    """

    significand: Value
    negative: Value | None = None
    exponent: Value | None = None
    largest_exponent: int = 0

    @property
    def plain(self) -> bool:
        """Whether the significand is the number."""
        return self.negative is None and self.exponent is None

    def number(self, m: Module, name: str) -> Value:
        """Return the number as one value; one that is not plain has a sign and an exponent."""
        if self.negative is None or self.exponent is None:
            return self.significand
        shape = unsigned(len(self.significand) + self.largest_exponent - 1)
        magnitude = shift_left(m, self.significand, self.exponent, 1, shape, f"{name}_shifted")
        number = Signal(signed(len(magnitude) + 1), name=name)
        m.d.comb += number.eq(Mux(self.negative, -magnitude, magnitude))
        return number


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

    def nan(self, pattern: Value) -> Value | None:
        """Return nothing: every pattern is a number."""
        return None


@dataclass(frozen=True)
class MinifloatDecoder:
    """Sign, exponent e and mantissa: in units of the least value, the significand times 2^(max(e, 1) - 1)."""

    fmt: Minifloat

    def shape(self) -> Shape:
        """Return the shape of a pattern, which as such has no sign."""
        return unsigned(1 + self.fmt.exponent_bits + self.fmt.mantissa_bits)

    def range(self) -> tuple[int, int]:
        """Return the ends: the last number has the largest exponent, and of these the largest mantissa."""
        exponent, mantissa = divmod(self._last, 1 << self.fmt.mantissa_bits)
        most = ((1 << self.fmt.mantissa_bits) + mantissa) << (exponent - 1)
        return -most, most

    @property
    def _last(self) -> int:
        """The last pattern that is a number, and positive."""
        return (1 << (self.fmt.exponent_bits + self.fmt.mantissa_bits)) - 1 - self.fmt.reserved

    def nan(self, pattern: Value) -> Value | None:
        """Return whether a pattern is infinity or NaN: one of the highest, a power of two of them, of either sign."""
        reserved = self.fmt.reserved
        return pattern[reserved.bit_length() - 1 : -1].all() if reserved else None

    def operand(self, pattern: Value) -> Operand:
        """Return sign, significand and max(e, 1), which is e with bit 0 set if e is 0."""
        split = self.fmt.mantissa_bits
        mantissa, e, sign = pattern[:split], pattern[split:-1], pattern[-1]
        exponent = Cat(e[0] | ~e[1:].any(), e[1:])
        return Operand(Cat(mantissa, e.any()), sign, exponent, self._last >> split)


class Unpacked(Minifloat):
    """A float's numbers as patterns of significand, exponent and sign.

    The number is significand * 2^(exponent - 1): no leading one is needed, and no hidden one.
    """


UNPACKED = Unpacked(exponent_bits=4, mantissa_bits=3, bias=7, reserved=9)  # E4M3 up to 224


@dataclass(frozen=True)
class UnpackedDecoder(MinifloatDecoder):
    """Patterns that are an operand already."""

    def shape(self) -> Shape:
        """Return the shape of a pattern, which as such has no sign."""
        return unsigned(self.fmt.mantissa_bits + 1 + self.fmt.exponent_bits + 1)

    def operand(self, pattern: Value) -> Operand:
        """Return significand, exponent and sign."""
        split = self.fmt.mantissa_bits + 1
        return Operand(pattern[:split], pattern[-1], pattern[split:-1], self._last >> self.fmt.mantissa_bits)


Decoder = IntegerDecoder | MinifloatDecoder
_DECODERS: dict[type[Format], Callable[[Any], Decoder]] = {
    IntFormat: IntegerDecoder,
    Minifloat: MinifloatDecoder,
    Unpacked: UnpackedDecoder,
}


def decoder(fmt: Format) -> Decoder:
    """Return the decoder of a format."""
    return _DECODERS[type(fmt)](fmt)
