"""The examples of ``docs/own-bench.md`` run as they are printed, and find wrong designs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vsq.tb.simulation import objcache

WRONG = (
    'text = verilog.read_text(); assert "acc_held <= " in text; '
    'verilog.write_text(text.replace("acc_held <= ", "acc_held <= 1 ^ "))'
)
ROOT = Path(__file__).parents[2]


def simulate(folder, simulator, edit=lambda text: text, number=0):
    """Run an example in a folder; return the process."""
    example = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-bench.md").read_text(), re.DOTALL)[number]
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


def test_the_agents_pass(require_tool, tmp_path):
    require_tool("icarus")
    done = simulate(tmp_path, "icarus", number=1)
    assert done.returncode == 0, done.stdout + done.stderr
    results = re.search(r"(\d+) results are right", done.stdout + done.stderr)
    assert int(results[1]) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (('"my_element")', f'"my_element"); {WRONG}'), "AssertionError.*command"),
        (("Agents(dut, CONFIG)", "Agents(dut, '4/4U/4/6:V=2@lanes=2,weight_depth=8,activation_depth=8')"), "Error"),
    ],
)
def test_the_agents_find_a_wrong_design(edit, message, require_tool, tmp_path):
    require_tool("icarus")
    done = simulate(tmp_path, "icarus", lambda text: text.replace(*edit, 1), number=1)
    assert done.returncode == 1
    assert re.search(message, done.stdout + done.stderr)


MAC = ('PeConfig.parse("4/4U/4/6:V=2@lanes=2,weight_depth=4,activation_depth=8")', 'MacConfig.parse("2/2/-/-:V=2")')
RUN = "    await agents.run(stimulus(CONFIG, 20, seed=1), seed=2)\n"
AGAIN = """    await agents.run(agents.stimulus(10, seed=3), seed=4)
    await agents.reset(dut.rst)
    await agents.run(stimulus(CONFIG, 10, seed=5), sending={"in": flowing(), "command": flowing()})
    streams = agents.interface.streams(agents.stimulus(10, seed=6))
    agents.start(streams, {}, random_bursts(__import__("numpy").random.default_rng(7)))
    await agents.stop(30)
    await agents.reset(dut.rst)
    await agents.run(stimulus(CONFIG, 10, seed=8), seed=9)
    await agents.run(agents.stimulus(10, seed=10), seed=11)
"""


@pytest.mark.parametrize("config", [("", ""), MAC], ids=["element", "mac"])
def test_runs_follow_each_other(config, require_tool, tmp_path):
    """With a reset between them, even of a design at work, and without."""
    require_tool("icarus")

    def edit(text):
        assert RUN in text
        return (
            text.replace(*config)
            .replace(RUN, RUN + AGAIN)
            .replace("import Agents,", "import Agents, flowing, random_bursts,")
        )

    done = simulate(tmp_path, "icarus", edit, number=1)
    assert done.returncode == 0, done.stdout + done.stderr
