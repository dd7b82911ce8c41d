"""Functional coverage of a vector MAC: hits of every bin of every point, their sums, and what is missing.

Coverage travels as plain dictionaries, point -> bin -> hits; a point that a configuration cannot reach is absent.
"""

from collections.abc import Iterable

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.presets import PRESETS, preset
from vsq.tb.coverage import datapath, handshake
from vsq.tb.coverage.traffic import Traffic
from vsq.tb.regression.job import MAC, Job, Outcome

Hits = dict[str, dict[str, int]]

POINTS = (*datapath.POINTS, *handshake.POINTS)
CLOSING_BEATS = 2000  # random beats with which a preset closes every point
OVERFLOW = ("cp_saturation", "cp_wrap", "cp_limits", "cp_exact_bound")  # points that every random run closes
OUTCOME = "coverage"  # the name of the verdict among a job's tests

_SHOWN_BINS = 8


def hits(traffic: Traffic) -> Hits:
    """Return the hits of every bin that the traffic's configuration can reach."""
    return {
        point.name: {
            name: int(np.count_nonzero(np.atleast_1d(mask)) if np.ndim(mask) else mask) for name, mask in bins.items()
        }
        for point in POINTS
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
    open_bins = {point: {name: 0 for name, count in bins.items() if not count} for point, bins in coverage.items()}
    return {point: bins for point, bins in open_bins.items() if bins}


def closure(coverage: Hits) -> tuple[int, int]:
    """Return how many points are closed, of how many."""
    return len(coverage) - len(missing(coverage)), len(coverage)


def verdict(job: Job, coverage: Hits) -> list[Outcome]:
    """Return the outcome that a job's coverage adds to its tests.

    Every random run must close the points of :data:`OVERFLOW`, as its stimulus has runs over the accumulator's ends;
    that of a preset, of :data:`CLOSING_BEATS` or more, must close every point. Streams from a file report alone.
    """
    if job.playback or job.kind != MAC:
        return []
    reachable = hits(Traffic.of(MacConfig.parse(job.config)))
    if job.beats < CLOSING_BEATS or job.config not in {preset(name).full_name for name in PRESETS}:
        reachable, coverage = (
            {point: hit[point] for point in OVERFLOW if point in hit} for hit in (reachable, coverage)
        )
    lines = [f"{point}: {_listed(list(bins))}" for point, bins in missing(merge([reachable, coverage])).items()]
    failure = "\n".join([f"{len(lines)} of {len(reachable)} points miss bins", *lines]) if lines else ""
    return [Outcome(name=OUTCOME, seconds=0.0, failure=failure)]


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN_BINS
    return "; ".join(names[:_SHOWN_BINS]) + (f"; and {more} more" if more > 0 else "")
