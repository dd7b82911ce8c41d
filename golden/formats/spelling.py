"""The formats by their spelling in a configuration."""

import re

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.base import MAX_BITS, Format
from vsq.golden.formats.integer import IntFormat
from vsq.golden.formats.minifloat import Minifloat

# Element formats that are no integers; those stand for themselves.
NAMED: dict[str, Format] = {
    "e2m1": Minifloat(exponent_bits=2, mantissa_bits=1, bias=1),
}


def element_format(text: str) -> Format:
    """Read an element format: ``4``, ``4U``, or a name.

    Raises:
        InputError: If ``text`` is none of these, or the bits are out of range.
    """
    if text[:1].isalpha() and text not in NAMED:
        raise InputError(f"{text!r}: not one of {', '.join(NAMED)}; choose one of these, or bits as in '4' or '4U'")
    return NAMED.get(text) or IntFormat.parse(text)


def scale_format(text: str) -> IntFormat | None:
    """Read a scale's bits: ``6``, or ``-`` for no per-vector scale on that side.

    Raises:
        InputError: If ``text`` is neither, or the bits are not 1 to 16.
    """
    if text == "-":
        return None
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= MAX_BITS:
        raise InputError(f"{text!r}: scale bits are 1 to {MAX_BITS}, or '-' for no per-vector scale; write '4' or '-'")
    return IntFormat(bits=int(text), signed=False)
