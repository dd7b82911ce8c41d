"""Folders of runs: numbered, so that runs in one place keep their reports apart, one after another or at once."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.contract.errors import InputError

_PREFIX = "run-"
_WORK = ".work"  # locked as long as its run lives


@dataclass(frozen=True)
class RunFolder:
    """The folder ``path`` of one run, with what it leaves, and in it ``work``, with what ends with it."""

    path: Path

    @property
    def work(self) -> Path:
        """The folder of jobs that run; it is inside ``path``, so that moving its content there is renaming."""
        return self.path.resolve() / _WORK


@contextmanager
def run_folder(out: Path) -> Iterator[RunFolder]:
    """Provide the next folder ``run-<number>`` in ``out``; it goes with the run if the run leaves nothing in it.

    What killed runs had at work is removed first.

    Raises:
        InputError: If ``out`` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            _remove_dead(out)
            numbers = [path.name.removeprefix(_PREFIX) for path in out.glob(f"{_PREFIX}*")]
            last = max((int(number) for number in numbers if number.isdecimal()), default=0)
            folder = RunFolder(out / f"{_PREFIX}{last + 1}")
            folder.work.mkdir(parents=True)
            lock = _lock(folder.work, fcntl.LOCK_EX)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
    try:
        yield folder
    finally:
        _remove(folder.work)
        os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, operation: int) -> int:
    """Lock a folder; return the descriptor that holds the lock until it is closed or its process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, operation)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_dead(out: Path) -> None:
    """Remove the work of runs that no longer live."""
    for work in out.glob(f"{_PREFIX}*/{_WORK}"):
        with suppress(BlockingIOError, FileNotFoundError):  # its run lives, or has just ended
            os.close(_lock(work, fcntl.LOCK_EX | fcntl.LOCK_NB))
            _remove(work)


def _remove(work: Path) -> None:
    """Remove a run's work, and its folder if that is empty then."""
    shutil.rmtree(work, ignore_errors=True)
    with suppress(OSError):
        work.parent.rmdir()
