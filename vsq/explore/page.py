"""The page of an exploration: costs against a score, linked, filters, the front of what is shown, and every figure."""

import shlex
from typing import Any

import altair as alt

from vsq.explore.measures.measure import numerics
from vsq.explore.results import DesignPoint, Results
from vsq.golden.contract.errors import InputError
from vsq.golden.io import charts
from vsq.synth.report.rows import POINTS

MOST_POINTS = 2000  # that are drawn: with more, brushing is sluggish
_LISTED = 15  # points of the brush whose commands are listed
_SIZE: dict[str, Any] = {"width": 440, "height": 380}
_FRONT = "#c8501e"
_PAPER = {"8/8/-/-", *POINTS}
_FILTERS = (
    "W",
    "A",
    "ws",
    "as",
    "V",
    "R",
    "lanes",
    "reuse",
    "settings",
    "figures",
)  # each has a menu where points differ in it


def html(results: Results, title: str) -> str:
    """Return a page that loads nothing: plots, and a table of all points that a click on a heading sorts.

    Raises:
        InputError: As :func:`plots` does.
    """
    drawn = plots(results)
    shown = [_fields(results, point) for point in results.points]
    heads = {**_titles(results), **{name: name for name in _FILTERS}, "command": "command"}
    return charts.render(
        "explore/page.html",
        title=title,
        summary=f"{results.extent}; no other beats {len(results.front):,} of them.",
        heads=[*heads.values()],
        rows=[[_text(point[name]) for name in heads] for point in shown],
        **charts.embedded({title: drawn}),
    )


def plots(results: Results) -> alt.HConcatChart:
    """Return a plot for each cost against the score, or against the first cost where there is no score.

    At most :data:`MOST_POINTS` are drawn, those of the front first, then measured ones. The front that the page draws
    is of all that it shows, estimated points too.

    Raises:
        InputError: If no point has all its figures, or there is one kind of figure alone.
    """
    kinds = [variants[0] for variants in results.measures]
    if not results.points:
        raise InputError("page: no point has all its figures; see what failed, or leave the page out")
    if len(kinds) == 1:
        raise InputError(f"page: {kinds[0].name} is the only measure; give a second one to draw it against")
    front = {id(point) for point in results.front}
    drawn = sorted(results.points, key=lambda point: (id(point) not in front, point.estimated))[:MOST_POINTS]
    rows = [_fields(results, point) for point in drawn]
    base, menus = alt.Chart(), []
    for name in _FILTERS:
        found = sorted({row[name] for row in rows}, key=lambda text: (len(text), text))
        if len(found) > 1:
            menu = alt.binding_select(options=[None, *found], labels=["all", *found], name=f"{name} ")
            menus.append(alt.param(name=f"only_{name}", bind=menu, value=None))
            base = base.transform_filter(f"only_{name} === null || datum['{name}'] === only_{name}")
    score = next((place for place, kind in enumerate(kinds) if kind.higher_is_better), 0)
    titles, better = _titles(results), kinds[score].higher_is_better
    best, sign = ("max", ">=") if better else ("min", "<=")
    by_score = alt.SortField(f"f{score}", order="descending" if better else "ascending")
    y = alt.Y(f"f{score}:Q", title=titles[f"f{score}"]).scale(zero=False, padding=15)
    brush = alt.selection_interval(name="brush")
    views: list[Any] = []
    for place in range(len(kinds)):
        if place == score:
            continue
        x = alt.X(f"f{place}:Q", title=titles[f"f{place}"]).scale(zero=False, padding=15)
        points = base.mark_point(filled=True, size=60).encode(
            x=x,
            y=y,
            color=alt.Color("W:N", title="weights"),
            shape=alt.Shape("settings:N", title="settings") if any(row["settings"] for row in rows) else alt.Undefined,
            stroke=alt.when("datum.paper").then(alt.value("black")).otherwise(alt.value(None)),
            opacity=alt.when(brush).then(alt.value(0.9)).otherwise(alt.value(0.12)),
            tooltip=[
                alt.Tooltip("command:N"),
                *(alt.Tooltip(f"{name}:Q", title=title) for name, title in titles.items()),
            ],
        )
        line = (
            base.transform_window(
                best=f"{best}(f{score})",
                sort=[alt.SortField(f"f{place}"), by_score],
                frame=[None, 0],
            )
            .transform_filter(f"datum.f{score} {sign} datum.best")
            .mark_line(interpolate="step-after", color=_FRONT, strokeWidth=1.5)
            .encode(x=x, y=y)
        )
        views.append(alt.layer(points.add_params(brush) if not views else points, line).properties(**_SIZE))
    listed = (
        base.transform_filter(brush)
        .transform_window(row="row_number()", sort=[by_score])
        .transform_filter(f"datum.row <= {_LISTED}")
        .mark_text(align="left", fontSize=12)
        .encode(y=alt.Y("row:O", axis=None), text="listed:N", x=alt.value(0))
        .properties(width=450, height=380, title=f"best {_LISTED} of the brush, drawn with the mouse in the left plot")
    )
    return alt.hconcat(*views, listed, data={"values": rows}).add_params(*menus)


def _titles(results: Results) -> dict[str, str]:
    """Return the heading of each figure by the name of its field."""
    units = results.points[0].units
    kinds = [variants[0] for variants in results.measures]
    pairs = (dict.fromkeys((kind.quantity, unit)) for kind, unit in zip(kinds, units, strict=True))
    return {f"f{place}": ", ".join(pair) for place, pair in enumerate(pairs)}


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _fields(results: Results, point: DesignPoint) -> dict[str, Any]:
    """Return what the page knows of a point: figures, what it is filtered by, and the command that generates it."""
    mac, name = point.config.mac, point.config.full_name
    chosen = zip(point.measures, results.measures, strict=True)
    settings = [str(one).partition(":")[2] or "defaults" for one, variants in chosen if len(variants) > 1]
    guessed, command = point.estimated, f"vsq generate {shlex.quote(name)}"
    return {
        **{f"f{place}": value for place, value in enumerate(point.values)},
        **dict(zip(_FILTERS, str(mac).split("/"), strict=False)),
        "V": str(mac.vector_size),
        "R": str(mac.scale_product_bits or "full"),
        **{name: str(getattr(point.config, name, "-")) for name in ("lanes", "reuse")},  # of processing elements
        "settings": ", ".join(settings),
        "paper": numerics(point.config).full_name in _PAPER,
        "figures": "estimated" if guessed else "measured",
        "command": command,
        "listed": "  ".join(filter(None, (command, ", ".join([*settings, *["estimated"] * guessed])))),
    }
