"""The report of accuracy against configuration: a table, and a chart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Column, Table

from vsq.golden.workloads.metrics import Scores

if TYPE_CHECKING:
    import altair

FLOAT = "fp32"
KINDS = {"per_vector": "per-vector", "float_scales": "fp32 scales", "per_channel": "per-channel"}


@dataclass(frozen=True, kw_only=True)
class AccuracyRow:
    """Scores of one configuration by full name, and of the same element formats with other scales; each by its name.

    ``float_scales`` has a float32 scale for each vector in place of integer ones; ``per_channel`` is the baseline, the
    best of several choices of one scale per output channel for weights, and one per tensor or row for inputs.
    """

    config: str
    mode: str
    per_vector: Scores
    float_scales: Scores
    per_channel: Scores
    baseline: str  # the choice that was best
    gain: Scores  # of per-vector over per-channel scales; over seeds, the mean of the differences


@dataclass(frozen=True, kw_only=True)
class AccuracyReport:
    """All scores of one task: the float model's, and the rows in the order of the request."""

    task: str
    seeds: int  # over which scores are means, if there are several
    float_scores: Scores
    rows: list[AccuracyRow]

    def table(self) -> Table:
        """Return the scores as a table, each with its standard error: over seeds, or if there is one, the metric's."""
        seeds = f", {self.seeds} seeds" if self.seeds > 1 else ""
        table = Table(
            Column("configuration", overflow="fold"),
            "mode",
            "score",
            *(Column(name, justify="right") for name in (*KINDS.values(), "gain")),
            "per-channel is",
            title=f"{self.task}{seeds}: {FLOAT} " + ", ".join(f"{n} {one:.4f}" for n, one in self.float_scores.items()),
        )
        for row in self.rows:
            heads: tuple[str, str, str] = (row.config, row.mode, row.baseline)
            for name in self.float_scores:
                scores = (f"{getattr(row, kind)[name]:.4f}" for kind in KINDS)
                table.add_row(*heads[:2], name, *scores, f"{row.gain[name]:+.4f}", heads[2])
                heads = "", "", ""
        return table

    def chart(self) -> "altair.VConcatChart":
        """Return a panel for each score, as :meth:`panel` draws it."""
        import altair as alt

        return alt.vconcat(*map(self.panel, self.float_scores))

    def panel(self, name: str) -> "altair.LayerChart | altair.FacetChart":
        """Return one line a configuration and mode, a mark for each kind of scales; the float model is dashed.

        Bars reach one standard error to either side.
        """
        import altair as alt

        values = [
            {
                "configuration": row.config,
                "mode": row.mode,
                "row": f"{row.config} {row.mode}",
                "scales": scales,
                "score": (score := getattr(row, kind)[name]).value,
                "error": score.error or 0,
                "low": score.value - (score.error or 0),
                "high": score.value + (score.error or 0),
                "gain": row.gain[name].value,
            }
            for row in self.rows
            for kind, scales in KINDS.items()
        ]
        kinds = list(KINDS.values())
        title = f"{self.task}: {name}"
        x = alt.X("score:Q", title=title).scale(zero=False, padding=15)
        y = alt.Y("row:N", title=None, sort=None).axis(grid=True)
        score = alt.Tooltip("score:Q", title=name, format=".4f")
        base = alt.Chart(alt.InlineData(values=values)).encode(
            y=y, color=alt.Color("scales:N", title="scales").scale(domain=kinds)
        )
        bars = base.mark_rule().encode(x=alt.X("low:Q", title=title), x2="high:Q")
        marks = (
            base.mark_point(filled=True, size=110, opacity=0.9)
            .encode(
                x=x,
                shape=alt.Shape("scales:N", title="scales").scale(domain=kinds, range=["circle", "diamond", "square"]),
                tooltip=[
                    *("configuration:N", "mode:N", "scales:N", score),
                    alt.Tooltip("error:Q", title="standard error", format=".4f"),
                    alt.Tooltip("gain:Q", title="per-vector over per-channel", format="+.4f"),
                ],
            )
            .interactive(name=f"zoom{[*self.float_scores].index(name)}", bind_y=False)
        )
        line = (
            alt.Chart(alt.InlineData(values=[{"score": self.float_scores[name].value, "model": FLOAT}]))
            .mark_rule(strokeDash=[6, 4], size=2)
            .encode(
                x=x, strokeDash=alt.StrokeDash("model:N", title=None).scale(range=[[6, 4]]), tooltip=["model:N", score]
            )
        )
        return alt.layer(bars, marks, line).properties(width=640, height=alt.Step(34))
