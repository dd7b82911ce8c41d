"""Runs jobs in processes of their own, a few at a time, and ends all of them when interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from vsq.tb.regression.job import Job, Outcome, Result

_POLL_SECONDS = 0.05
_LOG_LINES = 30


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


def _start(job: Job, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a job in a session of its own; it ends by itself if this process dies and with it the pipe."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(asdict(job)))
    with (folder / "job.log").open("wb") as log:
        return subprocess.Popen(
            module("vsq.tb.regression.worker", folder),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )


def module(name: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs a module of ours, even in a folder that has a package of the same name."""
    return [sys.executable, "-P", "-m", name, *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the variables under which another process imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def _close(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a job's process group."""
    with suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _result(folder: Path) -> Result:
    """Read a job's result; a job that left none has failed."""
    path = folder / "result.json"
    if path.exists():
        return Result.from_json(json.loads(path.read_text()))
    tail = (folder / "job.log").read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return Result(outcomes=[Outcome(name="job", seconds=0.0, failure="\n".join(["the job broke", *tail]))])
