"""Number formats of elements and scales, as objects with their own encode and decode."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError

MAX_ELEMENT_BITS = 16
MAX_SCALE_BITS = 16


@dataclass(frozen=True, kw_only=True)
class IntFormat:
    """An integer format of ``bits`` bits: two's complement if ``signed``, else plain binary.

    Spelled ``4`` (signed) or ``4U`` (unsigned). Legal: 1 bit unsigned, or 2 to 16 bits. ``narrow`` promises that the
    code -2^(bits-1) never occurs, as in everything that a quantizer produces.
    """

    bits: int
    signed: bool
    narrow: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or not 1 <= self.bits <= MAX_ELEMENT_BITS:
            raise InputError(f"{self.bits!r} bits: a format has 1 to {MAX_ELEMENT_BITS} bits; choose one of these")
        if self.signed and self.bits == 1:
            raise InputError("'1': a signed element needs at least 2 bits; write '1U' for an unsigned bit")

    @classmethod
    def parse(cls, text: str) -> "IntFormat":
        """Read ``4`` or ``4U``.

        Raises
        ------
        InputError
            If ``text`` is neither, or the bits are out of range.
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
        """The smallest code, -2^(bits-1) (one more if ``narrow``) or 0."""
        return self.narrow - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """The largest code, 2^(bits-1)-1 or 2^bits-1."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def qmax(self) -> int:
        """The largest magnitude that a quantizer produces; signed codes stay in the narrow range +-qmax."""
        return self.max

    @property
    def qmin(self) -> int:
        """The smallest code that a quantizer produces: -qmax (narrow range) or 0."""
        return -self.max if self.signed else 0

    def check(self, codes: NDArray[Any], name: str) -> None:
        """Refuse codes outside ``min .. max``, naming the first of them; ``name`` says which array it is."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iuO":
            raise InputError(f"{name}: dtype {codes.dtype} is not an integer type; convert the codes to integers first")
        bad = (codes < self.min) | (codes > self.max)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"{name}{list(where)} = {codes[where]}: format {self} holds {self.min} to {self.max}; "
                "clip the codes or choose a wider format"
            )

    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns (``bits`` bits, two's complement) as unsigned integers of the same shape."""
        return np.asarray(codes).astype(np.int64).view(np.uint64) & np.uint64((1 << self.bits) - 1)

    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes that the bit patterns stand for; inverse of :meth:`encode`."""
        raw = np.asarray(patterns).astype(np.int64)
        return np.where(raw > self.max, raw - (1 << self.bits), raw)


def scale_format(text: str) -> IntFormat | None:
    """Read a scale's bits: ``6``, or ``-`` for no per-vector scale on that side.

    Raises
    ------
    InputError
        If ``text`` is neither, or the bits are not 1 to 16.
    """
    if text == "-":
        return None
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= MAX_SCALE_BITS:
        raise InputError(
            f"{text!r}: scale bits are 1 to {MAX_SCALE_BITS}, or '-' for no per-vector scale; write '4' or '-'"
        )
    return IntFormat(bits=int(text), signed=False)
