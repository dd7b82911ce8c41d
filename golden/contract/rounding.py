"""Rounding and saturation of integers: the one place on the golden side."""

from enum import StrEnum
from typing import Any


class Rounding(StrEnum):
    """The rounding that drops the scale product's low bits: round(p / 2^s)."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    TRUNCATE = "truncate"


def round_shift(values: Any, shift: int, mode: Rounding) -> Any:
    """Return round(values / 2^shift) for integers, in the named mode.

    Args:
        values: A Python integer, or an integer or object array of any shape; of either sign.
        shift: Bits to drop, 0 or more.
        mode: ``half_up``: ties towards +infinity, floor(x + 1/2). ``half_even``: ties to the even neighbour.
            ``truncate``: floor.
    """
    if shift == 0:
        return values
    floor = values >> shift
    if mode == Rounding.TRUNCATE:
        return floor
    rest = values - (floor << shift)
    half = 1 << (shift - 1)
    if mode == Rounding.HALF_UP:
        return floor + (rest >= half)
    return floor + ((rest > half) | ((rest == half) & ((floor & 1) == 1)))
