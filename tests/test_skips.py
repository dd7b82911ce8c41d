"""Skips are visible, and failures where every tool must be there: ``VSQ_REQUIRE_TOOLS=1``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "a test": "import pytest\ndef test_one():\n    pytest.skip('no tool')\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef tool():\n    pytest.skip('no tool')\n"
    "def test_one(tool):\n    pass\n",
    "a mark": "import pytest\n@pytest.mark.skip(reason='no tool')\ndef test_one():\n    pass\n",
    "a module": "import pytest\npytest.importorskip('no_such_package')\ndef test_one():\n    pass\n",
    "a missing simulator": "import pytest\ndef test_one(require_tool):\n    require_tool('no-such-program')\n",
}


@pytest.mark.parametrize("kind", TESTS)
def test_a_skip_fails_only_where_tools_are_required(kind, tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_sample.py").write_text(TESTS[kind] + "def test_two():\n    pass\n")
    for required, fails in (("0", False), ("1", True)):
        environment = {**os.environ, "VSQ_REQUIRE_TOOLS": required, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        failed = "tolerates no skip" in done.stdout
        assert (done.returncode not in (0, 5), failed) == (fails, fails), done.stdout
        assert fails or "1 skipped" in done.stdout
