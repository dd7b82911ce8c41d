import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.stimulus.stream import layer
from vsq.hw.emit.design import design
from vsq.tb.coverage.points import missing
from vsq.tb.designs import ENVIRONMENTS, RANDOM_TESTS
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.reports import REPORTS
from vsq.tb.regression.run import play, regress, run
from vsq.tb.simulation.simulators import SIMULATORS

# Vector sizes that are and are not powers of two, every rounding and both policies, exact and overflowing accumulators.
CHOSEN = {
    "icarus": [
        "4/4U/4/4:V=1,R=6,acc=14,pipeline=0",
        "5/7/3/9:V=24,R=6,round=half_even,pipeline=3",
        "16/16/16/16:V=3,R=4,round=truncate,acc=37,overflow=wrap,pipeline=2,style=behavioural",
        "8/8U/-/-:V=64,style=behavioural",
    ],
    "verilator": ["4/4U/4/6:R=6,round=half_even,acc=18", "16/16/16/16:V=3,overflow=wrap,pipeline=0,style=behavioural"],
}


@pytest.fixture(params=SIMULATORS)
def simulator(request, require_tool):
    require_tool(request.param)
    return request.param


@pytest.mark.slow
def test_a_chosen_part_of_the_regression(simulator, tmp_path):
    configs = [MacConfig.parse(text) for text in CHOSEN[simulator]]
    screen = io.StringIO()
    out = tmp_path / "out"
    summary = regress(configs, sims=[simulator], out=out, seed=3, console=Console(file=screen, width=200))
    assert summary.passed, screen.getvalue()
    assert summary.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"run-1", *REPORTS}
    assert {path.name for path in summary.folder.iterdir()} == set(REPORTS)
    suites = ElementTree.parse(out / "junit.xml").getroot().findall("testsuite")
    assert len(suites) == len(configs)
    for config, suite, (job, result) in zip(configs, suites, summary.results, strict=True):
        assert job.config == config.full_name
        assert result.counts["beats"] >= 2000
        assert result.counts["cycles"] > result.counts["beats"] > result.counts["results"] > 200
        assert result.counts["above"] > 0
        assert result.counts["below"] > 0
        assert [case.get("name") for case in suite.findall("testcase")] == [*RANDOM_TESTS, "coverage"]
        assert suite.get("name") == f"{config.full_name} {simulator}"
        assert config.full_name in screen.getvalue()
        assert set(result.coverage) == ENVIRONMENTS["mac"].reachable(config).keys()
        assert missing(result.coverage) == {}, config.full_name
        assert f" {len(result.coverage)}/{len(result.coverage)} " in screen.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["4/4U/4/6:V=2@weight_depth=4"], ["4/4U/4/6:V=1", "--pe"]])
def test_a_processing_element_is_regressed(arguments, require_tool, tmp_path, capsys):
    require_tool("icarus")
    options = ["--sim", "icarus", "--beats", "8", "--seed", "3", "--out", str(tmp_path)]
    assert vsq.main(["regress", *arguments, *options]) == 0
    config = configuration(arguments[0], pe=True).full_name
    assert "@" in config
    [entry] = json.loads((tmp_path / "coverage.json").read_text())["jobs"]
    assert (entry["config"], entry["beats"]) == (config, 8)
    assert entry["hits"].keys() == ENVIRONMENTS["pe"].reachable(configuration(config)).keys()
    assert entry["missing"] == {}
    [suite] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.get("name") == f"{config} icarus"
    assert [case.get("name") for case in suite.findall("testcase")] == [*RANDOM_TESTS, "closure", "coverage"]
    assert f" {config} " in capsys.readouterr().out
    assert f"<td>{config}</td>" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_a_seed_repeats_the_run(require_tool, tmp_path):
    require_tool("icarus")
    config = MacConfig.parse("4/4/4/6:V=2")
    first, again, other = (
        regress([config, config], sims=["icarus"], out=tmp_path, beats=100, seed=seed).results for seed in (5, 5, 6)
    )
    assert len(first) == 1
    assert first[0][1].counts == again[0][1].counts != other[0][1].counts


def planted(config: str, simulated: str, simulator: str, *, waves: bool = False) -> Job:
    """A job that takes the Verilog of another configuration, with the same ports, for its own."""
    verilog = design(MacConfig.parse(simulated)).verilog(TOP)
    return Job(config=config, simulator=simulator, seed=9, beats=300, verilog=verilog, waves=waves)


@pytest.mark.slow
def test_a_failure_leaves_its_evidence(simulator, tmp_path):
    screen, out = io.StringIO(), tmp_path / "out"
    job = planted("4/4/4/6:V=2,R=6", "4/4/4/6:V=2,R=6,round=truncate", simulator, waves=True)
    summary = run([job], workers=1, out=out, console=Console(file=screen, width=150))
    assert summary.exit_code == 1
    [(_, result)] = summary.results
    kept = out / "run-1" / "failures" / job.name
    assert {path.name for path in summary.folder.iterdir()} == {"failures", *REPORTS}
    assert {"dut.v", "simulation.log", "job.json"} <= {path.name for path in kept.iterdir()}
    assert (kept / result.waves).stat().st_size > 1000
    report = screen.getvalue()
    assert "4/4/4/6:V=2,R=6, seed 9: result" in report
    for part in (
        "got      acc",
        "expected acc",
        "w = [",
        "a = [",
        " d=",
        " p=",
        " r=",
        " t=",
        str(kept / result.waves),
    ):
        assert part in report
    assert f"again: vsq regress 4/4/4/6:V=2,R=6 --sim {simulator} --beats 300 --seed 9" in report
    cases = ElementTree.parse(out / "junit.xml").getroot().iter("testcase")
    assert "expected acc" in {case.get("name"): case for case in cases}["random_traffic"].findtext("failure")


@pytest.mark.parametrize(
    ("config", "simulated", "test", "message"),
    [
        ("4/4/4/6:pipeline=1", "4/4/4/6:pipeline=2", "full_speed", "latency is not 2"),
        ("4/4U/4/6:V=2", "4/4/4/6:V=2,acc=27", "random_traffic", "is wrong"),  # an unsigned lane read as signed
        ("4/4/4/6:R=6", "4/4/4/6:R=6,round=half_even", "random_traffic", "is wrong"),  # differs at ties alone
        ("8/8/-/-:acc=20", "8/8/-/-:acc=20,overflow=wrap", "random_traffic", "out_overflow"),  # a port is missing
    ],
)
def test_planted_defects_are_found(config, simulated, test, message, require_tool, tmp_path):
    require_tool("icarus")
    [(_, result)] = run([planted(config, simulated, "icarus")], workers=1, out=tmp_path / "out").results
    failures = {outcome.name: outcome.failure for outcome in result.outcomes if outcome.failure}
    assert message in failures[test]


def test_verilog_that_does_not_compile_fails(simulator, tmp_path):
    job = Job(config="4/4/4/6", simulator=simulator, seed=1, verilog="module dut(; endmodule", waves=False)
    [(_, result)] = run([job], workers=1, out=tmp_path / "out").results
    assert [outcome.name for outcome in result.outcomes] == ["build"]
    headline, error, *_, log = result.outcomes[0].failure.splitlines()
    assert headline == "the build failed"
    assert "dut.v:1" in error
    assert "error" in error.lower()
    kept = tmp_path / "out" / "run-1" / "failures" / job.name
    assert log == f"log: {kept / 'build.log'}"
    assert "syntax error" in (kept / "build.log").read_text()


def test_a_layer_is_played(simulator, tmp_path):
    config = MacConfig.parse("4/4U/4/-:V=4")
    rng = np.random.default_rng(0)
    w, a, sw = rng.integers(-8, 8, (5, 3, 4)), rng.integers(0, 16, (7, 3, 4)), rng.integers(0, 16, (5, 3))
    summary = play(config, layer(BlockOperand(w, sw), BlockOperand(a, None)), sims=[simulator], out=tmp_path)
    [(_, result)] = summary.results
    assert summary.passed
    assert [outcome.name for outcome in result.outcomes] == ["playback"]
    assert result.counts["beats"] == 7 * 5 * 3
    assert result.counts["results"] == 7 * 5
    assert {path.name for path in tmp_path.iterdir()} == {"run-1", *REPORTS}


# Interruption ---------------------------------------------------------------------------------------------------

LONG_RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from vsq.cli import main as vsq
options = "--sim icarus --jobs 2 --beats 300000 --seed 1 --out".split()
sys.exit(vsq.main(["regress", "4/4/4/6", "8/8/-/-", *options, sys.argv[1]]))
"""


def simulations(folder: Path) -> list[int]:
    """Processes of simulators whose command line names the folder; Linux lists them in /proc."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
        except OSError:  # it has just ended
            continue
        if b"vvp" in command and os.fsencode(folder) in command:
            found.append(int(process.name))
    return found


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interruption_leaves_no_simulator_and_no_partial_file(number, require_tool, tmp_path):
    require_tool("icarus")
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_RUN, out],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: len(simulations(out)) == 2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    wait_until(lambda: not simulations(out), seconds=10)
    if number != signal.SIGKILL:  # which leaves a program no chance to tidy up
        assert process.returncode == 130
        assert errors == b"vsq: interrupted\n"
        assert list(out.iterdir()) == []


# Bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beats": 0}, "beats 0: at least 1"),
        ({"jobs": 0}, "jobs 0: at least 1"),
        ({"seed": -1}, "seed -1: seeds are not negative"),
        ({"sims": ["vcs"]}, "simulator 'vcs': choose among"),
    ],
)
def test_bad_requests(arguments, message, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        regress([MacConfig.parse("4/4/4/6")], **{"sims": [], "out": out, **arguments})
    assert not out.exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written"):
        regress([MacConfig.parse("4/4/4/6")], sims=[], out=tmp_path / "file")


def test_no_jobs_is_no_success(tmp_path):
    assert regress([], out=tmp_path).exit_code == 1
