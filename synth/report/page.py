"""The report of processing elements beside the paper: tables as text, a JSON document, and one self-contained page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Column, Table

from vsq.golden.io import charts
from vsq.synth.report.comparison import shown
from vsq.synth.report.layouts import Layouts
from vsq.synth.report.rows import SOURCE, Accuracy, Row, scored

_COLUMNS = {
    "lanes area ratio": "area, MACs",
    "logic area ratio": "area, logic",
    "equal bytes area ratio": "area, equal bytes",
    "area ratio": "area",
    "paper area ratio": "area, paper",
    "logic energy ratio": "energy, logic",
    "energy ratio": "energy",
    "paper energy ratio": "energy, paper",
    "energy pJ": "pJ / MAC",
    "critical path ns": "path, ns",
    "lanes critical path ns": "path of MACs, ns",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows of elements, and notes on what they are of; scores to draw area against, and layouts, if there are any."""

    rows: Sequence[Row]
    accuracies: Sequence[Accuracy]
    notes: Sequence[str]
    layouts: Sequence[Layouts] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Names and titles of the figures that any row has."""
        found = {name for row in self.rows for name, value in row.values.items() if value is not None}
        return {name: title for name, title in _COLUMNS.items() if name in found}

    def table(self) -> Table:
        """Return the figures, ours beside the paper's."""
        heads = (Column(title, justify="right") for title in self.columns.values())
        table = Table(Column("configuration", no_wrap=True), *heads, box=box.SIMPLE_HEAD, title="Processing elements")
        for row in self.rows:
            table.add_row(row.name, *(shown(row.values[name]) for name in self.columns))
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
                    "accuracy": {
                        accuracy.task: {name: asdict(score) for name, score in scores.items()}
                        for accuracy in self.accuracies
                        if (scores := accuracy.of(row.config)) is not None
                    },
                    "explanations": row.explanations,
                }
                for row in self.rows
            ],
            "layouts": [one.document() for one in self.layouts],
        }

    def html(self, about: str) -> str:
        """Return the page; ``about`` says when and with which tools. It refers to nothing outside itself.

        Plots are left out where the packages of the extra ``plot`` are missing; the tables hold their figures.
        """
        plots: dict[str, Any] = {}
        if available := charts.available():
            from vsq.synth.report.plots import area_chart, energy_chart  # they need Altair

            plots = {f"Area against accuracy, {one.title}": area_chart(self.rows, one) for one in self.accuracies}
            plots["Energy against the width of the scale product R"] = energy_chart(self.rows)
        return charts.render(
            "synth/report/report.html",
            about=about,
            source=SOURCE,
            columns=["configuration", *self.columns.values()],
            rows=[[row.name, *(shown(row.values[name]) for name in self.columns)] for row in self.rows],
            notes=[*self.notes, *([] if available else [f"Plots are left out: run {charts.INSTALL} for them."])],
            **charts.embedded({title: chart for title, chart in plots.items() if chart is not None}),
            scores=[
                (
                    f"Scores, {one.title}",
                    ["configuration", "area", *points[0][2]],
                    [
                        [name, shown(area), *(f"{score:.3f}" for score in scores.values())]
                        for name, area, scores in points
                    ],
                )
                for one in self.accuracies
                if (points := scored(self.rows, one))
            ],
            layouts=self.layouts,
            differences=[(row.name, text) for row in self.rows for text in row.explanations],
        )
