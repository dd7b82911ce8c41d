"""Plots as SVG text, to stand inside a page: points with labels, and lines, on linear axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 900, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 232, 20, 52  # the legend stands on the right
_COLOURS = ("#1f6fb2", "#c8501e", "#2b8a4b", "#7a4fb0", "#8a6d1f")
_LABEL = 11  # height of a label's text


Point = tuple[float, float, str]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points (x, y, label) of one colour, joined in their order if ``line``; labels may be empty."""

    name: str
    points: Sequence[Point]
    colour: int
    line: bool = False
    dashed: bool = False


def plot(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """Return one ``<svg>`` element with axes, series and legend. At least one point is needed."""
    xs = _ticks([x for one in series for x, _, _ in one.points])
    ys = _ticks([y for one in series for _, y, _ in one.points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / (xs[-1] - xs[0]) * (_WIDTH - _LEFT - _RIGHT)
        up = (y - ys[0]) / (ys[-1] - ys[0]) * (_HEIGHT - _TOP - _BOTTOM)
        return _LEFT + across, _HEIGHT - _BOTTOM - up

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_title)} by {escape(x_title)}">']
    for x in xs:
        left, _ = place(x, ys[0])
        parts.append(_line(left, _TOP, left, _HEIGHT - _BOTTOM, "grid"))
        parts.append(_text(left, _HEIGHT - _BOTTOM + 16, f"{x:g}", "middle"))
    for y in ys:
        _, top = place(xs[0], y)
        parts.append(_line(_LEFT, top, _WIDTH - _RIGHT, top, "grid"))
        parts.append(_text(_LEFT - 6, top + 4, f"{y:g}", "end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x_title, "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(_text(14, middle, y_title, "middle", f' transform="rotate(-90 14 {middle:.1f})"'))
    taken: list[tuple[float, float, float]] = []
    for one in series:
        parts += _drawn(one, [(*place(x, y), label) for x, y, label in one.points], taken)
    parts += _legend(series)
    return "\n".join([*parts, "</svg>"])


def _drawn(one: Series, points: Sequence[Point], taken: list[tuple[float, float, float]]) -> list[str]:
    colour = _COLOURS[one.colour % len(_COLOURS)]
    parts = []
    if one.line:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        dash = ' stroke-dasharray="6 4"' if one.dashed else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')
    fill = "none" if one.dashed else colour
    for x, y, label in points:
        about = f"<title>{escape(one.name)}: {escape(label)}</title>"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}">{about}</circle>')
        if label:
            parts.append(_label(x, y, label, taken))
    return parts


def _label(x: float, y: float, label: str, taken: list[tuple[float, float, float]]) -> str:
    """Return a label beside its point, moved down until it meets no other one, and remember its place."""
    width = 0.6 * _LABEL * len(label)
    left = x - 7 - width if x + 7 + width > _WIDTH - _RIGHT else x + 7
    top = y
    while any(abs(top - other) < _LABEL and left < right and left + width > start for start, right, other in taken):
        top += 2
    taken.append((left, left + width, top))
    return _text(left, top + 4, label, "start", ' class="label"')


def _legend(series: Sequence[Series]) -> list[str]:
    parts = []
    for number, one in enumerate(series):
        y, colour = _TOP + 14 + 16 * number, _COLOURS[one.colour % len(_COLOURS)]
        fill = "none" if one.dashed else colour
        parts.append(f'<circle cx="{_WIDTH - _RIGHT + 16}" cy="{y - 4}" r="4" fill="{fill}" stroke="{colour}"/>')
        parts.append(_text(_WIDTH - _RIGHT + 26, y, one.name, "start"))
    return parts


def _ticks(values: Sequence[float]) -> list[float]:
    """Return round numbers at equal distances, about six, from below the least value to above the largest."""
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 5))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step - 0.01), math.ceil(high / step + 0.01)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
