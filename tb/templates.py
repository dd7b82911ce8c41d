"""Templates of Verilog: a file in which ``%%name`` stands for a value; ``$`` and braces are Verilog's."""

from pathlib import Path
from string import Template


class _Template(Template):
    delimiter = "%%"


def filled(path: Path, **values: object) -> str:
    """Return the text of a file with its values."""
    return _Template(path.read_text()).substitute(values)
