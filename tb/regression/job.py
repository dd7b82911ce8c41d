"""Jobs of a regression, each one configuration in one simulator, their results, and the processes that they run in."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vsq.golden.contract.pe_config import Configuration, configuration
from vsq.tb.designs import Environment, environment

TOP = "dut"
RECORDING = "failure.npz"  # what a failed job leaves to be replayed
PLAYBACK_TESTS = ("playback",)
_POLL_SECONDS = 0.05
_LOG_LINES = 30


@dataclass(frozen=True, kw_only=True)
class Job:
    """A simulation job.

    Args:
        config: Full name of the configuration, of a vector MAC or of a processing element.
        simulator: ``verilator`` or ``icarus``.
        seed, beats: The random stream; a processing element's are commands.
        playback: A file of :class:`vsq.tb.failures.recording.Recording` to stream instead of random beats.
        verilog: What is simulated instead of the generated Verilog; its top module is :data:`TOP`.
        options: What else repeats the job on the command line, such as the files of ``verilog``.
        waves: Whether a failure is simulated once more to record its waves.
    """

    config: str
    simulator: str
    seed: int
    beats: int = 2000
    playback: str | None = None
    verilog: str | None = None
    options: str = ""
    waves: bool = True

    @property
    def name(self) -> str:
        """A file name that tells the job from others."""
        return f"{self.design.kind}_{self.design.slug}-{self.simulator}"

    @property
    def environment(self) -> Environment:
        """The test bench of this kind of design."""
        return environment(self.design)

    @property
    def design(self) -> Configuration:
        """The configuration."""
        return configuration(self.config)

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that must run."""
        return PLAYBACK_TESTS if self.playback else self.environment.tests


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test's verdict: it passed if ``failure`` is empty."""

    name: str
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a job.

    ``counts`` has beats, results and cycles; of a vector MAC overflows ``above`` and ``below`` the range; of a
    processing element, whose beats are commands, the ``illegal`` ones and the ``operands`` multiplied. ``coverage`` has
    the hits of each bin of each coverage point (:mod:`vsq.tb.coverage.points`).
    """

    outcomes: list[Outcome] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    waves: str | None = None

    @property
    def passed(self) -> bool:
        """Whether tests ran and all of them passed; a run of no tests is a failure."""
        return bool(self.outcomes) and not any(outcome.failure for outcome in self.outcomes)


def run_jobs(jobs: Sequence[Job], folder: Path, workers: int) -> Generator[tuple[Job, Result], None, None]:
    """Yield every job with its result, in the order in which they end; each runs in ``folder / job.name``.

    A job leads a process group, which its simulator belongs to. Closing the iterator (as ``KeyboardInterrupt`` does
    within it) kills the groups that still run.
    """
    waiting = deque(jobs)
    running: dict[subprocess.Popen[bytes], Job] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.popleft()
                running[_start(job, folder / job.name)] = job
            for process in [process for process in running if process.poll() is not None]:
                job = running.pop(process)
                _close(process)
                yield job, _result(folder / job.name)
            time.sleep(_POLL_SECONDS)
    finally:
        for process in running:
            _close(process)


def module(name: str, *arguments: str | Path) -> dict[str, Any]:
    """Return the arguments of ``subprocess.run`` for a module of ours, which imports what this process does.

    That is so even in a folder that has a package of the same name.
    """
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return {"args": [sys.executable, "-P", "-m", name, *map(str, arguments)], "env": {**os.environ, "PYTHONPATH": path}}


def _start(job: Job, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a job in a session of its own; it ends by itself if this process dies and with it the pipe."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    command = module("vsq.tb.regression.worker", folder)
    with (folder / "job.log").open("wb") as log:
        return subprocess.Popen(
            **command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _close(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a job's process group."""
    with process, suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, signal.SIGKILL)


def _result(folder: Path) -> Result:
    """Read a job's result; a job that left none has failed."""
    path = folder / "result.json"
    if path.exists():
        values = json.loads(path.read_text())
        return Result(**{**values, "outcomes": [Outcome(**outcome) for outcome in values["outcomes"]]})
    tail = (folder / "job.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return Result(outcomes=[Outcome(name="job", failure="\n".join(["the job broke", *tail]))])
