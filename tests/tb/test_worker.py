import json
import os

import cocotb_tools.config
import pytest

from vsq.tb.designs import ENVIRONMENTS, RANDOM_TESTS
from vsq.tb.regression import worker
from vsq.tb.regression.job import Job, Outcome

JOB = Job(config="4/4/4/6", simulator="icarus", seed=1)
BROKEN = "the simulation failed\nsimulating\nlog: simulation.log"
PASSED = "".join(f'<testcase name="vsq.tb.bench.mac.{name}" time="1.5" />' for name in RANDOM_TESTS)


class Runner:
    """Stands for cocotb's runner: leaves a report, and fails if told to."""

    report, fails = "", False

    def build(self, *, log_file, **_):
        log_file.write_text("building\n")

    def test(self, *, log_file, results_xml, **_):
        log_file.write_text("simulating\n")
        if self.report:
            with open(results_xml, "w") as file:
                file.write(f"<testsuites><testsuite>{self.report}</testsuite></testsuites>")
        if self.fails:
            raise RuntimeError("Command failed")


@pytest.fixture
def outcomes(monkeypatch, tmp_path):
    def outcomes(report: str, fails: bool) -> dict[str, str]:
        monkeypatch.setattr(Runner, "report", report)
        monkeypatch.setattr(Runner, "fails", fails)
        monkeypatch.setattr(worker, "get_runner", lambda name: Runner())
        found = worker._simulate(JOB, tmp_path, tmp_path / "dut.v", waves=False)
        return {outcome.name: outcome.failure.replace(f"{tmp_path}/", "") for outcome in found}

    return outcomes


def test_a_good_run(outcomes):
    assert outcomes(PASSED, fails=False) == dict.fromkeys(RANDOM_TESTS, "")


def test_a_failed_test(outcomes):
    report = PASSED.replace('time="1.5" />', 'time="1"><failure message="acc is wrong" /></testcase>', 1)
    for fails in (False, True):
        assert outcomes(report, fails) == {**dict.fromkeys(RANDOM_TESTS, ""), RANDOM_TESTS[0]: "acc is wrong"}


def test_a_simulator_that_fails_after_passing_every_test(outcomes):
    assert outcomes(PASSED, fails=True)["simulation"] == BROKEN


@pytest.mark.parametrize("fails", [False, True])
def test_a_simulator_without_a_report(outcomes, fails):
    assert outcomes("", fails=fails) == {"simulation": BROKEN}


def test_a_test_that_did_not_run_has_failed(outcomes):
    report = PASSED.partition("/>")[0] + "/>"
    missing = dict.fromkeys(RANDOM_TESTS[1:], "the test did not run")
    assert outcomes(report, fails=False) == {RANDOM_TESTS[0]: "", **missing}
    assert outcomes(report.replace("/>", "><skipped /></testcase>"), fails=False)[RANDOM_TESTS[0]] == "skipped"


def test_a_preset_that_misses_a_bin_fails_with_its_name_and_no_waves(require_tool, monkeypatch, tmp_path):
    require_tool("icarus")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    seen = {point: dict.fromkeys(bins, 1) for point, bins in ENVIRONMENTS["mac"].reachable(JOB.design).items()}
    seen["cp_marks"]["single vector"] = 0

    def simulate(job, folder, source, *, waves):
        assert not waves
        (folder / "coverage.json").write_text(json.dumps(seen))
        return [Outcome(name=name, seconds=0.1) for name in job.tests]

    monkeypatch.setattr(worker, "_simulate", simulate)
    result = worker.run(JOB, tmp_path)
    assert not result.passed
    assert [outcome.name for outcome in result.outcomes] == [*RANDOM_TESTS, "coverage"]
    assert result.outcomes[-1].failure.splitlines()[1:] == ["cp_marks: single vector"]
    assert result.coverage == seen


def test_one_build_by_verilator_serves_every_run_of_the_same_verilog(monkeypatch, tmp_path, require_tool):
    require_tool("verilator")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = []

    class Builder:
        def build(self, *, sources, build_dir, hdl_toplevel, **_):
            built.append(sources[0].read_text())
            (build_dir / hdl_toplevel).write_text(built[-1])

    monkeypatch.setattr(worker, "get_runner", lambda name: Builder())
    source = tmp_path / "dut.v"
    for number, text in enumerate(("one", "one", "two", "one")):
        source.write_text(text)
        folder = tmp_path / str(number)
        worker.build("verilator", source, folder, waves=False, log=tmp_path / "log")
        assert (folder / "dut").read_text() == text
    assert built == ["one", "two"]

    # Another Python in an environment at the same place: the kept simulator looks for libraries that are gone.
    monkeypatch.setattr(cocotb_tools.config, "libs_dir", tmp_path / "python3.99" / "libs")
    worker.build("verilator", source, tmp_path / "4", waves=False, log=tmp_path / "log")
    assert built == ["one", "two", "one"]
