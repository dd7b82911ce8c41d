"""The regression: every configuration in every simulator, with a table, reports and evidence of failures."""

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, configuration, several
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.base import length
from vsq.tb.regression.dut import Dut
from vsq.tb.regression.job import RECORDING, Job, Outcome, Result, run_jobs
from vsq.tb.regression.reports import COLUMNS, REPORTS, cells
from vsq.tb.simulation import simulators

FAILURES = "failures"
_PREFIX = "run-"
_WORK = ".work"


@dataclass(frozen=True)
class Summary:
    """Every job with its result, in the order of the request, and the folder with the reports and failures."""

    results: list[tuple[Job, Result]]
    folder: Path

    @property
    def passed(self) -> bool:
        """Whether jobs ran and all of them passed."""
        return bool(self.results) and all(result.passed for _, result in self.results)

    @property
    def exit_code(self) -> int:
        """0 if all passed, else 1."""
        return int(not self.passed)


def regress(
    designs: Configuration | str | Iterable[Configuration | str],
    *,
    sims: Sequence[str] = tuple(simulators.SIMULATORS),
    jobs: int = 1,
    out: str | Path = "build/regress",
    beats: int | None = None,
    seed: int = 1,
    dut: Dut | None = None,
    console: Console | None = None,
) -> Summary:
    """Simulate every configuration in every simulator on random beats, and compare every result.

    Each run has a folder ``run-<number>`` in ``out``, which receives ``junit.xml``, ``coverage.json``, ``report.html``
    and, of each failed job, a folder in ``failures`` with its Verilog, logs and waves. The reports of the run that
    ended last stand in ``out`` too. When interrupted, all simulators end and no partial file stays. A processing
    element must also close all its coverage points, and so must a preset of the vector MAC, if ``beats`` are as many as
    :data:`vsq.tb.designs.CLOSING_BEATS`.

    Args:
        designs: Vector MACs and processing elements: configurations, or texts such as ``4/4U/4/6`` and
            ``4/4/4/6@lanes=8``. Duplicates run once.
        sims: Names of simulators.
        jobs: Jobs at a time.
        out: A folder, made if absent.
        beats, seed: Length and seed of each job's random stream, of vectors or of commands; None takes those of
            :data:`vsq.tb.designs.ENVIRONMENTS`. The same seed gives the same simulation.
        dut: A design to simulate instead of the generated one.
        console: Where the progress and the table are shown; None shows nothing.

    Raises:
        InputError: If a simulator is missing or too old, a number is out of range, or ``out`` cannot be written.
    """
    for name, value in (("beats", beats), ("jobs", jobs)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: at least 1 is needed; ask for more")
    if seed < 0:
        raise InputError(f"seed {seed}: seeds are not negative; choose another")
    given: dict[str, Any] = {"verilog": dut.verilog, "options": dut.options} if dut else {}
    configs = {config.full_name: config for config in map(configuration, several(designs))}
    wanted = [
        Job(config=name, simulator=sim, seed=seed, beats=beats or environment(config).beats, **given)
        for name, config in configs.items()
        for sim in dict.fromkeys(sims)
    ]
    return run(wanted, workers=jobs, out=Path(out), console=console)


def play(
    config: Configuration, stimulus: Any, *, sims: Sequence[str], out: Path, console: Console | None = None
) -> Summary:
    """Stream given stimulus, such as a whole layer, through the design at full speed, and compare every result.

    Under Verilator the playback takes about a million vectors a second. :func:`vsq.golden.stimulus.stream.layer` makes
    beats of a layer. Writes and raises what :func:`regress` does.
    """
    with tempfile.TemporaryDirectory(prefix="vsq-play-") as folder:
        path = Path(folder, "beats.npz")
        streams = environment(config).interface(config).streams(stimulus)
        Recording(config=config.full_name, streams=streams).save(path)
        beats = length(next(iter(streams.values())))
        jobs = [
            Job(config=config.full_name, simulator=sim, seed=0, beats=beats, playback=str(path))
            for sim in dict.fromkeys(sims)
        ]
        return run(jobs, workers=1, out=out, console=console)


def run(jobs: Sequence[Job], *, workers: int, out: Path, console: Console | None = None) -> Summary:
    """Run jobs and report on them as :func:`regress` says."""
    for sim in dict.fromkeys(job.simulator for job in jobs):
        simulators.find(sim)
    console = console or Console(quiet=True)
    with run_folder(out) as (folder, work):
        for name in REPORTS:
            (out / name).unlink(missing_ok=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with _terminable(), Progress(*columns, console=console, transient=True) as progress:
            summary = Summary(_results(jobs, folder, work, workers, progress), folder)
        _show(summary, console)
        for name, write in REPORTS.items():
            for place in (folder, out):
                write(summary.results, place / name, folder / FAILURES)
    console.print(f"reports in {folder}, and until the next run in {out}: {', '.join(REPORTS)}", soft_wrap=True)
    return summary


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


def _results(
    jobs: Sequence[Job], folder: Path, work: Path, workers: int, progress: Progress
) -> list[tuple[Job, Result]]:
    """Run jobs and keep what failed ones leave; jobs that cannot be run, as on a full disk, have failed."""
    done: dict[Job, Result] = {}
    reason = ""
    try:
        with closing(run_jobs(jobs, work, workers)) as ended:
            for job, result in progress.track(ended, len(jobs), description="regression"):
                done[job] = result
                old, new = work / job.name, folder / FAILURES / job.name
                if result.passed:
                    shutil.rmtree(old)
                else:
                    new.parent.mkdir(exist_ok=True)
                    os.replace(old, new)
                    moved = [replace(one, failure=one.failure.replace(str(old), str(new))) for one in result.outcomes]
                    done[job] = replace(result, outcomes=moved)
    except OSError as error:
        reason = f"not run: {error}"
    not_run = Result(outcomes=[Outcome(name="job", failure=reason)])
    return [(job, done.get(job, not_run)) for job in jobs]


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat termination as an interrupt, so that both clean up; signals belong to the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(summary: Summary, console: Console) -> None:
    """Print the table, and for each failed job its report and how to repeat it."""
    table = Table(Column(COLUMNS[0], overflow="fold"), *COLUMNS[1:])
    for column in table.columns[2:-1]:
        column.justify = "right"
    for job, result in summary.results:
        *entries, verdict = cells(job, result)
        table.add_row(*entries, f"[{'green' if result.passed else 'red'}]{verdict}[/]")
    console.print(table)
    for job, result in summary.results:
        for outcome in result.outcomes:
            if outcome.failure:
                console.print(f"\n[red]FAIL[/] {job.config} {job.simulator} {outcome.name}\n{escape(outcome.failure)}")
        if not result.passed:
            kept = summary.folder / FAILURES / job.name
            console.print(f"  files: {kept}" + (f", waves: {kept / result.waves}" if result.waves else ""))
            if (kept / RECORDING).exists():
                console.print(f"  replay and shrink: vsq regress --reproduce {kept / RECORDING}", soft_wrap=True)
            if job.command:
                console.print(f"  again: {job.command}", soft_wrap=True)
    for config in dict.fromkeys(job.design for job, _ in summary.results if not job.playback):
        if missed := environment(config).waived(config):
            console.print(f"[yellow]{config.full_name}: {missed}[/]", soft_wrap=True)
    passed = sum(result.passed for _, result in summary.results)
    console.print(f"{passed} of {len(summary.results)} passed")
