"""The plot of an accuracy report: the score of each configuration with each kind of scales."""

import altair as alt

from vsq.golden.nn.evaluation.accuracy import FLOAT, KINDS, AccuracyReport


def score_chart(report: AccuracyReport) -> alt.LayerChart | alt.FacetChart:
    """Return one line a configuration and mode, a mark for each kind of scales; the float model is dashed."""
    values = [
        {
            "configuration": row.config,
            "mode": row.mode,
            "row": f"{row.config} {row.mode}",
            "scales": title,
            "score": getattr(row, kind),
            "gain": row.per_vector - row.per_channel,
        }
        for row in report.rows
        for kind, title in KINDS.items()
    ]
    title = f"{report.task}: {report.metric}"
    kinds = list(KINDS.values())
    x = alt.X("score:Q", title=title).scale(zero=False, padding=15)
    y = alt.Y("row:N", title="configuration and mode", sort=None).axis(grid=True)
    marks = (
        alt.Chart(alt.InlineData(values=values))
        .mark_point(filled=True, size=110, opacity=0.9)
        .encode(
            x=x,
            y=y,
            color=alt.Color("scales:N", title="scales").scale(domain=kinds),
            shape=alt.Shape("scales:N", title="scales").scale(domain=kinds, range=["circle", "diamond", "square"]),
            tooltip=[
                alt.Tooltip("configuration:N"),
                alt.Tooltip("mode:N"),
                alt.Tooltip("scales:N"),
                alt.Tooltip("score:Q", title=report.metric, format=".4f"),
                alt.Tooltip("gain:Q", title="per-vector over per-channel", format="+.4f"),
            ],
        )
        .interactive(bind_y=False)
    )
    line = (
        alt.Chart(alt.InlineData(values=[{"score": report.float_score, "model": FLOAT}]))
        .mark_rule(strokeDash=[6, 4], size=2)
        .encode(
            x=x,
            strokeDash=alt.StrokeDash("model:N", title=None).scale(range=[[6, 4]]),
            tooltip=[alt.Tooltip("model:N"), alt.Tooltip("score:Q", title=report.metric, format=".4f")],
        )
    )
    return alt.layer(marks, line).properties(width=640, height=alt.Step(34))
