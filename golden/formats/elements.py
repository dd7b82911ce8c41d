"""The formats of elements, integers and small floats, and their spelling."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.format import Format as Format

MAX_BITS = 16
_MOST_COMPARED = 3  # exponent bits


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
        vars(self).update(values=values, min=values[0], max=values[-1], unused=unused, significand_bits=self.bits)

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

    def nearest(self, x: Any, xp: Any = np, out: Any = None) -> Any:
        """Return ``x`` rounded half to even and clipped."""
        return xp.clip(xp.round(x, out=out), self.qmin, self.qmax, out=out)

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

    The significand is m, and 2^mantissa_bits more if e is not 0. The unit is the least positive value. If ``signed``,
    there are two zeros, of which :meth:`encode` gives the positive one; else there is no sign bit. The highest
    ``reserved`` magnitudes stand for infinity and NaN: their patterns are promised never to occur.

    Source: OCP Microscaling Formats (MX) v1.0, section 5.3; OCP 8-bit floating point (OFP8) v1.0, section 5.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    signed: bool = True
    reserved: int = 0

    def __post_init__(self) -> None:
        magnitude_bits, fraction_bits = self.exponent_bits + self.mantissa_bits, self.bias - 1 + self.mantissa_bits
        magnitudes = self._magnitudes().tolist()
        numbers = len(magnitudes) - self.reserved
        values = (*(-value for value in magnitudes[numbers - 1 : 0 : -1] if self.signed), *magnitudes[:numbers])
        signs = (0, 1 << magnitude_bits) if self.signed else (0,)
        unused = tuple(sign | pattern for sign in signs for pattern in range(numbers, 1 << magnitude_bits))
        vars(self).update(bits=self.signed + magnitude_bits, fraction_bits=fraction_bits, values=values)
        vars(self).update(min=values[0], max=values[-1], unused=unused, significand_bits=self.mantissa_bits + 1)
        vars(self).update(nans=tuple(self.decode(np.array(unused, np.int64)).tolist()))

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def corners(self) -> list[int]:
        """The ends, 0, and of either sign the least value and the least normal one."""
        normal = 1 << self.mantissa_bits
        return sorted({*super().corners, normal, -normal if self.signed else normal})

    def split(self, values: Any) -> tuple[Any, Any]:
        """Return the significand and max(e, 1) - 1, which counts the powers of two from the second binade's on."""
        binades = range(self.significand_bits, self.significand_bits + (1 << self.exponent_bits) - 2)
        exponents = sum((values >= 1 << power) * 1 for power in binades)
        return values >> exponents, exponents

    def at_most(self, bits: int) -> "Minifloat":
        """Return a format with 2 bits of exponent: E2M1, or without sign what is left for the mantissa, 1 at least."""
        if self.signed:
            return self if self.bits <= 4 else Minifloat(exponent_bits=2, mantissa_bits=1, bias=1)
        if bits >= self.bits:
            return self
        return replace(self, exponent_bits=2, mantissa_bits=max(1, bits - 2), bias=1)

    def nearest(self, x: Any, xp: Any = np, out: Any = None) -> Any:
        """Return the nearest values by steps that double from one power of two to the next."""
        step = self._steps(xp.clip(xp.abs(x), 1 << self.mantissa_bits, self.max), xp)
        return xp.clip(xp.round(x / step) * step, self.qmin, self.qmax, out=out)

    def _steps(self, sizes: Any, xp: Any) -> Any:
        """Return 2^(floor(log2(size)) - mantissa_bits); compilers vectorize the comparisons, where these are few."""
        if self.exponent_bits > _MOST_COMPARED:
            return sizes / xp.frexp(sizes)[0] / (2 << self.mantissa_bits)
        step = xp.ones_like(sizes)
        for power in range(self.significand_bits, self.max.bit_length()):
            step = xp.where(sizes >= 1 << power, 1 << (power - self.mantissa_bits), step)
        return step

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, that of +0 for 0."""
        codes = np.asarray(codes).astype(np.int64)
        return np.asarray(np.searchsorted(self._magnitudes(), np.abs(codes)), np.uint64) | self._signs(codes < 0)

    def patterns(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns, every other zero being -0 if there is one."""
        zero = (np.asarray(codes) == 0) & self.signed
        negative = zero & (np.cumsum(zero).reshape(zero.shape) % 2 == 0)
        return self.encode(codes) | self._signs(negative)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes, 0 for either zero; a reserved pattern gives what no code is."""
        raw = np.asarray(patterns).astype(np.int64)
        place = self.exponent_bits + self.mantissa_bits
        negative = raw >> place
        codes: NDArray[np.int64] = self._magnitudes()[raw - (negative << place)] * (1 - 2 * negative)
        return codes

    def _signs(self, negative: NDArray[np.bool_]) -> NDArray[np.uint64]:
        return negative.astype(np.uint64) << np.uint64(self.exponent_bits + self.mantissa_bits)

    def _magnitudes(self) -> NDArray[np.int64]:
        """Return the values of the patterns without sign, which ascend."""
        patterns = np.arange(1 << (self.exponent_bits + self.mantissa_bits))
        doublings: NDArray[np.int64] = ((patterns >> self.mantissa_bits) - 1).clip(0)
        return (patterns - (doublings << self.mantissa_bits)) << doublings

    def _rule(self) -> str:
        numbers = f"integers of at most {self.significand_bits} significant bits from {self.min} to {self.max}"
        return f"format {self} holds {numbers}, in units of 2^-{self.fraction_bits}; quantize again"


# Element formats that are no integers; those stand for themselves.
NAMED: dict[str, Format] = {
    "e2m1": Minifloat(exponent_bits=2, mantissa_bits=1, bias=1),
    "e2m3": Minifloat(exponent_bits=2, mantissa_bits=3, bias=1),
    "e3m2": Minifloat(exponent_bits=3, mantissa_bits=2, bias=3),
    "e4m3": Minifloat(exponent_bits=4, mantissa_bits=3, bias=7, reserved=1),  # NaN
    "e5m2": Minifloat(exponent_bits=5, mantissa_bits=2, bias=15, reserved=4),  # infinity and three NaNs
}

# The numbers of e4m3 that weights in dual precision become.
E4M3_TO_224 = Minifloat(exponent_bits=4, mantissa_bits=3, bias=7, reserved=9)


def element_format(text: str) -> Format:
    """Read an element format, ``4``, ``4U``, or a name, or raise an InputError."""
    if text in NAMED:
        return NAMED[text]
    if text[:1].isalpha():
        raise InputError(f"{text!r}: not one of {', '.join(NAMED)}; choose one of these, or bits as in '4' or '4U'")
    match = re.fullmatch(r"([0-9]{1,4})(U?)", text)
    if match is None:
        raise InputError(f"{text!r}: an element format is a number of bits and, if unsigned, a U; write '4' or '4U'")
    return IntFormat(bits=int(match[1]), signed=not match[2])
