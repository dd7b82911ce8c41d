"""Floating-point formats of a few bits, in which every pattern is a number: no infinity, no NaN."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.formats.base import Format


@dataclass(frozen=True, kw_only=True)
class Minifloat(Format):
    """The format of sign, exponent e and mantissa m: (-1)^sign * significand * 2^(max(e, 1) - bias - mantissa_bits).

    The significand is m, and 2^mantissa_bits more if e is not 0. The unit is the least positive value. There are two
    zeros; :meth:`encode` gives the positive one.

    Source: OCP Microscaling Formats (MX) v1.0, section 5.3.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    bits: int = field(init=False, compare=False)
    fraction_bits: int = field(init=False, compare=False)
    values: Sequence[int] = field(init=False, repr=False, compare=False)
    signed: bool = field(default=True, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", 1 + self.exponent_bits + self.mantissa_bits)
        object.__setattr__(self, "fraction_bits", self.bias - 1 + self.mantissa_bits)
        magnitudes = self._magnitudes().tolist()
        object.__setattr__(self, "values", (*(-value for value in magnitudes[:0:-1]), *magnitudes))

    def __str__(self) -> str:
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def corners(self) -> list[int]:
        """The ends, 0, and of either sign the least value and the least normal one."""
        return sorted({*super().corners, 1 << self.mantissa_bits, -1 << self.mantissa_bits})

    def nearest(self, x: Any, xp: Any = np) -> Any:
        """Return the nearest values, by steps that double from one power of two to the next."""
        size, step = xp.abs(x), xp.ones_like(x)
        for power in range(self.mantissa_bits + 1, self.mantissa_bits + (1 << self.exponent_bits) - 1):
            step = xp.where(size >= 1 << power, 1 << (power - self.mantissa_bits), step)
        return xp.clip(xp.round(x / step) * step, self.qmin, self.qmax)

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, that of +0 for 0."""
        codes = np.asarray(codes).astype(np.int64)
        patterns: NDArray[np.uint64] = np.searchsorted(self._magnitudes(), np.abs(codes)).astype(np.uint64)
        return patterns | self._signs(codes < 0)

    def patterns(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, every other zero being -0."""
        zero = np.asarray(codes) == 0
        negative = zero & (np.cumsum(zero).reshape(zero.shape) % 2 == 0)
        return self.encode(codes) | self._signs(negative)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes that the bit patterns stand for; 0 for either zero."""
        raw = np.asarray(patterns).astype(np.int64)
        sign = 1 << (self.bits - 1)
        magnitudes = self._magnitudes()[raw & (sign - 1)]
        codes: NDArray[np.int64] = np.where(raw & sign, -magnitudes, magnitudes)
        return codes

    def _signs(self, negative: NDArray[np.bool_]) -> NDArray[np.uint64]:
        return negative.astype(np.uint64) << np.uint64(self.bits - 1)

    def _magnitudes(self) -> NDArray[np.int64]:
        """Return the values of the patterns without sign, which ascend."""
        exponent, mantissa = np.divmod(np.arange(1 << (self.bits - 1)), 1 << self.mantissa_bits)
        significand = mantissa + (np.minimum(exponent, 1) << self.mantissa_bits)
        magnitudes: NDArray[np.int64] = significand << np.maximum(exponent - 1, 0)
        return magnitudes

    def _illegal(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        return np.isin(codes, self.values, invert=True)

    def _rule(self) -> str:
        listed = ", ".join(map(str, self._magnitudes().tolist()))
        return f"format {self} holds {listed} and their negatives, in units of 2^-{self.fraction_bits}; quantize again"
