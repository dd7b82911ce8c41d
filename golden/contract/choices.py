"""Choices of a configuration, and the rounding that its models share."""

from enum import StrEnum
from typing import Any


class Rounding(StrEnum):
    """The rounding that drops the scale product's low bits: round(p / 2^s)."""

    HALF_UP = "half_up"  # ties towards +infinity: floor(x + 1/2)
    HALF_EVEN = "half_even"  # ties to the even neighbour
    TRUNCATE = "truncate"  # floor


def round_shift(values: Any, shift: int, mode: Rounding) -> Any:
    """Return round(values / 2^shift) of a Python integer, or of an array of integers, of either sign."""
    floor = values >> shift
    if shift == 0 or mode == Rounding.TRUNCATE:
        return floor
    half = 1 << (shift - 1)
    least = half if mode == Rounding.HALF_UP else half + 1 - (floor & 1)
    return floor + (values - (floor << shift) >= least)


class Overflow(StrEnum):
    """The accumulator's behaviour beyond its bits: clamp (with a sticky flag), or drop the high bits."""

    SATURATE = "saturate"
    WRAP = "wrap"


class Arithmetic(StrEnum):
    """The arithmetic style of the generated hardware."""

    AUTO = "auto"  # bit heaps for standard cells, lookup tables for FPGAs
    BEHAVIOURAL = "behavioural"
    BITHEAP = "bitheap"
    CARRYSAVE = "carrysave"
    LUT = "lut"


class Target(StrEnum):
    """The technology of the hardware: standard cells, or an FPGA's lookup tables, carry chains and DSP blocks.

    On ECP5 carry chains are cells of that family, and not Verilog for all.
    """

    ASIC = "asic"
    FPGA = "fpga"
    ECP5 = "ecp5"


class Dsp(StrEnum):
    """The products of the style `lut` that are written as `*`, for an FPGA's DSP blocks."""

    NONE = "none"
    SCALES = "scales"  # sw * sa, and the dot product times its rounded value
    ALL = "all"


class Reset(StrEnum):
    """The moment at which a reset acts."""

    SYNC = "sync"  # at a clock edge
    ASYNC = "async"  # at once
    NONE = "none"  # never: registers have values at power-up


class Polarity(StrEnum):
    """The level at which a reset acts."""

    HIGH = "high"
    LOW = "low"
