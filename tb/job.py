"""One job: one configuration in one simulator. It runs in a process of its own (``python -m tb.job FOLDER``).

The folder holds ``job.json`` on entry; ``result.json`` is written last, by renaming, so that it is whole or absent.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

from golden.config import MacConfig
from hw.stages import latency
from hw.verilog import emit
from tb import objcache, simulators

TOP = "dut"
RANDOM_TESTS = ("random_traffic", "full_speed", "reset_in_flight")
PLAYBACK_TESTS = ("playback",)

# Most of a short simulation is Python and the C++ compiler, so that a lower optimisation is faster.
_BUILD_ARGS = {"verilator": ["-CFLAGS", "-O1"], "icarus": []}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to simulate.

    Parameters
    ----------
    config
        Full name of the configuration.
    simulator
        ``verilator`` or ``icarus``.
    seed, beats
        The random stream.
    playback
        A file of beats to stream instead of random ones.
    verilog
        A file to simulate instead of the generated Verilog; its top module is called ``dut``.
    waves
        Whether a failure is simulated once more to record its waves.
    """

    config: str
    simulator: str
    seed: int
    beats: int = 2000
    playback: str | None = None
    verilog: str | None = None
    waves: bool = True

    @property
    def name(self) -> str:
        """A file name that tells the job from others."""
        return f"{MacConfig.parse(self.config).slug}-{self.simulator}"

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that must run."""
        return PLAYBACK_TESTS if self.playback else RANDOM_TESTS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test's verdict: it passed if ``failure`` is empty."""

    name: str
    seconds: float
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job found. ``counts`` has beats, results, cycles, and overflows ``above`` and ``below`` the range."""

    outcomes: list[Outcome] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    waves: str | None = None

    @property
    def passed(self) -> bool:
        """Whether tests ran and all of them passed; a run of no tests is a failure."""
        return bool(self.outcomes) and not any(outcome.failure for outcome in self.outcomes)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Result":
        """Read what ``asdict`` wrote."""
        return cls(**{**values, "outcomes": [Outcome(**outcome) for outcome in values["outcomes"]]})


def run(job: Job, folder: Path) -> Result:
    """Build and simulate; after a failure once more with waves and the same seed.

    Raises
    ------
    InputError
        If the simulator is missing or too old.
    """
    os.environ |= {**simulators.find(job.simulator).environment(), "OBJCACHE": objcache.COMMAND}
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # cocotb's runner would name and check its results by it
    start = time.perf_counter()
    source = _prepare(job, folder)
    outcomes = _simulate(job, folder, source, waves=False)
    counts = folder / "counts.json"
    result = Result(
        outcomes=outcomes,
        counts=json.loads(counts.read_text()) if counts.exists() else {},
        seconds=time.perf_counter() - start,
    )
    if result.passed or not job.waves:
        return result
    _simulate(job, folder, source, waves=True)
    waves = next((path for path in folder.rglob("*") if path.suffix in (".vcd", ".fst")), None)
    return replace(result, waves=str(waves.relative_to(folder)) if waves else None)


def _prepare(job: Job, folder: Path) -> Path:
    """Write the design and the run's settings; return the Verilog file."""
    config = MacConfig.parse(job.config)
    source = folder / f"{TOP}.v"
    source.write_text(Path(job.verilog).read_text() if job.verilog else emit(config, TOP))
    settings = {**asdict(job), "latency": latency(config)}
    (folder / "run.json").write_text(json.dumps(settings))
    return source


def _simulate(job: Job, folder: Path, source: Path, *, waves: bool) -> list[Outcome]:
    """Build and run the job's tests; a build or a simulation that breaks counts as a failed test."""
    build, results = folder / ("waves" if waves else "build"), folder / "results.xml"
    runner = get_runner(job.simulator)
    timescale = ("1ns", "1ps")
    log = folder / "build.log"
    try:
        runner.build(
            sources=[source],
            hdl_toplevel=TOP,
            build_dir=build,
            build_args=_BUILD_ARGS[job.simulator],
            timescale=timescale,
            waves=waves,
            log_file=log,
        )
        log = folder / "simulation.log"
        runner.test(
            hdl_toplevel=TOP,
            test_module="tb.bench",
            testcase=job.tests,
            seed=job.seed,
            test_dir=folder,
            build_dir=build,
            results_xml=str(results),
            timescale=timescale,
            waves=waves,
            log_file=log,
            extra_env={"VSQ_RUN": str(folder / "run.json")},
        )
    except (RuntimeError, SystemExit):
        if not results.exists():
            return [Outcome(name=log.stem, seconds=0.0, failure="".join(log.open().readlines()[-30:]))]
    return _outcomes(job, results)


def _outcomes(job: Job, results: Path) -> list[Outcome]:
    """Read cocotb's report; a test that is missing from it has failed."""
    found = {}
    for case in ElementTree.parse(results).iter("testcase"):
        problem = next(
            (child for tag in ("failure", "error", "skipped") if (child := case.find(tag)) is not None), None
        )
        failure = "" if problem is None else problem.get("message") or problem.text or problem.tag
        name = case.get("name", "").rpartition(".")[2]
        found[name] = Outcome(name=name, seconds=float(case.get("time", 0)), failure=failure)
    return [found.get(name, Outcome(name=name, seconds=0.0, failure="the test did not run")) for name in job.tests]


def _end_with_parent() -> None:
    """Kill the process group that this process leads when the other end of standard input, the parent, is gone."""
    if os.getpgrp() != os.getpid():
        return

    def wait() -> None:
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main(folder: Path) -> None:
    """Run the job that ``folder`` describes."""
    _end_with_parent()
    job = Job(**json.loads((folder / "job.json").read_text()))
    result = run(job, folder)
    part = folder / "result.part"
    part.write_text(json.dumps(asdict(result)))
    part.replace(folder / "result.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
