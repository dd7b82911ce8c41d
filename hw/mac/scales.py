"""Scales in hardware: shape and range of their bit patterns, and these as significand and exponent.

All of this follows from the formats' definitions and not from the values that the golden side lists, so that a mistake
in one does not hide in the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value, unsigned

from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Format, IntFormat, Minifloat


@dataclass(frozen=True)
class IntegerScale:
    """An unsigned integer, which is its own significand."""

    fmt: IntFormat

    zero = True
    bias = 0
    exponent_max = 0

    def shape(self) -> Shape:
        """Return the shape of a pattern."""
        return unsigned(self.fmt.bits)

    @property
    def significand_max(self) -> int:
        """Largest significand: n bits hold 0 .. 2^n - 1."""
        return (1 << self.fmt.bits) - 1

    top = significand_max  # the largest scale's

    def nan(self, pattern: Value) -> Value | None:
        """Return nothing: every pattern is a number."""
        return None

    def parts(self, m: Module, pattern: Value, name: str) -> tuple[Value | None, Value | None]:
        """Return significand and exponent, of which an integer has none."""
        return pattern, None


@dataclass(frozen=True)
class MinifloatScale:
    """Exponent e and mantissa, no sign: the significand is shifted by max(e, 1) - 1.

    Hardware takes max(e, 1) for the exponent: it is e with bit 0 set if e is 0, and takes no subtractor. The shift that
    is too far by ``bias`` then costs nothing, as its zeros are left out.
    """

    fmt: Minifloat

    zero = True
    bias = 1

    def shape(self) -> Shape:
        """Return the shape of a pattern."""
        return unsigned(self.fmt.exponent_bits + self.fmt.mantissa_bits)

    @property
    def exponent_max(self) -> int:
        """Largest max(e, 1)."""
        return (1 << self.fmt.exponent_bits) - 1

    @property
    def significand_max(self) -> int:
        """Largest significand, that of a binade without reserved patterns."""
        return (2 << self.fmt.mantissa_bits) - 1

    @property
    def top(self) -> int:
        """Significand of the largest scale: the reserved patterns are the highest of the last binade."""
        return self.significand_max - self.fmt.reserved

    def nan(self, pattern: Value) -> Value | None:
        """Return whether a pattern is infinity or NaN: one of the highest, a power of two of them."""
        reserved = self.fmt.reserved
        return pattern[reserved.bit_length() - 1 :].all() if reserved else None

    def parts(self, m: Module, pattern: Value, name: str) -> tuple[Value | None, Value | None]:
        """Return significand and exponent max(e, 1)."""
        mantissa, e = pattern[: self.fmt.mantissa_bits], pattern[self.fmt.mantissa_bits :]
        normal, odd = Signal(name=f"{name}_normal"), Signal(name=f"{name}_odd")
        m.d.comb += [normal.eq(e.any()), odd.eq(e[0] | ~normal)]
        return Cat(mantissa, normal), Cat(odd, e[1:])


@dataclass(frozen=True)
class ExponentScale:
    """An exponent, whose significand is 1; there is no zero. The highest pattern stands for no number."""

    fmt: E8M0

    zero = False
    bias = 0
    significand_max = 1
    top = 1

    def shape(self) -> Shape:
        """Return the shape of a pattern."""
        return unsigned(self.fmt.bits)

    @property
    def exponent_max(self) -> int:
        """Largest exponent."""
        return (1 << self.fmt.bits) - 2

    def nan(self, pattern: Value) -> Value | None:
        """Return whether a pattern is NaN, the highest one."""
        return pattern.all()

    def parts(self, m: Module, pattern: Value, name: str) -> tuple[Value | None, Value | None]:
        """Return no significand, and the exponent, which is the pattern."""
        return None, pattern


ScaleDecoder = IntegerScale | MinifloatScale | ExponentScale
_DECODERS: dict[type[Format], Callable[[Any], ScaleDecoder]] = {
    IntFormat: IntegerScale,
    Minifloat: MinifloatScale,
    E8M0: ExponentScale,
}


def scale_decoder(fmt: Format) -> ScaleDecoder:
    """Return the decoder of a scale format."""
    return _DECODERS[type(fmt)](fmt)
