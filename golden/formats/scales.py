"""The formats of per-vector scales, and their spelling: unsigned integers, floats without sign, and exponents."""

import re

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import MAX_BITS, Format, IntFormat, Minifloat

# Scale formats that are no integers; those stand for themselves.
NAMED: dict[str, Format] = {
    "ue4m3": Minifloat(exponent_bits=4, mantissa_bits=3, bias=7, signed=False, reserved=1),  # NVFP4's
    "ue5m3": Minifloat(exponent_bits=5, mantissa_bits=3, bias=15, signed=False, reserved=1),  # without a tensor scale
    "e8m0": E8M0(),  # OCP MX's
}


def scale_format(text: str) -> Format | None:
    """Read a scale format, ``6`` bits, a name, or ``-`` for no per-vector scale; or raise an InputError."""
    if text == "-":
        return None
    if text in NAMED:
        return NAMED[text]
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_BITS:
        known = f"{', '.join(NAMED)}, or '-' for no per-vector scale"
        raise InputError(f"{text!r}: scale bits are 1 to {MAX_BITS}; write these as in '4', or {known}")
    return IntFormat(bits=int(text), signed=False)


def spell_scale(fmt: Format | None) -> str:
    """Return the spelling of a scale format, as :func:`scale_format` reads it."""
    if fmt is None:
        return "-"
    return str(fmt.bits) if isinstance(fmt, IntFormat) else str(fmt)
