"""HTML pages from templates beside the modules that fill them; a page refers to nothing outside itself."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_LOADER = PackageLoader("vsq", "")
_ENVIRONMENT = Environment(
    loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **values: Any) -> str:
    """Return the page of a template, named by its path in the package, as in ``tb/regression/report.html``.

    Templates extend ``golden/io/base.html``. Values are escaped; a name that the template does not get is an error.
    """
    return _ENVIRONMENT.get_template(template).render(values)
