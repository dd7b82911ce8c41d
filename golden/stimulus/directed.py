"""Directed runs of terms through a vector MAC: accumulations whose results stand at its corners.

A term is one beat's ``t = d*r``. Those that reach a value come in descending order: extreme ones, then factors r that
are powers of two, or the largest one, times dot products built element by element.
"""

from bisect import bisect_left, bisect_right
from dataclasses import replace
from functools import cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.mac_options import DEFAULT_MAX_VECTORS
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Format, Minifloat
from vsq.golden.model.datapath import scale_parts

LONGEST = 1 << 14  # terms of a run over a limit; more would take a simulation by cocotb minutes


class Term(NamedTuple):
    """One beat; a side without scale has the scale 1."""

    weights: list[int]  # [V]
    activations: list[int]  # [V]
    weight_scale: int
    activation_scale: int
    first: bool = False
    last: bool = False
    offset: int = 0  # of a window


Run = tuple[Term, ...]


@cache
def over_limit(config: MacConfig, direction: int) -> Run:
    """Return an accumulation over one end of the accumulator's range; empty if :data:`LONGEST` terms do not get there.

    Its results are, for an accumulator of exact width, the extreme sum of ``max_vectors`` vectors, and then for all the
    limit, one beyond it, one back, and far beyond it; a next accumulation clears the overflow.
    """
    extreme = config.term_range[direction > 0]
    if not extreme or direction in unaffordable(config):
        return ()
    beyond = terms(config, direction)
    back = terms(config, -direction) if all(config.term_range) else []
    landing = terms(config, limit(config, direction))
    if (
        config.accumulator_bits is None and config.window is None
    ):  # extreme terms come first, at least ``max_vectors`` of them
        vectors = config.max_vectors or DEFAULT_MAX_VECTORS
        landing[vectors - 1] = landing[vectors - 1]._replace(last=True)
    results = [landing.pop(), *beyond, *back, *terms(config, extreme)]
    run = [*landing, *(term._replace(last=True) for term in results)]
    return (run[0]._replace(first=True), *run[1:], beyond[0]._replace(first=True, last=True))


def unaffordable(config: MacConfig) -> dict[int, int]:
    """Return the directions of overflow that more than :data:`LONGEST` extreme terms lead to, with how many.

    A direction that no term has is not among them: terms of one sign alone never leave the range at the other end.
    """
    lengths = {end: length(config, limit(config, end)) for end in (1, -1)}
    return {end: terms for end, terms in lengths.items() if terms > LONGEST}


@cache
def gated(config: MacConfig) -> Run:
    """Return pairs of an extreme term and one that a scale of 0 or a product of 1 gates; half of these clear."""
    if all(scale is None or isinstance(scale, E8M0) for scale in config.scales):  # none can be 0
        return ()
    [extreme] = terms(config, config.term_range[1])
    run: list[Term] = []
    for sw, sa in ((0, extreme.activation_scale), (extreme.weight_scale, 0), (1, 1)):
        gate = extreme._replace(weight_scale=sw, activation_scale=sa, last=True)
        run += [extreme._replace(first=True), gate, extreme._replace(first=True), gate._replace(first=True)]
    return tuple(run)


def there_and_back(rng: np.random.Generator, config: MacConfig, direction: int) -> Run:
    """Return an accumulation to a value of random size and the sign of ``direction``, and back to 0."""
    most = min(limit(config, 1), *(abs(end) for end in config.term_range))
    if not most:
        return ()
    target = direction * max(1, most >> int(rng.integers(most.bit_length())))
    start, *run, end = [*terms(config, target), *terms(config, -target)]
    return (start._replace(first=True), *run, end._replace(last=True))


def lane_by_lane(rng: np.random.Generator, config: MacConfig) -> Run:
    """Return a result for each element, of its product alone, of two nonzero ends, and the largest scales.

    A window's bit 0 weighs as much as that product's.
    """
    elements = config.vector_size
    w, a = (fmt.sample(rng, (elements, elements)) for fmt in (config.weight, config.activation))
    one_hot = rng.random(elements) < 0.5
    for codes, fmt, rows in ((w, config.weight, one_hot), (a, config.activation, ~one_hot)):
        codes[rows] = 0
        np.fill_diagonal(codes, rng.choice([end for end in (fmt.min, fmt.max) if end], elements))
    sw, sa = (fmt.max if fmt else 1 for fmt in config.scales)
    operands = zip(w.tolist(), a.tolist(), strict=True)
    offset = config.exponent_max if config.window else 0
    return tuple(Term(*codes, sw, sa, first=True, last=True, offset=offset) for codes in operands)


def limit(config: MacConfig, direction: int) -> int:
    """Return the end of the accumulator's range: 2^(P-1)-1 for direction +1, -2^(P-1) for -1."""
    half = 1 << (config.acc_bits - 1)
    return half - 1 if direction > 0 else -half


def length(config: MacConfig, target: int) -> int:
    """Return how many extreme terms fit ``target``, the lower bound of ``len(terms(config, target))``; 0 if none do."""
    extreme = config.term_range[target > 0]
    return target // extreme if extreme else 0


def terms(config: MacConfig, target: int) -> list[Term]:
    """Return terms whose sum is ``target``, which is not 0 and has the sign of some term.

    In dual precision the extreme ones are clipped.
    """
    sign_w, sign_a = (1, 1) if target > 0 else (-1, 1) if config.weight.signed else (1, -1)
    elements, (sw, sa) = config.vector_size, (fmt.max if fmt else 1 for fmt in config.scales)
    exact, extreme = _exact(config), abs(config.term_range[target > 0])
    ends = product((exact.weight.min, exact.weight.max), (config.activation.min, config.activation.max))
    w, a = max(ends, key=lambda pair: sign_w * sign_a * prod(pair))
    found = [Term([w] * elements, [a] * elements, sw, sa)] * (abs(target) // extreme)
    left, factors = abs(target) % extreme, _factors(exact)
    while left:
        factor, scales = next(item for item in factors if item[0] <= left)
        weights, activations = [0] * elements, [0] * elements
        for element in range(elements):
            dot = left // factor
            w = _towards(exact.weight, sign_w * dot)
            a = _towards(exact.activation, sign_a * (dot // abs(w))) if w else 0
            weights[element], activations[element] = w, a
            left -= factor * abs(w * a)
        found.append(Term(weights, activations, *scales))
    return found


def _exact(config: MacConfig) -> MacConfig:
    """Return the configuration of terms that are exact: itself, or that of weights which E4M3 holds times their scales.

    In dual precision these are weights within +-7 with scales that are powers of two, up to 2^14: 7 times it is 224.
    """
    if not config.dual_precision:
        return config
    powers = Minifloat(exponent_bits=4, mantissa_bits=0, bias=7, signed=False)
    return replace(config, dual_precision=False, weight_scale=powers, narrow=True)


def _towards(fmt: Format, target: int) -> int:
    """Return the value of ``fmt`` nearest to ``target`` between 0 and it."""
    if target < 0:
        return fmt.values[bisect_left(fmt.values, target)]
    return fmt.values[bisect_right(fmt.values, target) - 1]


def _scales(config: MacConfig, fmt: Format | None) -> list[int]:
    """Return scales whose products give every power of two: these, the largest, and of floats all significands."""
    if fmt is None:
        return [1]
    if isinstance(fmt, E8M0):
        return [*range(config.acc_bits), fmt.max]
    significands = [] if fmt.contiguous else [*fmt.values[1 : 1 << fmt.significand_bits]]
    return [*significands, *(1 << bit for bit in range(fmt.max.bit_length())), fmt.max]


@cache
def _factors(config: MacConfig) -> list[tuple[int, tuple[int, int]]]:
    """Return factors r > 0 from the largest down to 1, each with scales (sw, sa) that give it, at a window's offset 0.

    r = 1 is among them if any is: with R >= 2 or no rounding, powers of two give p = 2^s; with R = 1 integers give 1 at
    most, and floats give it by significands without an exponent.
    """
    pairs = list(product(*(_scales(config, fmt) for fmt in config.scales)))
    _, significands, exponents = scale_parts(config, *np.array(pairs, np.int64).T)
    factors = np.broadcast_to(significands, len(pairs)).astype(object) << exponents
    found = dict(zip(factors.tolist(), pairs, strict=True))
    return sorted(((factor, scales) for factor, scales in found.items() if factor), reverse=True)
