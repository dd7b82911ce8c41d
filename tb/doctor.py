"""Which tools are present, in which versions, and how to install the others (``vsq doctor``)."""

import shutil
from importlib.metadata import PackageNotFoundError, version

from rich.markup import escape
from rich.table import Table

from golden.errors import InputError
from tb.simulators import probe

# package -> the extra that installs it; empty: the core
PACKAGES = {
    "numpy": "",
    "amaranth": "",
    "pyosys": "",
    "rich": "",
    "cocotb": "sim",
    "torch": "torch",
    "safetensors": "torch",
    "scikit-learn": "workloads",
}


def table() -> Table:
    """Return one row a tool."""
    rows = Table("tool", "version", "what to do")
    for package, extra in PACKAGES.items():
        try:
            rows.add_row(package, version(package), "")
        except PackageNotFoundError:
            rows.add_row(package, "-", escape(f"pip install 'vsq[{extra}]'" if extra else "pip install vsq"))
    for name, found in probe().items():
        if isinstance(found, InputError):
            rows.add_row(name, "-", str(found))
        else:
            rows.add_row(name, found.version, "")
    for program, about in (("g++", "for Verilator"), ("make", "for Verilator"), ("sta", "OpenSTA, for timing")):
        path = shutil.which(program)
        rows.add_row(program, path or "-", "" if path else f"{about}: install it from the system's packages")
    return rows
