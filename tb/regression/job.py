"""Jobs of a regression, each one configuration in one simulator, their results, and the processes that they run in."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from vsq.golden.contract.config import Reset
from vsq.golden.contract.pe_config import Configuration, configuration
from vsq.golden.io.engine import Engine
from vsq.tb.designs import Environment, environment

TOP = "dut"
RECORDING = "failure.npz"  # what a failed job leaves to be replayed
PLAYBACK_TESTS = ("playback",)
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
    def command(self) -> str:
        """The command that repeats the job; empty if it streams a recording."""
        if self.playback:
            return ""
        numbers = f"--beats {self.beats} --seed {self.seed}"
        return f"vsq regress {shlex.quote(self.config)} --sim {self.simulator} {numbers} {self.options}".rstrip()

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
        [simulation, *others] = self.simulations
        return sum(others, simulation)

    @property
    def simulations(self) -> list[tuple[str, ...]]:
        """The tests that share a simulation: of a design without reset none do, as each starts from power-up."""
        if self.playback:
            return [PLAYBACK_TESTS]
        about = self.environment
        if self.design.mac.reset != Reset.NONE:
            return [about.tests]
        return [(test,) for test in about.tests if test not in about.resetting]


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
    processes = _Processes(folder)
    with closing(Engine(processes.threads, workers).run(processes.run, jobs)) as ended:
        for job, result in ended:
            assert isinstance(result, Result)  # threads do not die
            yield job, result


class _Processes:
    """Processes of jobs, each with a thread that waits for it.

    The pool of processes would run a caller's ``__main__`` once more in each, which scripts need not provide for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self._ended = False

    @contextmanager
    def threads(self, workers: int) -> Iterator[Executor]:
        """Yield threads for :meth:`run`, and kill at the end what still runs."""
        with ThreadPoolExecutor(workers) as executor:
            try:
                yield executor
            finally:
                with self._lock:
                    self._ended = True
                    for process in self._running:
                        _kill(process)

    def run(self, job: Job) -> Result:
        """Return a job's result when its process, and all that it has started, has ended."""
        with self._lock:
            if self._ended:
                return Result()
            process = _start(job, self._folder / job.name)
            self._running.add(process)
        with process:
            process.wait()
            with self._lock:
                self._running.remove(process)
                _kill(process)
        return _result(self._folder / job.name)


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


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a job's process group."""
    with suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, signal.SIGKILL)


def _result(folder: Path) -> Result:
    """Read a job's result; a job that left none has failed."""
    path = folder / "result.json"
    if path.exists():
        values = json.loads(path.read_text())
        return Result(**{**values, "outcomes": [Outcome(**outcome) for outcome in values["outcomes"]]})
    tail = (folder / "job.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return Result(outcomes=[Outcome(name="job", failure="\n".join(["the job broke", *tail]))])
