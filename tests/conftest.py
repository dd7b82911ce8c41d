import os
import shutil
from collections.abc import Callable, Generator

import pytest

from vsq.golden.contract.errors import InputError
from vsq.tb.simulation import simulators

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
