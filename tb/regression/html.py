"""The regression's report as one HTML page that needs no other file."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from vsq.golden.io.files import write_text
from vsq.tb.coverage.points import Hits, closure, missing
from vsq.tb.regression.job import kind_of
from vsq.tb.regression.table import COLUMNS, GOALS, Results, cells, merged_coverage

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2530; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .7rem; border-bottom: 1px solid #dde3ea }
th { text-align: left } td { font-variant-numeric: tabular-nums } pre { background: #f4f6f8; padding: .7rem }
pre { overflow-x: auto } .pass { color: #14713a } .FAIL, .open { color: #b3261e; font-weight: 600 }
.none { color: #8a94a0 }
"""


def write_html(results: Results, path: Path) -> None:
    """Write the table of jobs, the failures, and each configuration's coverage; ``path`` is replaced at once."""
    passed = sum(result.passed for _, result in results)
    body = [
        f"<h1>vsq regress: {passed} of {len(results)} passed</h1>",
        f"<p>{datetime.now(UTC):%Y-%m-%d %H:%M} UTC</p>",
        _table(COLUMNS, (_job_row(cells(job, result)) for job, result in results)),
        *(
            f"<h2>{escape(f'{job.config} {job.simulator}: {outcome.name}')}</h2><pre>{escape(outcome.failure)}</pre>"
            for job, result in results
            for outcome in result.outcomes
            if outcome.failure
        ),
        *_coverage(merged_coverage(results)),
    ]
    page = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>vsq regress</title>'
    write_text(path, f"{page}<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n")


def _coverage(configs: dict[str, Hits]) -> list[str]:
    """Return a table of points against configurations for each kind of design, and the bins that are missing."""
    if not configs:
        return []
    names = list(configs)
    keys = (
        f"<li>[{number}] {escape(name)}: {closure(configs[name])[0]} of {closure(configs[name])[1]} points closed</li>"
        for number, name in enumerate(names, 1)
    )
    open_bins = [
        f"<li>{escape(f'{name}, {point}: ' + '; '.join(bins))}</li>"
        for name in names
        for point, bins in missing(configs[name]).items()
    ]
    return [
        "<h2>Coverage, over all simulators of a configuration</h2>",
        "<p>Bins hit of all bins that the configuration can reach.</p>",
        f"<ul>{''.join(keys)}</ul>",
        *(_points(kind, configs) for kind in GOALS if kind in map(kind_of, names)),
        *([f"<h2>Missing bins</h2><ul>{''.join(open_bins)}</ul>"] if open_bins else []),
    ]


def _points(kind: str, configs: dict[str, Hits]) -> str:
    """Return the table of one kind of design; configurations have their numbers in the list of all."""
    mine = {number: hits for number, (name, hits) in enumerate(configs.items(), 1) if kind_of(name) == kind}
    rows = (
        f"<td>{point}</td><td>{escape(goal)}</td>" + "".join(_point_cell(hits.get(point)) for hits in mine.values())
        for point, goal in GOALS[kind].items()
    )
    return _table(["point", "goal", *(f"[{number}]" for number in mine)], rows)


def _point_cell(bins: dict[str, int] | None) -> str:
    if bins is None:
        return '<td class="none">-</td>'
    hit = sum(count > 0 for count in bins.values())
    return f'<td class="{"pass" if hit == len(bins) else "open"}">{hit}/{len(bins)}</td>'


def _job_row(entries: list[str]) -> str:
    *others, verdict = entries
    return "".join(f"<td>{escape(entry)}</td>" for entry in others) + f'<td class="{verdict}">{verdict}</td>'


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><tr>{head}</tr>\n" + "\n".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
