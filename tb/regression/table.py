"""The report of a regression on its jobs: the columns of its table, and its coverage as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vsq.golden.io.files import write_text
from vsq.tb.coverage.points import Hits, closure, merge, missing
from vsq.tb.designs import ENVIRONMENTS
from vsq.tb.regression.job import Job, Result

Results = Sequence[tuple[Job, Result]]

COLUMNS = ("configuration", "simulator", "beats", "seconds", "MAC/s", "coverage", "seed", "result")


def cells(job: Job, result: Result) -> list[str]:
    """Return a job's entries in :data:`COLUMNS`; the beats of a processing element are commands."""
    closed, total = closure(result.coverage)
    return [
        job.config,
        job.simulator,
        str(result.counts.get("beats", 0)),
        f"{result.seconds:.1f}",
        f"{rate:,.0f}" if (rate := macs_per_second(job, result)) else "-",
        f"{closed}/{total}" if total else "-",
        str(job.seed),
        "pass" if result.passed else "FAIL",
    ]


def macs_per_second(job: Job, result: Result) -> float:
    """Return V * beats, or V * L * operands, per second of simulation, builds left out; 0 where that is unknown."""
    seconds, design = sum(outcome.seconds for outcome in result.outcomes), job.design
    if not seconds:
        return 0.0
    operands = result.counts.get("operands", result.counts.get("beats", 0))
    return design.mac.vector_size * design.lane_count * operands / seconds


def merged_coverage(results: Results) -> dict[str, Hits]:
    """Return each configuration's coverage over all its simulators, for display: every job must close on its own."""
    configs = dict.fromkeys(job.config for job, result in results if result.coverage)
    return {config: merge(result.coverage for job, result in results if job.config == config) for config in configs}


def write_coverage(results: Results, path: Path) -> None:
    """Write the hits of every job, and the closure of every job and configuration, atomically."""
    document = {
        "goals": {point.name: point.goal for kind in ENVIRONMENTS.values() for point in kind.points},
        "configurations": {config: _closure(hits) for config, hits in merged_coverage(results).items()},
        "jobs": [
            {
                "config": job.config,
                "simulator": job.simulator,
                "seed": job.seed,
                "beats": job.beats,
                **_closure(result.coverage),
                "waived": job.environment.waived(job.design),
                "hits": result.coverage,
            }
            for job, result in results
        ],
    }
    write_text(path, json.dumps(document, indent=1) + "\n")


def _closure(points: Hits) -> dict[str, Any]:
    closed, total = closure(points)
    return {
        "closed": closed,
        "total": total,
        "missing": {point: list(bins) for point, bins in missing(points).items()},
    }
