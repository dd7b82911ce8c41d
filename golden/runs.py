"""Directed runs of terms through a vector MAC: accumulations whose results stand at its corners."""

from functools import cache

import numpy as np

from golden import corners
from golden.config import DEFAULT_MAX_VECTORS, MacConfig
from golden.limits import Term, bound, length, limit, terms

Run = tuple[Term, ...]

_LONGEST = 1 << 12  # terms of a run


@cache
def over_limit(config: MacConfig, direction: int) -> Run:
    """Return an accumulation over one end of a range that is narrower than exact; empty if that is out of reach.

    Its results are the limit, one beyond it, one back, and far beyond it; a next accumulation clears the overflow.
    """
    low, high = config.term_range
    target = limit(config, direction)
    if config.accumulator_bits is None or not (high if direction > 0 else low) or length(config, target) > _LONGEST:
        return ()
    beyond = terms(config, direction)
    back = terms(config, -direction) if low and high else []
    landing = terms(config, target)
    results = [landing.pop(), *beyond, *back, *terms(config, bound(config, direction, 1))]
    run = [*landing, *(term._replace(last=True) for term in results)]
    return (run[0]._replace(first=True), *run[1:], beyond[0]._replace(first=True, last=True))


@cache
def to_bound(config: MacConfig, direction: int) -> Run:
    """Return the extreme sum for which an exact accumulator is made; empty if there is none."""
    vectors = config.max_vectors or DEFAULT_MAX_VECTORS
    target = bound(config, direction, vectors)
    if config.accumulator_bits is not None or vectors > _LONGEST or not target:
        return ()
    return accumulation(terms(config, target))


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
    """Return a result for each lane, of its product alone and the largest scales."""
    sw, sa = (fmt.max if fmt else 1 for fmt in (config.weight_scale, config.activation_scale))
    operands = zip(*(codes.tolist() for codes in corners.isolated(rng, config)), strict=True)
    return tuple(Term(weights, activations, sw, sa, first=True, last=True) for weights, activations in operands)


def accumulation(run: list[Term]) -> Run:
    """Return terms marked as one accumulation."""
    marked = [run[0]._replace(first=True), *run[1:]]
    return (*marked[:-1], marked[-1]._replace(last=True))
