"""Where jobs run: a numbered folder for each run, and a process for each job, which ends with the run."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsq.golden.contract.errors import InputError
from vsq.tb.regression.job import Job, Outcome, Result

_POLL_SECONDS = 0.05
_LOG_LINES = 30
_PREFIX = "run-"
_WORK = ".work"


@contextmanager
def run_folder(out: Path) -> Iterator[tuple[Path, Path]]:
    """Provide the next folder ``run-<number>`` in ``out`` for what a run leaves, and one in it for what ends with it.

    Moving the content of the second into the first is renaming. The first goes with the run if nothing is left in it.
    The second is locked as long as its run lives; what killed runs had there is removed first.

    Raises:
        InputError: If ``out`` cannot be written.
    """
    with ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            with _locked(out):
                for killed in out.glob(f"{_PREFIX}*/{_WORK}"):
                    with suppress(BlockingIOError, FileNotFoundError), _locked(killed, fcntl.LOCK_NB):  # else it lives
                        _remove(killed)
                numbers = [path.name.removeprefix(_PREFIX) for path in out.glob(f"{_PREFIX}*")]
                last = max((int(number) for number in numbers if number.isdecimal()), default=0)
                folder = out / f"{_PREFIX}{last + 1}"
                work = folder.resolve() / _WORK
                work.mkdir(parents=True)
                stack.enter_context(_locked(work))
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
        stack.callback(_remove, work)
        yield folder, work


@contextmanager
def _locked(folder: Path, options: int = 0) -> Iterator[None]:
    """Hold the lock of a folder, until this process dies at the latest."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | options)
        yield
    finally:
        os.close(descriptor)


def _remove(work: Path) -> None:
    """Remove a run's work, and its folder if that is empty then."""
    shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):
        work.parent.rmdir()


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
    return {
        "args": [sys.executable, "-P", "-m", name, *map(str, arguments)],
        "env": {**os.environ, "PYTHONPATH": path},
    }


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
