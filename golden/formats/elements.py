"""The formats of elements and scales: integers in some unit, the bit patterns that encode them, and their spelling."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError

MAX_BITS = 16


class Format(ABC):
    """The format of an element or a scale: a set of integers, which count units of 2^-fraction_bits.

    Everything computes with these integers, called values or codes; bit patterns are known to :meth:`encode`,
    :meth:`patterns`, :meth:`decode`, and the decoder in ``hw`` alone. 0 and 1 are values; of a signed format, so
    is the opposite of each value but perhaps the least.
    """

    bits: int  # of a pattern, 1 to 16
    fraction_bits: int = 0  # a quantizer's gamma takes up the unit
    values: Sequence[int]  # all, in ascending order
    min: int
    max: int
    signed: bool  # whether there are negative values
    unused: tuple[int, ...] = ()  # patterns that are promised never to occur

    @abstractmethod
    def __str__(self) -> str:
        """Return the spelling in a configuration."""

    @property
    def qmax(self) -> int:
        """The largest magnitude that a quantizer produces; signed codes stay in the narrow range +-qmax."""
        return self.max

    @property
    def qmin(self) -> int:
        """The least value that a quantizer produces: -qmax (narrow range) or 0."""
        return -self.max if self.signed else 0

    @property
    def contiguous(self) -> bool:
        """Whether every integer from ``min`` to ``max`` is a value."""
        return len(self.values) == self.max - self.min + 1

    @property
    def last_step(self) -> int:
        """The distance of the two largest values, which is the largest one of all neighbours."""
        return self.values[-1] - self.values[-2]

    @property
    def corners(self) -> list[int]:
        """Values at which hardware is likely to fail, ascending."""
        return sorted({self.min, self.max, *(value for value in (-1, 0, 1) if value in self.values)})

    def with_narrow(self, narrow: bool) -> "Format":
        """Return the format with or without the promise that no value lacks its opposite; itself if none ever does."""
        return self

    def at_most(self, bits: int) -> "Format":
        """Return the format of this kind in no more than so many bits; itself if there is none."""
        return self

    def unsigned(self) -> "Format":
        """Return the format of as many bits without negative values, or raise an InputError if there is none."""
        raise InputError(f"{self}: this format has no unsigned variant; choose an integer format")

    @abstractmethod
    def nearest(self, x: Any, xp: Any = np) -> Any:
        """Return the values in ``qmin .. qmax`` nearest to real ``x`` (in units), as reals; ``xp`` is NumPy or PyTorch.

        Ties go to the even one of two neighbours: to the even integer, or the even significand.
        """

    def check(self, codes: NDArray[Any], name: str) -> None:
        """Refuse what is not a value, naming the first; ``name`` says which array it is."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iuO":
            raise InputError(f"{name}: dtype {codes.dtype} is not an integer type; convert the codes to integers first")
        bad = (codes < self.min) | (codes > self.max)
        if not self.contiguous:
            bad |= np.isin(codes, self.values, invert=True)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(f"{name}{list(where)} = {codes[where]}: {self._rule()}")

    @abstractmethod
    def _rule(self) -> str:
        """Return what the values are, and how to come to them."""

    @abstractmethod
    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns as unsigned integers of the same shape."""

    def patterns(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return bit patterns as stimulus: where several stand for one value, they take turns."""
        return self.encode(codes)

    @abstractmethod
    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes that the bit patterns stand for; inverse of :meth:`encode` and :meth:`patterns`."""

    def sample(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Return random values, all with the same odds."""
        places = rng.integers(len(self.values), size=shape)
        return self.min + places if self.contiguous else np.asarray(self.values, np.int64)[places]


@dataclass(frozen=True, kw_only=True)
class IntFormat(Format):
    """The format of 2 to 16 bits in two's complement if ``signed``, else of 1 to 16 bits in plain binary.

    ``narrow`` promises that the code -2^(bits-1) never occurs, as in everything that a quantizer produces.
    """

    bits: int
    signed: bool
    narrow: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or not 1 <= self.bits <= MAX_BITS:
            raise InputError(f"{self.bits!r} bits: a format has 1 to {MAX_BITS} bits; choose one of these")
        if self.signed and self.bits == 1:
            raise InputError("'1': a signed element needs at least 2 bits; write '1U' for an unsigned bit")
        half = 1 << (self.bits - 1)
        values = range(self.narrow - half, half) if self.signed else range(2 * half)
        unused = (half,) * (self.narrow and self.signed)
        vars(self).update(values=values, min=values[0], max=values[-1], unused=unused)

    def __str__(self) -> str:
        return f"{self.bits}{'' if self.signed else 'U'}"

    def with_narrow(self, narrow: bool) -> "IntFormat":
        """Return the format with or without the assumption; unsigned ones have no use for it."""
        return replace(self, narrow=narrow and self.signed)

    def at_most(self, bits: int) -> "IntFormat":
        """Return the format in no more than so many bits."""
        return replace(self, bits=min(self.bits, bits))

    def unsigned(self) -> "IntFormat":
        """Return the unsigned format of as many bits."""
        return IntFormat(bits=self.bits, signed=False)

    def nearest(self, x: Any, xp: Any = np) -> Any:
        """Return ``x`` rounded half to even and clipped."""
        return xp.clip(xp.round(x), self.qmin, self.qmax)

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' low bits."""
        return np.asarray(codes).astype(np.int64).view(np.uint64) & np.uint64((1 << self.bits) - 1)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes, whose sign is the highest bit."""
        raw = np.asarray(patterns).astype(np.int64)
        return np.where(raw > self.max, raw - (1 << self.bits), raw)

    def _rule(self) -> str:
        return f"format {self} holds {self.min} to {self.max}; clip the codes or choose a wider format"


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
    signed = True

    def __post_init__(self) -> None:
        bits, fraction_bits = 1 + self.exponent_bits + self.mantissa_bits, self.bias - 1 + self.mantissa_bits
        magnitudes = self._magnitudes().tolist()
        values = (*(-value for value in magnitudes[:0:-1]), *magnitudes)
        vars(self).update(bits=bits, fraction_bits=fraction_bits, values=values, min=values[0], max=values[-1])

    def __str__(self) -> str:
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def corners(self) -> list[int]:
        """The ends, 0, and of either sign the least value and the least normal one."""
        return sorted({*super().corners, 1 << self.mantissa_bits, -1 << self.mantissa_bits})

    def nearest(self, x: Any, xp: Any = np) -> Any:
        """Return the nearest values by steps that double from one power of two to the next."""
        size, step = xp.abs(x), xp.ones_like(x)
        for power in range(self.mantissa_bits + 1, self.mantissa_bits + (1 << self.exponent_bits) - 1):
            step = xp.where(size >= 1 << power, 1 << (power - self.mantissa_bits), step)
        return xp.clip(xp.round(x / step) * step, self.qmin, self.qmax)

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, that of +0 for 0."""
        codes = np.asarray(codes).astype(np.int64)
        return np.asarray(np.searchsorted(self._magnitudes(), np.abs(codes)), np.uint64) | self._signs(codes < 0)

    def patterns(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, every other zero being -0."""
        zero = np.asarray(codes) == 0
        negative = zero & (np.cumsum(zero).reshape(zero.shape) % 2 == 0)
        return self.encode(codes) | self._signs(negative)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes, 0 for either zero."""
        raw = np.asarray(patterns).astype(np.int64)
        negative = raw >> (self.bits - 1)
        codes: NDArray[np.int64] = self._magnitudes()[raw - (negative << (self.bits - 1))] * (1 - 2 * negative)
        return codes

    def _signs(self, negative: NDArray[np.bool_]) -> NDArray[np.uint64]:
        return negative.astype(np.uint64) << np.uint64(self.bits - 1)

    def _magnitudes(self) -> NDArray[np.int64]:
        """Return the values of the patterns without sign, which ascend."""
        patterns = np.arange(1 << (self.exponent_bits + self.mantissa_bits))
        doublings: NDArray[np.int64] = ((patterns >> self.mantissa_bits) - 1).clip(0)
        return (patterns - (doublings << self.mantissa_bits)) << doublings

    def _rule(self) -> str:
        listed = ", ".join(map(str, self._magnitudes().tolist()))
        return f"format {self} holds {listed} and their negatives, in units of 2^-{self.fraction_bits}; quantize again"


# Element formats that are no integers; those stand for themselves.
NAMED: dict[str, Format] = {"e2m1": Minifloat(exponent_bits=2, mantissa_bits=1, bias=1)}


def element_format(text: str) -> Format:
    """Read an element format, ``4``, ``4U``, or a name, or raise an InputError."""
    if text in NAMED:
        return NAMED[text]
    if text[:1].isalpha():
        raise InputError(f"{text!r}: not one of {', '.join(NAMED)}; choose one of these, or bits as in '4' or '4U'")
    match = re.fullmatch(r"(\d{1,4})(U?)", text)
    if match is None:
        raise InputError(f"{text!r}: an element format is a number of bits and, if unsigned, a U; write '4' or '4U'")
    return IntFormat(bits=int(match[1]), signed=not match[2])


def scale_format(text: str) -> IntFormat | None:
    """Read a scale's bits, ``6``, or ``-`` for no per-vector scale on that side; or raise an InputError."""
    if text == "-":
        return None
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= MAX_BITS:
        raise InputError(f"{text!r}: scale bits are 1 to {MAX_BITS}, or '-' for no per-vector scale; write '4' or '-'")
    return IntFormat(bits=int(text), signed=False)
