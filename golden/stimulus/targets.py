"""Terms that take an accumulator exactly to a chosen value, such as a limit of its range.

A term is one beat's ``t = d*r``. Extreme terms come first, then ever smaller ones: factors r that are powers of two, or
the largest one, times dot products built element by element.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.base import Format
from vsq.golden.model.scales import scale_factor


class Term(NamedTuple):
    """One beat; a side without scale has the scale 1."""

    weights: list[int]  # [V]
    activations: list[int]  # [V]
    weight_scale: int
    activation_scale: int
    first: bool = False
    last: bool = False


def limit(config: MacConfig, direction: int) -> int:
    """Return the end of the accumulator's range: 2^(P-1)-1 for direction +1, -2^(P-1) for -1."""
    half = 1 << (config.acc_bits - 1)
    return half - 1 if direction > 0 else -half


def bound(config: MacConfig, direction: int, vectors: int) -> int:
    """Return the extreme sum of so many terms in ``direction``."""
    low, high = config.term_range
    return vectors * (high if direction > 0 else low)


def length(config: MacConfig, target: int) -> int:
    """Return how many extreme terms fit ``target``, the lower bound of ``len(terms(config, target))``; 0 if none do."""
    low, high = config.term_range
    extreme = high if target > 0 else -low
    return abs(target) // extreme if extreme else 0


def terms(config: MacConfig, target: int) -> list[Term]:
    """Return terms whose sum is ``target``, which is not 0 and has the sign of some term."""
    sign_w, sign_a = (1, 1) if target > 0 else (-1, 1) if config.weight.signed else (1, -1)
    elements, factors = config.vector_size, _factors(config)
    extreme_w, extreme_a = extreme_pair(config, 1 if target > 0 else -1)
    extreme = Term([extreme_w] * elements, [extreme_a] * elements, *factors[0][1])
    found = [extreme] * length(config, target)
    left = abs(target) - len(found) * elements * abs(extreme_w * extreme_a) * factors[0][0]
    while left:
        factor, scales = next(item for item in factors if item[0] <= left)
        weights, activations = [0] * elements, [0] * elements
        for element in range(elements):
            dot = left // factor
            w = _towards(config.weight, sign_w * dot)
            a = _towards(config.activation, sign_a * (dot // abs(w))) if w else 0
            weights[element], activations[element] = w, a
            left -= factor * abs(w * a)
        found.append(Term(weights, activations, *scales))
    return found


def _towards(fmt: Format, target: int) -> int:
    """Return the value of ``fmt`` nearest to ``target`` between 0 and it."""
    if target < 0:
        return fmt.values[bisect_left(fmt.values, target)]
    return fmt.values[bisect_right(fmt.values, target) - 1]


def extreme_pair(config: MacConfig, direction: int) -> tuple[int, int]:
    """Return the codes (w, a) whose product is extreme in ``direction``."""
    pairs = [
        (w, a) for w in (config.weight.min, config.weight.max) for a in (config.activation.min, config.activation.max)
    ]
    return max(pairs, key=lambda pair: direction * pair[0] * pair[1])


def _factors(config: MacConfig) -> list[tuple[int, tuple[int, int]]]:
    """Return factors r > 0 from the largest down to 1, each with scales (sw, sa) that give it.

    r = 1 is among them if any is: with R >= 2 or no rounding, powers of two give p = 2^s; with R = 1 r is 1 at most.
    """
    sides = [
        [*(1 << bit for bit in range(fmt.bits)), fmt.max] if fmt else [1]
        for fmt in (config.weight_scale, config.activation_scale)
    ]
    pairs = [(sw, sa) for sw in sides[0] for sa in sides[1]]
    _, factors = scale_factor(config, *np.array(pairs, np.int64).T)
    found = dict(zip(factors.tolist(), pairs, strict=True))
    return sorted(((factor, scales) for factor, scales in found.items() if factor), reverse=True)
