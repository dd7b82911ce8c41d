"""HTML pages, and plots by Altair in them or in files of their own; none refers to anything outside itself."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import replacing, write_text

if TYPE_CHECKING:
    import altair

SUFFIXES = (".html", ".svg", ".png")
INSTALL = install("altair")

_STYLE = {
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "titlePadding": 10, "labelLimit": 400, "gridColor": "#e6eaef"},
    "axisX": {"labelFlush": False},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 400, "titleLimit": 400},
    "header": {"labelFontSize": 13, "labelFontWeight": "bold"},
    "view": {"stroke": None},
}
# What a reader may do with a plot is to save it; the online editor would send its data away.
_ACTIONS = {"export": True, "source": False, "compiled": False, "editor": False}
_EMBEDDING = {"mode": "vega-lite", "renderer": "svg", "actions": _ACTIONS}

_ENVIRONMENT = Environment(
    loader=PackageLoader("vsq", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **values: Any) -> str:
    """Return the page of a template, named by its path in the package, as in ``tb/regression/report.html``.

    Templates extend ``golden/io/base.html``. Values are escaped; a name that the template does not get is an error.
    """
    return _ENVIRONMENT.get_template(template).render(values)


def available() -> bool:
    """Return whether the packages of the extra ``plot`` are installed."""
    return all(find_spec(name) for name in ("altair", "vl_convert"))


def check(path: Path) -> None:
    """Refuse a file that :func:`save` could not write, before any work is done for it.

    Raises:
        InputError: If the suffix names no format, or the packages are missing.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"plot {path}: the suffix chooses the format; end the name in one of {', '.join(SUFFIXES)}")
    if not available():
        raise InputError(f"plot {path}: altair or vl-convert-python is not installed; {INSTALL}")


def save(chart: "altair.TopLevelMixin", path: Path) -> None:
    """Write a chart: an interactive page, or a picture, PNG with two pixels a unit; ``path`` is replaced at once.

    Raises:
        InputError: If :func:`check` refuses the file, or it cannot be written.
    """
    check(path)
    if path.suffix == ".html":
        write_text(path, render("golden/io/plot.html", title=path.stem, **embedded({path.stem: chart})))
        return
    import vl_convert

    specification, version = _specification(chart), _version()
    with replacing(path) as part:
        if path.suffix == ".svg":
            part.write_text(vl_convert.vegalite_to_svg(specification, vl_version=version), encoding="utf-8")
        else:
            part.write_bytes(vl_convert.vegalite_to_png(specification, vl_version=version, scale=2))


def embedded(found: Mapping[str, "altair.TopLevelMixin"]) -> dict[str, object]:
    """Return what a page needs to draw charts, by their titles: specifications, and Vega-Embed, 0.9 MB, once."""
    javascript = ""
    if found:
        import vl_convert

        javascript = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_version())
    plots = {title: _specification(chart) for title, chart in found.items()}
    return {"plots": plots, "javascript": javascript, "embedding": _EMBEDDING}


def _specification(chart: "altair.TopLevelMixin") -> dict[str, Any]:
    return {**json.loads(chart.to_json()), "config": _STYLE}


def _version() -> str:
    """Return the version of Vega-Lite that Altair writes for."""
    import altair

    return ".".join(altair.SCHEMA_VERSION[1:].split(".")[:2])
