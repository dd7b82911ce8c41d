"""Pictures of the paper's space."""

from collections.abc import Callable

import altair as alt

from benchmarks.findings_table import GAMMAS, ROUNDED, Table, front, points, prices
from vsq.synth.report.rows import POINTS

_LEAST = 0.8  # score that is drawn


def rows_of(table: Table) -> list[dict[str, object]]:
    """Return the points of both gammas that are drawn: full products, and what else is on a front."""
    found = []
    for gamma in GAMMAS:
        mine = points(table, gamma)
        best = {one.config for one in front(mine.values())}
        for one in mine.values():
            if one.score < _LEAST or (":" in one.config and one.config not in best):
                continue
            kind = "on the front" if one.config in best else "paper's point" if one.config in POINTS else "other"
            label = one.config if kind != "other" else ""
            found.append({**one._asdict(), "gamma": f"{gamma} gamma", "kind": kind, "label": label})
    return found


def fronts(table: Table) -> alt.FacetChart:
    """Return scores against areas, the fronts and the paper's points named."""
    x = alt.X("area:Q", title="area of the vector MAC, to 8/8/-/-").scale(zero=False, padding=10)
    y = alt.Y("score:Q", title="MiniLM, cosine to float").scale(domain=[_LEAST, 1.0])
    kinds, colours = ["on the front", "paper's point", "other"], ["#c8501e", "#1f6fb2", "#b8c0c8"]
    base = alt.Chart().encode(x=x, y=y)
    colour = alt.Color("kind:N", title=None, sort=kinds).scale(domain=kinds, range=colours)
    others = (
        base.transform_filter("datum.kind === 'other'")
        .mark_point(size=12, filled=True, opacity=0.5)
        .encode(color=colour)
    )
    named = base.transform_filter("datum.kind !== 'other'").mark_point(size=45, filled=True).encode(color=colour)
    line = (
        base.transform_filter("datum.kind === 'on the front'")
        .mark_line(interpolate="step-after", color=colours[0])
        .encode(order="area:Q")
    )
    few = named.transform_filter("indexof(datum.label, ':') < 0")  # those with R are too many to be named
    text = few.mark_text(align="left", dx=5, dy=8, fontSize=9).encode(text="label:N")
    layers = alt.layer(others, line, named, text).properties(width=560, height=420)
    chart: alt.FacetChart = layers.facet(
        alt.Facet("gamma:N", title=None), data=alt.InlineData(values=rows_of(table)), columns=1
    )
    return chart


def rounding(table: Table) -> alt.FacetChart:
    """Return what rounded products cost, a mark a configuration."""
    values = [
        {"gamma": f"{gamma} gamma", "R": f"R = {bits}", "W": config.split("/")[0], "price": max(price, 1e-4)}
        for gamma in GAMMAS
        for bits in ROUNDED
        for config, price in prices(table, gamma, bits).items()
    ]
    marks = (
        alt.Chart()
        .mark_tick(thickness=1.5)
        .encode(
            x=alt.X("price:Q", title="cosine lost to full products (at least 1e-4)").scale(type="log"),
            y=alt.Y("R:N", title=None, sort=["R = 8", "R = 6", "R = 4"]),
            color=alt.Color("W:N", title="weight bits"),
        )
    )
    chart: alt.FacetChart = marks.properties(width=560, height=110).facet(
        alt.Facet("gamma:N", title=None), data=alt.InlineData(values=values), columns=1
    )
    return chart


def blind(table: Table) -> alt.Chart:
    """Return accuracies on digits against cosines of MiniLM, one mark a configuration."""
    values = [
        {"config": config, "digits": table[config, "digits static"].value, "minilm": one.score}
        for config, one in points(table, "static").items()
        if (config, "digits static") in table
    ]
    marks = alt.Chart(alt.InlineData(values=values)).mark_point(filled=True, size=40)
    chart: alt.Chart = marks.encode(
        x=alt.X("minilm:Q", title="MiniLM, cosine to float").scale(zero=False, padding=10),
        y=alt.Y("digits:Q", title="digits, accuracy").scale(zero=False, padding=10),
    ).properties(width=560, height=260)
    return chart


PICTURES: dict[str, Callable[[Table], alt.TopLevelMixin]] = {"fronts": fronts, "rounding": rounding, "digits": blind}
