"""The regression's report as one HTML page that needs no other file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from vsq.golden.io.files import write_text
from vsq.golden.io.html import render
from vsq.tb.coverage.points import Hits, closure, missing
from vsq.tb.designs import ENVIRONMENTS, Environment
from vsq.tb.regression.table import COLUMNS, Results, cells, merged_coverage

Cell = str | tuple[str, str]  # a text, or a text and its class


def write_html(results: Results, path: Path) -> None:
    """Write the table of jobs, the failures, and each configuration's coverage; ``path`` is replaced at once."""
    covered = merged_coverage(results)
    kinds = {job.config: job.environment for job, _ in results}
    page = render(
        "tb/regression/report.html",
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        passed=sum(result.passed for _, result in results),
        columns=COLUMNS,
        jobs=[_marked(cells(job, result)) for job, result in results],
        failures=[
            (f"{job.config} {job.simulator}: {outcome.name}", outcome.failure)
            for job, result in results
            for outcome in result.outcomes
            if outcome.failure
        ],
        closures=[
            f"[{number}] {name}: {closed} of {total} points closed"
            for number, (name, hits) in enumerate(covered.items(), 1)
            for closed, total in [closure(hits)]
        ],
        points=[
            _points(kind, mine)
            for kind in ENVIRONMENTS.values()
            if (mine := {i: hits for i, (name, hits) in enumerate(covered.items(), 1) if kinds[name] is kind})
        ],
        missing=[
            f"{name}, {point}: {'; '.join(bins)}"
            for name, hits in covered.items()
            for point, bins in missing(hits).items()
        ],
    )
    write_text(path, page)


def _marked(entries: Sequence[str]) -> list[Cell]:
    """Return a job's cells, its verdict with the class of that name."""
    *others, verdict = entries
    return [*others, (verdict, verdict)]


def _points(kind: Environment, configs: dict[int, Hits]) -> tuple[list[Cell], list[list[Cell]]]:
    """Return heads and rows of one kind of design; configurations have their numbers in the list of all."""
    heads: list[Cell] = ["point", ("goal", "text"), *(f"[{number}]" for number in configs)]
    return heads, [
        [point.name, (point.goal, "text"), *(_bins(hits.get(point.name)) for hits in configs.values())]
        for point in kind.points
    ]


def _bins(bins: dict[str, int] | None) -> Cell:
    """Return the cell of a coverage point: hit bins of all, and whether it is closed."""
    if bins is None:
        return "-", "none"
    hit = sum(count > 0 for count in bins.values())
    return f"{hit}/{len(bins)}", "pass" if hit == len(bins) else "open"
