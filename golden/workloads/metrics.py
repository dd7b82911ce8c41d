"""Scores with their standard errors: shares, means, and how near embeddings are to a reference.

The standard error of embeddings' scores is the delete-half jackknife's over the n sentences: the deviation of the score
over random halves of them, a half without the similarities to the other one. Leaving out single sentences instead gives
1.4 times the error of ``neighbours``, which jumps. Two configurations are scored on the same sentences, so that the
error of their difference is mostly below that of either.

Source of the jackknife: Shao and Wu, Ann. Statist. 17 (1989).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError

HALVES = 200


@dataclass(frozen=True)
class Score:
    """A score and its standard error; None where that is not known."""

    value: float
    error: float | None = None

    def __format__(self, spec: str) -> str:
        """Return the value, and behind ``±`` its standard error, both as ``spec`` says."""
        unsigned = spec.removeprefix("+")
        return f"{self.value:{spec}}" + ("" if self.error is None else f" ± {self.error:{unsigned}}")


Scores = Mapping[str, Score]  # by name


def read(results: Mapping[str, Any]) -> dict[str, Scores]:
    """Return scores by key and name from what JSON has in their place; raise a ValueError if it has something else."""
    try:
        return {key: {name: Score(**score) for name, score in scores.items()} for key, scores in results.items()}
    except (AttributeError, TypeError):
        raise ValueError("no scores") from None


def share(hits: int, total: int) -> Score:
    """Return p = hits/total with the binomial standard error, ``sqrt(p * (1 - p) / total)``.

    Raises:
        InputError: If ``total`` is 0.
    """
    if not total:
        raise InputError("share: got nothing to score; give at least one example")
    p = hits / total
    return Score(p, math.sqrt(p * (1 - p) / total))


def mean(values: Sequence[float] | NDArray[Any]) -> Score:
    """Return the mean with its standard error, the sample's deviation over sqrt(n); a single value has none.

    Raises:
        InputError: If there is no value.
    """
    if not len(values):
        raise InputError("mean: got nothing to score; give at least one example")
    error = None if len(values) == 1 else float(np.std(values, ddof=1) / math.sqrt(len(values)))
    return Score(float(np.mean(values)), error)


def similarity(reference: NDArray[Any], found: NDArray[Any]) -> dict[str, Score]:
    """Return how near embeddings [n, K] of n sentences, six at least, are to those of a reference.

    - ``cosine``: the mean over sentences of the cosine of both embeddings;
    - ``neighbours``: the share of sentences whose nearest of the other n - 1, by cosine, is the reference's;
    - ``Spearman``: Spearman's rank correlation between the n*(n-1)/2 cosines of pairs and the reference's.
    """
    ours, theirs = (_normalized(np.asarray(side, np.float64)) for side in (found, reference))
    near, exact = ours @ ours.T, theirs @ theirs.T
    cosines = np.sum(ours * theirs, axis=1)

    def neighbours(chosen: NDArray[Any]) -> float:
        return float(np.mean(_nearest(near, chosen) == _nearest(exact, chosen)))

    def correlation(chosen: NDArray[Any]) -> float:
        pairs = np.ix_(chosen, chosen)
        above = np.triu_indices(len(chosen), 1)
        return spearman(near[pairs][above], exact[pairs][above])

    statistics = {
        "cosine": lambda chosen: float(np.mean(cosines[chosen])),
        "neighbours": neighbours,
        "Spearman": correlation,
    }
    return {name: _jackknife(statistic, len(cosines)) for name, statistic in statistics.items()}


def spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return Spearman's rank correlation of two samples; equal values share their mean rank."""
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _jackknife(statistic: Callable[[NDArray[Any]], float], count: int) -> Score:
    """Return the statistic of ``range(count)``, with the error that random halves of it show; the seed is fixed."""
    random, kept = np.random.default_rng(0), count // 2
    halves = [statistic(random.permutation(count)[:kept]) for _ in range(HALVES)]
    return Score(statistic(np.arange(count)), math.sqrt(kept / (count - kept)) * float(np.std(halves)))


def _normalized(rows: NDArray[Any]) -> NDArray[Any]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[Any] = rows / np.where(lengths > 0, lengths, 1)
    return unit


def _nearest(similarities: NDArray[Any], chosen: NDArray[Any]) -> NDArray[Any]:
    """Return for each of the chosen the place, among them, of the one that is most similar to it."""
    others = similarities[np.ix_(chosen, chosen)]
    np.fill_diagonal(others, -np.inf)
    places: NDArray[Any] = np.argmax(others, axis=1)
    return places


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[Any] = (last - (counts - 1) / 2)[place]
    return ranks
