"""Directed runs of terms through a vector MAC: accumulations whose results stand at its corners."""

from functools import cache

import numpy as np

from vsq.golden.contract.config import DEFAULT_MAX_VECTORS, MacConfig
from vsq.golden.stimulus import operands as corners
from vsq.golden.stimulus.targets import Term, bound, length, limit, terms

Run = tuple[Term, ...]

LONGEST = 1 << 14  # terms of a run over a limit; more would take a simulation by cocotb minutes


@cache
def over_limit(config: MacConfig, direction: int) -> Run:
    """Return an accumulation over one end of the accumulator's range; empty if :data:`LONGEST` terms do not get there.

    Its results are, for an accumulator of exact width, the extreme sum of ``max_vectors`` vectors, and then for all the
    limit, one beyond it, one back, and far beyond it; a next accumulation clears the overflow.
    """
    if not _extreme(config, direction) or direction in unaffordable(config):
        return ()
    beyond = terms(config, direction)
    back = terms(config, -direction) if all(config.term_range) else []
    landing = terms(config, limit(config, direction))
    if config.accumulator_bits is None:  # extreme terms come first, at least ``max_vectors`` of them
        vectors = config.max_vectors or DEFAULT_MAX_VECTORS
        landing[vectors - 1] = landing[vectors - 1]._replace(last=True)
    results = [landing.pop(), *beyond, *back, *terms(config, bound(config, direction, 1))]
    run = [*landing, *(term._replace(last=True) for term in results)]
    return (run[0]._replace(first=True), *run[1:], beyond[0]._replace(first=True, last=True))


def unaffordable(config: MacConfig) -> dict[int, int]:
    """Return the directions of overflow that more than :data:`LONGEST` extreme terms lead to, with how many.

    A direction that no term has is not among them: terms of one sign alone never leave the range at the other end.
    """
    lengths = {end: length(config, limit(config, end)) for end in (1, -1) if _extreme(config, end)}
    return {end: terms for end, terms in lengths.items() if terms > LONGEST}


def _extreme(config: MacConfig, direction: int) -> int:
    """Return the extreme term in ``direction``; 0 if no term has its sign."""
    return config.term_range[direction > 0]


@cache
def gated(config: MacConfig) -> Run:
    """Return pairs of an extreme term and one that a scale of 0 or a product of 1 gates; half of these clear."""
    if not config.weight_scale and not config.activation_scale:
        return ()
    [extreme] = terms(config, bound(config, 1, 1))
    run: list[Term] = []
    for sw, sa in ((0, extreme.activation_scale), (extreme.weight_scale, 0), (1, 1)):
        gate = extreme._replace(weight_scale=sw, activation_scale=sa, last=True)
        run += [extreme._replace(first=True), gate, extreme._replace(first=True), gate._replace(first=True)]
    return tuple(run)


def there_and_back(rng: np.random.Generator, config: MacConfig, direction: int) -> Run:
    """Return an accumulation to a value of random size and the sign of ``direction``, and back to 0."""
    most = min(abs(end) for end in config.term_range)
    if not most:
        return ()
    target = direction * max(1, most >> int(rng.integers(most.bit_length())))
    return accumulation([*terms(config, target), *terms(config, -target)])


def lane_by_lane(rng: np.random.Generator, config: MacConfig) -> Run:
    """Return a result for each element, of its product alone and the largest scales."""
    sw, sa = (fmt.max if fmt else 1 for fmt in (config.weight_scale, config.activation_scale))
    operands = zip(*(codes.tolist() for codes in corners.isolated(rng, config)), strict=True)
    return tuple(Term(weights, activations, sw, sa, first=True, last=True) for weights, activations in operands)


def accumulation(run: list[Term]) -> Run:
    """Return terms marked as one accumulation."""
    marked = [run[0]._replace(first=True), *run[1:]]
    return (*marked[:-1], marked[-1]._replace(last=True))
