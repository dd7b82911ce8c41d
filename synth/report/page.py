"""The report of processing elements beside the paper: tables as text, a JSON document, and one self-contained page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich import box
from rich.table import Column, Table

from vsq.synth.report.paper import SOURCE
from vsq.synth.report.rows import Accuracy, Row
from vsq.synth.report.svg import Point, Series, plot

_COLUMNS = {
    "lanes area ratio": "area, MACs",
    "logic area ratio": "area, logic",
    "area ratio": "area",
    "paper area ratio": "area, paper",
    "logic energy ratio": "energy, logic",
    "energy ratio": "energy",
    "paper energy ratio": "energy, paper",
    "energy pJ": "pJ / MAC",
    "critical path ns": "path, ns",
    "lanes critical path ns": "path of MACs, ns",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .55rem; text-align: right; border-bottom: 1px solid #dde3ea; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
thead th { vertical-align: bottom; border-bottom: 2px solid #8695a5; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #1c2733; }
svg .grid { stroke: #dde3ea; } svg .label { font-size: 11px; fill: #44525f; }
.note { color: #44525f; }
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the report says.

    Parameters
    ----------
    rows
        One for each element.
    accuracies
        Scores to draw area against; may be empty.
    notes
        What the figures are of, and what is left out.
    """

    rows: Sequence[Row]
    accuracies: Sequence[Accuracy]
    notes: Sequence[str]

    @property
    def columns(self) -> dict[str, str]:
        """Names and titles of the figures that any row has."""
        return {
            name: title for name, title in _COLUMNS.items() if any(row.values[name] is not None for row in self.rows)
        }

    def table(self) -> Table:
        """Return the figures, ours beside the paper's."""
        heads = (Column(title, justify="right") for title in self.columns.values())
        table = Table(Column("configuration", no_wrap=True), *heads, box=box.SIMPLE_HEAD, title="Processing elements")
        for row in self.rows:
            table.add_row(row.name, *(_shown(row.values[name]) for name in self.columns))
        return table

    def sentences(self) -> list[str]:
        """Return the notes, and why each figure differs from the paper's."""
        return [*self.notes, *(f"{row.name}: {text}" for row in self.rows for text in row.explanations)]

    def document(self) -> dict[str, object]:
        """Return everything for programs; figures that nobody has are absent."""
        return {
            "paper": SOURCE,
            "notes": list(self.notes),
            "elements": [
                {
                    "configuration": row.name,
                    **{name: value for name, value in row.values.items() if value is not None},
                    "accuracy": {a.task: score for a in self.accuracies if (score := a.of(row.config)) is not None},
                    "explanations": row.explanations,
                }
                for row in self.rows
            ],
        }

    def html(self, about: str) -> str:
        """Return the page; ``about`` says when and with which tools. It refers to nothing outside itself."""
        heads = "".join(f"<th>{escape(title)}</th>" for title in self.columns.values())
        body = "\n".join(
            f"<tr><td>{escape(row.name)}</td>"
            + "".join(f"<td>{_shown(row.values[name])}</td>" for name in self.columns)
            + "</tr>"
            for row in self.rows
        )
        differences = "\n".join(
            f"<li><b>{escape(row.name)}</b>: {escape(text)}</li>" for row in self.rows for text in row.explanations
        )
        notes = "\n".join(f"<li>{escape(note)}</li>" for note in self.notes)
        figures = "\n".join(f"<h2>{escape(title)}</h2>\n{picture}" for title, picture in self._figures().items())
        return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"/><title>vsq: processing elements</title><style>{_STYLE}</style></head>
<body>
<h1>Processing elements beside the 8-bit one</h1>
<p class="note">{escape(about)} The paper is {escape(SOURCE)}.</p>
<table><thead><tr><th>configuration</th>{heads}</tr></thead>
<tbody>
{body}
</tbody></table>
<h2>What the figures are of</h2>
<ul>{notes}</ul>
{figures}
<h2>Where ours differ from the paper's</h2>
<ul>{differences}</ul>
</body>
</html>
"""

    def _figures(self) -> dict[str, str]:
        """Return the plots by title."""
        found = {}
        for accuracy in self.accuracies:
            if points := self._scores(accuracy):
                best = Series(name="none is smaller and as good", points=pareto(points), colour=1, line=True)
                rest = Series(name="elements", points=[p for p in points if p not in best.points], colour=0)
                series = [one for one in (rest, best) if one.points]
                found[f"Area against accuracy, {accuracy.title}"] = plot(series, "area to 8/8/-/-", accuracy.metric)
                found[f"Scores, {accuracy.title}"] = _score_table(points, accuracy)
        if lines := self._energy_lines():
            title = "Energy against the width of the scale product R"
            found[title] = plot(lines, "R, bits", "energy per operation to 8/8/-/-")
        return found

    def _scores(self, accuracy: Accuracy) -> list[Point]:
        points = []
        for row in self.rows:
            area, score = row.values["area ratio"], accuracy.of(row.config)
            if area is not None and score is not None:
                points.append((area, score, row.name))
        return points

    def _energy_lines(self) -> list[Series]:
        """Return ours and the paper's energy by R, of formats that were measured at two widths or more."""
        lines: list[Series] = []
        families: dict[str, list[tuple[int, Row]]] = {}
        for row in self.rows:
            mac = row.config.mac
            if row.values["energy ratio"] is not None and mac.full_product_bits:
                width = mac.scale_product_bits or mac.full_product_bits
                families.setdefault(str(mac), []).append((width, row))
        told = [(name, members) for name, members in families.items() if len({width for width, _ in members}) > 1]
        for number, (name, members) in enumerate(told):
            for figure, title, colour, dashed in (
                ("energy ratio", name, number, False),
                ("logic energy ratio", f"{name}, without memories", len(told) + number, False),
                ("paper energy ratio", f"{name}, paper", number, True),
            ):
                points = [(width, y, "") for width, row in members if (y := row.values[figure]) is not None]
                if points:
                    lines.append(Series(name=title, points=sorted(points), colour=colour, line=True, dashed=dashed))
        return lines


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points (area, score, label) for which no other is smaller and as good, by area."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best


def _score_table(points: Sequence[Point], accuracy: Accuracy) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{area:.3f}</td><td>{score:.3f}</td></tr>" for area, score, name in points
    )
    return (
        f"<table><thead><tr><th>configuration</th><th>area</th><th>{escape(accuracy.metric)}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
