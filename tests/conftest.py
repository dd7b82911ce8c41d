import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from vsq.golden.contract.errors import InputError
from vsq.synth.library.liberty import Library
from vsq.tb.simulation import simulators

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
# A shell's background jobs ignore Ctrl-C, and so would the programs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
_REQUIRED = os.environ.get("VSQ_REQUIRE_TOOLS") == "1"


def _as_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where every tool and package must be there."""
    if _REQUIRED and report.skipped:
        report.longrepr = f"skipped, but VSQ_REQUIRE_TOOLS=1 tolerates no skip: {report.longrepr}"
        report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _as_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _as_failure(report)
    return report


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], None]:
    """Return a function that skips the test without the named tool.

    A simulator must also be recent enough; any other tool must be on PATH.
    """

    def require(tool: str) -> None:
        if tool in simulators.SIMULATORS:
            try:
                simulators.find(tool)
            except InputError as error:
                pytest.skip(str(error))
        elif not shutil.which(tool):
            pytest.skip(f"{tool}: not found on PATH")

    return require


@pytest.fixture(scope="session")
def osu018() -> Library:
    """A real library with timing: 180 nm, Debian package qflow-tech-osu018."""
    if not OSU018.exists():
        pytest.skip(f"{OSU018}: not installed; make system-deps installs it")
    return Library.load(OSU018)


@pytest.fixture
def plain_bench(require_tool: Callable[[str], None]) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a bench in plain Verilog under Icarus: its exit code, and what it prints."""
    require_tool("icarus")

    def run(folder: Path, bench: str = "dut_tb.v", dut: str = "dut.v") -> tuple[int, str]:
        command = ["iverilog", "-Wall", "-g2001", "-o", "bench", bench, dut]
        assert subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr == ""
        done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    return run
