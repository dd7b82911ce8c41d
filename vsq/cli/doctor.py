"""Show which tools are present and work, and how to install the others; exit code 1 if a required one does not.

example: vsq doctor
"""

import shutil
import subprocess
import tempfile
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsq.golden.contract import distribution
from vsq.golden.contract.errors import InputError
from vsq.tb.regression.pool import module
from vsq.tb.simulation.simulators import probe

ARGUMENTS = ()

# what pip installs -> what ``import`` names
CORE = {"numpy": "numpy", "amaranth": "amaranth", "pyosys": "pyosys", "rich": "rich"}
OPTIONAL = {"cocotb": "cocotb", "torch": "torch", "safetensors": "safetensors", "scikit-learn": "sklearn"}
PROGRAMS = {"g++": "Verilator", "make": "Verilator", "perl": "Verilator", "sta": "critical paths (OpenSTA)"}


def run(args: Namespace, console: Console) -> int:
    """Print one row a tool; return 0 if the core is there and every simulator that was found works, at least one.

    A simulator works if it builds and simulates a design of three lines under cocotb.
    """
    table = Table("tool", "version", "what to do")
    table.add_row(distribution.NAME, distribution.VERSION, "")
    absent = set()
    for package, name in {**CORE, **OPTIONAL}.items():
        try:
            table.add_row(package, version(package), "")
        except PackageNotFoundError:
            table.add_row(package, "-", escape(distribution.install(name)))
            absent.add(package)
    problems: dict[str, str] = {}
    with console.status("simulating a design of three lines"):
        for name, found in probe().items():
            if isinstance(found, InputError):
                table.add_row(name, "-", escape(str(found)))
                continue
            problems[name] = _try(name)
            table.add_row(name, found.version, "does not work; see below" if problems[name] else "")
    for program, user in PROGRAMS.items():
        path = shutil.which(program)
        table.add_row(program, path or "-", "" if path else f"for {user}: install it from the system's packages")
    console.print(table)
    for name, problem in problems.items():
        if problem:
            console.print(f"[red]{name} does not work:[/] {escape(problem)}", soft_wrap=True)
    if not problems:
        console.print("[red]no simulator:[/] install one of those above")
    return 1 if absent & CORE.keys() or not problems or any(problems.values()) else 0


def _try(simulator: str) -> str:
    """Build and simulate a small design; return what failed, or an empty string."""
    with tempfile.TemporaryDirectory(prefix="vsq-doctor-") as folder:
        command = module("vsq.tb.simulation.trial", simulator, folder)
        done = subprocess.run(**command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""
