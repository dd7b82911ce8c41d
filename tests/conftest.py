import os
import shutil
from collections.abc import Callable

import pytest

from golden.errors import InputError
from tb import simulators


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], None]:
    """Return a function that skips the test without the named tool, or fails it if ``VSQ_REQUIRE_TOOLS=1``.

    A simulator must also be recent enough; any other tool must be on PATH.
    """

    def require(tool: str) -> None:
        if tool in simulators.SIMULATORS:
            try:
                simulators.find(tool)
                return
            except InputError as error:
                missing = str(error)
        elif shutil.which(tool):
            return
        else:
            missing = f"{tool}: not found on PATH"
        (pytest.fail if os.environ.get("VSQ_REQUIRE_TOOLS") == "1" else pytest.skip)(missing)

    return require
