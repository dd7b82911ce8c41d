"""The example of ``docs/own-bench.md`` runs as it is printed, and finds a wrong design."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vsq.tb.simulation import objcache

ROOT = Path(__file__).parents[2]


def simulate(folder, simulator, edit=lambda text: text):
    """Run the example in a folder; return the process."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-bench.md").read_text(), re.DOTALL)
    (folder / "my_bench.py").write_text(edit(example))
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return subprocess.run(
        [sys.executable, "my_bench.py", simulator],
        cwd=folder,
        env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OBJCACHE": objcache.COMMAND},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_example_passes(simulator, require_tool, tmp_path):
    require_tool(simulator)
    done = simulate(tmp_path, simulator)
    assert done.returncode == 0
    assert re.search(r"TESTS=1 PASS=1 FAIL=0", done.stdout + done.stderr), done.stdout + done.stderr


def test_the_example_finds_a_wrong_design(require_tool, tmp_path):
    require_tool("icarus")
    done = simulate(
        tmp_path,
        "icarus",
        lambda text: text.replace("generate(CONFIG, folder", "generate('4/4/4/6:V=8,acc=29', folder"),
    )
    assert done.returncode == 1
    assert "TESTS=1 PASS=0 FAIL=1" in done.stdout + done.stderr
    assert re.search(r"result \d+: acc -?\d+, expected -?\d+", done.stdout + done.stderr)
