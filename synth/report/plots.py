"""Interactive plots of the report: area against accuracy, and energy against the width of the scale product."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from vsq.synth.report.rows import Accuracy, Row, scored

_SIZE: dict[str, Any] = {"width": 720, "height": 400}

_ENERGIES = {"with memories": "energy ratio", "without memories": "logic energy ratio", "paper": "paper energy ratio"}
_FRONT, _OTHERS = "Pareto front", "other elements"
_COLOURS = ["#c8501e", "#1f6fb2"]


def area_chart(rows: Sequence[Row], accuracy: Accuracy) -> alt.LayerChart | alt.FacetChart | None:
    """Return area against score with the Pareto front; None if no element has a score."""
    points = [(name, area, scores[accuracy.metric].value) for name, area, scores in scored(rows, accuracy)]
    if not points:
        return None
    front = pareto([(area, score) for _, area, score in points])
    # No point lies above and left of the front, so that labels there cover none.
    values = [
        {"configuration": name, "area": area, "score": score}
        | ({"set": _FRONT, "label": name} if (area, score) in front else {"set": _OTHERS, "label": ""})
        for name, area, score in points
    ]
    line = [{"area": area, "score": score} for area, score in front]
    x = alt.X("area:Q", title="area to 8/8/-/-").scale(zero=False, padding=60)
    y = alt.Y("score:Q", title=accuracy.metric).scale(zero=False, padding=20)
    colour = alt.Color("set:N", title=None).scale(domain=[_FRONT, _OTHERS], range=_COLOURS)
    tooltip = [
        alt.Tooltip("configuration:N"),
        alt.Tooltip("area:Q", title="area to 8/8/-/-", format=".3f"),
        alt.Tooltip("score:Q", title=accuracy.metric, format=".4f"),
    ]
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, y=y)
    return alt.layer(
        alt.Chart(alt.InlineData(values=line)).mark_line(color=_COLOURS[0], strokeWidth=1.5).encode(x=x, y=y),
        base.mark_circle(size=90, opacity=1).encode(color=colour, tooltip=tooltip).interactive(),
        base.mark_text(align="right", dx=-7, dy=-7, fontSize=12, color="#44525f").encode(text="label:N"),
    ).properties(**_SIZE)


def energy_chart(rows: Sequence[Row]) -> alt.LayerChart | alt.FacetChart | None:
    """Return ours and the paper's energy by R; None if no formats were measured at two widths or more."""
    values = energies(rows)
    if not values:
        return None
    highlighted = alt.selection_point(fields=["formats"], bind="legend")
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("R:Q", title="width of the scale product R, bits", axis=alt.Axis(tickMinStep=1)).scale(
            zero=False, padding=20
        ),
        y=alt.Y("energy:Q", title="energy per operation to 8/8/-/-").scale(zero=False, padding=20),
        color=alt.Color("formats:N", title="formats (click to single out)"),
        opacity=alt.when(highlighted).then(alt.value(1)).otherwise(alt.value(0.15)),
    )
    kinds = list(_ENERGIES)
    tooltip = [
        alt.Tooltip("configuration:N"),
        alt.Tooltip("kind:N", title="energy"),
        alt.Tooltip("R:Q", title="R, bits"),
        alt.Tooltip("energy:Q", title="energy to 8/8/-/-", format=".3f"),
    ]
    lines = base.mark_line(strokeWidth=1.5).encode(
        strokeDash=alt.StrokeDash("kind:N", title="energy").scale(domain=kinds, range=[[1, 0], [2, 2], [8, 4]])
    )
    points = base.mark_point(filled=True, size=70).encode(
        shape=alt.Shape("kind:N", title="energy")
        .legend(symbolFillColor="#555")
        .scale(domain=kinds, range=["circle", "square", "diamond"]),
        tooltip=tooltip,
    )
    return alt.layer(lines, points.add_params(highlighted)).properties(**_SIZE)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of points (area, score), by area: no other point is as small and as good."""
    front: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def energies(rows: Sequence[Row]) -> list[dict[str, str | float]]:
    """Return ours and the paper's energies by R, of formats that were measured at two widths or more."""
    families: dict[str, list[tuple[int, Row]]] = {}
    for row in rows:
        mac = row.config.mac
        if row.values["energy ratio"] is not None and (width := mac.scale_product_bits or mac.full_product_bits):
            families.setdefault(str(mac), []).append((width, row))
    return [
        {"formats": formats, "configuration": row.name, "kind": kind, "R": width, "energy": value}
        for formats, members in families.items()
        if len({width for width, _ in members}) > 1
        for kind, figure in _ENERGIES.items()
        for width, row in sorted(members, key=lambda member: member[0])
        if (value := row.values[figure]) is not None
    ]
