"""Integer formats: two's complement, and plain binary."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.base import MAX_BITS, Format


@dataclass(frozen=True, kw_only=True)
class IntFormat(Format):
    """An integer format of ``bits`` bits: two's complement if ``signed``, else plain binary.

    Spelled ``4`` (signed) or ``4U`` (unsigned). Legal: 1 bit unsigned, or 2 to 16 bits. ``narrow`` promises that the
    code -2^(bits-1) never occurs, as in everything that a quantizer produces.
    """

    bits: int
    signed: bool
    narrow: bool = False
    values: Sequence[int] = field(init=False, repr=False, compare=False)
    unused: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or not 1 <= self.bits <= MAX_BITS:
            raise InputError(f"{self.bits!r} bits: a format has 1 to {MAX_BITS} bits; choose one of these")
        if self.signed and self.bits == 1:
            raise InputError("'1': a signed element needs at least 2 bits; write '1U' for an unsigned bit")
        half = 1 << (self.bits - 1)
        object.__setattr__(self, "values", range(self.narrow - half, half) if self.signed else range(2 * half))
        object.__setattr__(self, "unused", (half,) * (self.narrow and self.signed))

    @classmethod
    def parse(cls, text: str) -> "IntFormat":
        """Read ``4`` or ``4U``.

        Raises:
            InputError: If ``text`` is neither, or the bits are out of range.
        """
        match = re.fullmatch(r"(\d{1,4})(U?)", text)
        if match is None:
            raise InputError(
                f"{text!r}: an element format is a number of bits and, if unsigned, a U; write '4' or '4U'"
            )
        return cls(bits=int(match[1]), signed=not match[2])

    def __str__(self) -> str:
        return f"{self.bits}{'' if self.signed else 'U'}"

    @property
    def min(self) -> int:
        """The least value; computed from the bits, since compiled graphs cannot index a range."""
        return self.narrow - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest value."""
        return (1 << (self.bits - self.signed)) - 1

    def with_narrow(self, narrow: bool) -> "IntFormat":
        """Return the format with or without the promise; unsigned ones have no use for it."""
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
        """Return the codes' bit patterns (``bits`` bits, two's complement) as unsigned integers of the same shape."""
        return np.asarray(codes).astype(np.int64).view(np.uint64) & np.uint64((1 << self.bits) - 1)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes that the bit patterns stand for; inverse of :meth:`encode`."""
        raw = np.asarray(patterns).astype(np.int64)
        return np.where(raw > self.max, raw - (1 << self.bits), raw)

    def sample(self, rng: np.random.Generator, shape: Any) -> NDArray[np.int64]:
        """Return random values, all with the same odds."""
        values: NDArray[np.int64] = rng.integers(self.min, self.max, shape, endpoint=True)
        return values

    def _illegal(self, codes: NDArray[Any]) -> NDArray[np.bool_]:
        bad: NDArray[np.bool_] = (codes < self.min) | (codes > self.max)
        return bad

    def _rule(self) -> str:
        return f"format {self} holds {self.min} to {self.max}; clip the codes or choose a wider format"
