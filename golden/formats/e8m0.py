"""The scale format E8M0 of OCP MX: powers of two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.formats.elements import Format, Minifloat

_MANTISSA_BITS = 23  # of float32, in whose bits exponents are read and written
_LEAST = 1 << (_MANTISSA_BITS - 1)  # the bits of 2^-127, which is subnormal


@dataclass(frozen=True)
class E8M0(Format):
    """The format of an exponent alone: the code c, 0 to 254, stands for 2^(c - 127). There is no zero; 255 is NaN.

    Codes are exponents, not values: a value in units of the least one would take 255 bits. :meth:`reals` and
    :meth:`codes` convert.

    Source: OCP Microscaling Formats (MX) v1.0, section 5.4.
    """

    bits = 8
    values = range(255)
    min, max = 0, 254
    signed = False
    significand_bits = 0
    origin = 127
    unused = nans = (255,)

    def __str__(self) -> str:
        return "e8m0"

    def at_most(self, bits: int) -> Format:
        """Return a small float, whose exponent is shorter, of fewer than 8 bits; exponents alone have none."""
        return self if bits >= self.bits else Minifloat(exponent_bits=2, mantissa_bits=1, bias=1, signed=False)

    def split(self, values: Any) -> tuple[Any, Any]:
        """Return significands, which are 1, and the codes."""
        return 1, values

    def reals(self, codes: Any, xp: Any = np) -> Any:
        """Return 2^(code - 127) in float32, exact."""
        codes = xp.asarray(codes, dtype=xp.int32)
        return xp.asarray(xp.where(codes > 0, codes << _MANTISSA_BITS, _LEAST), dtype=xp.int32).view(xp.float32)

    def codes(self, reals: Any, xp: Any = np) -> Any:
        """Return the exponent's code of positive float32 values, rounded down to powers of two."""
        return self.rounded(reals, 0, xp)

    def rounded(self, reals: Any, added: int, xp: Any = np, lowered: int = 0) -> Any:
        """Return the codes of values that are not negative, rounded down after ``added`` was added to their mantissas.

        In float32, mantissas have 23 bits; what they carry counts to the exponent. The codes are those of the values
        divided by 2^lowered, clipped at the ends.
        """
        bits = xp.asarray(reals, dtype=xp.float32).view(xp.int32)
        return xp.clip(((bits + added) >> _MANTISSA_BITS) - lowered, self.min, self.max)

    def nearest(self, x: Any, xp: Any = np, out: Any = None) -> Any:
        """Return the nearest powers of two, ties upwards, as reals."""
        nearest = self.reals(self.rounded(x, _LEAST, xp), xp)
        if out is None:
            return nearest
        out[...] = nearest
        return out

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes."""
        return np.asarray(codes).astype(np.uint64)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the patterns."""
        return np.asarray(patterns).astype(np.int64)

    def _rule(self) -> str:
        return "format e8m0 holds exponents 0 to 254, for 2^-127 to 2^127; clip them"
