"""The plot of the area benchmark, made from its records."""

from collections.abc import Iterable
from typing import Any

import altair as alt

from benchmarks.area_tables import ALTERNATIVES, BOUND, GENERATOR, figures_of
from vsq.synth.measure.records import Record

_COLOURS = ["#c8501e", "#1f6fb2", "#2b8a4b", "#7a4fb0", "#8a6d1f", "#1c2733"]


def dot_chart(records: Iterable[Record], unit: str) -> alt.FacetChart:
    """Return area per element against vector size, one panel for each pair of widths, with the bound dashed."""
    values: list[dict[str, Any]] = [
        {
            "widths": f"{bits.replace('x', ' x ')} bits",
            "V": size,
            "implementation": name,
            "area": area,
            "each": area / size,
        }
        for subject, row in figures_of(records).items()
        if subject.startswith("dot ")
        for _, bits, text in [subject.split()]
        for size in [int(text.removeprefix("V="))]
        for (name, quantity), area in row.items()
        if quantity == "area"
    ]
    names = [GENERATOR, *ALTERNATIVES, BOUND]
    highlighted = alt.selection_point(fields=["implementation"], bind="legend")
    lines = (
        alt.Chart()
        .mark_line(point=alt.OverlayMarkDef(size=50))
        .encode(
            x=alt.X("V:Q", title="vector size V, elements")
            .scale(type="log", base=2, padding=10)
            .axis(values=sorted({value["V"] for value in values})),
            y=alt.Y("each:Q", title=f"area per element, {unit}"),
            color=alt.Color("implementation:N", title="implementation (click to single out)").scale(
                domain=names, range=_COLOURS
            ),
            strokeDash=alt.condition(alt.datum.implementation == BOUND, alt.value([6, 4]), alt.value([1, 0])),
            opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.15)),
            tooltip=[
                alt.Tooltip("implementation:N"),
                alt.Tooltip("widths:N"),
                alt.Tooltip("V:Q"),
                alt.Tooltip("area:Q", title=f"area, {unit}", format=",.1f"),
                alt.Tooltip("each:Q", title=f"area per element, {unit}", format=",.2f"),
            ],
        )
        .properties(width=220, height=260)
        .add_params(highlighted)
    )
    panels = alt.Facet("widths:N", title=None)
    chart: alt.FacetChart = lines.facet(panels, data=alt.InlineData(values=values), columns=3).resolve_scale(
        y="independent"
    )
    return chart
