"""HTML pages from templates beside the modules that fill them; a page refers to nothing outside itself."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """Return the page of a template, named by its path in the package, as in ``tb/regression/report.html``.

    Templates extend ``golden/io/base.html``. Values are escaped; a name that the template does not get is an error.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("vsq", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
