"""The accumulators of the vector MAC: one integer of P bits, or a window of P bits on a sum.

A window's bit 0 weighs 2^offset, where an exact accumulator's weighs 1. Each vector brings its offset, all those of a
result the same one. A product x, of d and the significand of r, with exponent k becomes the term

    t = floor(x * 2^min(k - offset, P))

in two's complement, so that negative ones are rounded down too. ``inexact``, sticky, says that a term lost bits that
were not 0. Both kinds saturate, with ``overflow``, sticky; a product of P places or more leaves the range whatever its
size, unless it is 0. While no flag is up, ``acc * 2^offset`` is the exact sum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig, Overflow

Integers = NDArray[Any]  # int64, or object holding Python integers
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class State:
    """The accumulator's state between two beats; the default is the state after reset."""

    acc: int = 0
    overflow: bool = False
    inexact: bool = False
    invalid: bool = False


@dataclass(frozen=True)
class Accumulated:
    """The accumulator after every beat, each of shape [B]."""

    acc: Integers
    overflow: Flags  # sticky since the last `first`
    direction: Integers  # of this beat's overflow: +1 above the range, -1 below it, 0 none
    inexact: Flags  # sticky since the last `first`
    invalid: Flags  # sticky likewise; acc and the other flags then say nothing


def window_terms(config: MacConfig, products: Any, places: Any) -> tuple[Any, Any]:
    """Return the terms of a window, and whether bits were lost that are not 0.

    Args:
        products: Dot products times significands, integers of :func:`term_dtype`.
        places: Exponents less offsets, an ``int64`` array that broadcasts.
    """
    most = config.acc_bits, largest(config.unshifted_range).bit_length()
    left, right = (np.clip(by, 0, end).astype(products.dtype) for by, end in zip((places, -places), most, strict=True))
    raised = products << left
    terms = raised >> right
    return terms, terms << right != raised


def term_dtype(config: MacConfig) -> type:
    """``int64`` if |acc| + |t| fits it, else ``object``; of a window, whose products are shifted by P places."""
    term = largest(config.unshifted_range) << config.acc_bits if config.window else largest(config.term_range)
    return np.int64 if (1 << (config.acc_bits - 1)) + term < 1 << 63 else object


def largest(ends: tuple[int, int]) -> int:
    """Return the largest magnitude of a range."""
    return max(-ends[0], ends[1])


def constrain(total: Any, bits: int, overflow: Overflow) -> tuple[Any, Any]:
    """Bring a Python integer, or an array of integers, into ``bits``-bit two's complement.

    Returns:
        value, direction: The values that fit, and where each came from: +1 from above the range, -1 from below it, 0
        from within.
    """
    half = 1 << (bits - 1)
    low, high = -half, half - 1
    direction = (total > high) * 1 - (total < low)
    if overflow == Overflow.WRAP:
        return ((total & (2 * half - 1)) ^ half) - half, direction
    return (np.clip(total, low, high) if isinstance(total, np.ndarray) else min(max(total, low), high)), direction


def accumulate(config: MacConfig, terms: Integers, lost: Flags, nan: Flags, first: Flags, state: State) -> Accumulated:
    """Add terms [B] one after another; ``lost`` says which ones lost bits, ``nan`` which ones are no numbers."""
    start = np.maximum.accumulate(np.where(first, np.arange(len(terms)), -1))  # the latest beat marked first
    sums = _unbounded(config, terms, start, state) or _bounded(config, terms, first, state)
    return Accumulated(*sums, _sticky(lost, start, state.inexact), _sticky(nan, start, state.invalid))


def _sticky(raised: Flags, start: Integers, before: bool) -> Flags:
    """Return a flag that stays raised until the next start."""
    latest = np.maximum.accumulate(np.where(raised, np.arange(len(raised)), -1))
    flags: Flags = (latest >= np.maximum(start, 0)) | (start < 0) & before
    return flags


def _unbounded(
    config: MacConfig, terms: Integers, start: Integers, state: State
) -> tuple[Integers, Flags, Integers] | None:
    """Return every accumulator, sticky flag and direction, computed in whole arrays; None if one overflows."""
    exact = terms.dtype != object and len(terms) * int(np.abs(terms).max(initial=0)) < 1 << 62
    sums = np.cumsum(terms if exact else terms.astype(object))
    values = sums - np.where(start < 0, -state.acc, (sums - terms)[start])
    half = 1 << (config.acc_bits - 1)
    if ((values < -half) | (values >= half)).any():
        return None
    flags = (start < 0) & state.overflow
    return values.astype(terms.dtype), flags, np.zeros(len(terms), np.int64)


def _bounded(config: MacConfig, terms: Integers, first: Flags, state: State) -> tuple[Integers, Flags, Integers]:
    """Return the same of one beat or more, computed beat by beat with overflow."""
    bits, acc, sticky = config.acc_bits, state.acc, state.overflow
    history = []
    for term, start in zip(terms.tolist(), first.tolist(), strict=True):
        acc, direction = constrain((0 if start else acc) + term, bits, config.overflow)
        sticky = direction != 0 or (sticky and not start)
        history.append((acc, sticky, direction))
    accs, stickies, directions = zip(*history, strict=True)
    return np.array(accs, terms.dtype), np.array(stickies, np.bool_), np.array(directions, np.int64)
