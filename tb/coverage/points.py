"""Functional coverage: points with their bins, hits of every bin, their sums, and what is missing.

Coverage travels as plain dictionaries, point -> bin -> hits; a point that a configuration cannot reach is absent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

Traffic = TypeVar("Traffic")
Bins = Mapping[str, Any]  # bin -> its hits, or a mask whose true entries are hits
Hits = dict[str, dict[str, int]]

_SHOWN_BINS = 8


@dataclass(frozen=True)
class Point(Generic[Traffic]):
    """A coverage point, as in the test plan, and what it shows when every bin is hit.

    ``bins`` returns those that the traffic's configuration can reach; a point does not apply to one without any.
    """

    name: str
    goal: str
    bins: Callable[[Traffic], Bins]


def hits(points: Iterable[Point[Traffic]], traffic: Traffic) -> Hits:
    """Return the hits of every bin that the traffic's configuration can reach."""
    return {
        point.name: {name: int(np.count_nonzero(mask) if np.ndim(mask) else mask) for name, mask in bins.items()}
        for point in points
        if (bins := point.bins(traffic))
    }


def merge(parts: Iterable[Hits]) -> Hits:
    """Add up hits, bin by bin."""
    total: Hits = {}
    for part in parts:
        for point, bins in part.items():
            sums = total.setdefault(point, {})
            sums.update((name, sums.get(name, 0) + count) for name, count in bins.items())
    return total


def missing(coverage: Hits) -> Hits:
    """Return the bins without a hit, of the points that have any."""
    left = {point: {name: 0 for name, count in bins.items() if not count} for point, bins in coverage.items()}
    return {point: bins for point, bins in left.items() if bins}


def closure(coverage: Hits) -> tuple[int, int]:
    """Return how many points are closed, of how many."""
    return len(coverage) - len(missing(coverage)), len(coverage)


def report(coverage: Hits) -> str:
    """Return which bins are missing, a line a point; empty if none is."""
    lines = []
    for point, bins in missing(coverage).items():
        shown, more = "; ".join(list(bins)[:_SHOWN_BINS]), len(bins) - _SHOWN_BINS
        lines.append(f"{point}: {shown}" + (f"; and {more} more" if more > 0 else ""))
    return "\n".join([f"{len(lines)} of {len(coverage)} points miss bins", *lines]) if lines else ""
