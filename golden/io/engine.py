"""Runs tasks on workers that may die: those of a pool of processes, or of another executor.

A worker that dies takes down its pool: the tasks in flight then run again, each alone, and one whose worker dies once
more is lost. An executor may also live on, and raise :class:`WorkerDiedError` for each task that the worker held.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from vsq.golden.io.pool import pool

Task = TypeVar("Task")
Found = TypeVar("Found")


class WorkerDiedError(Exception):
    """A task's worker has died, of another one's fault perhaps; the executor has others."""


@dataclass(frozen=True)
class Lost:
    """The outcome of a task that has none, as its workers died."""

    reason: str


@dataclass(frozen=True)
class Engine:
    """An executor of tasks, which can be made anew."""

    make: Callable[[int], AbstractContextManager[Executor]]  # takes the number of workers
    workers: int
    ahead: int = 0  # tasks that are submitted beside those that run, so that no worker waits for the next

    def run(
        self, perform: Callable[[Task], Found], tasks: Iterable[Task]
    ) -> Generator[tuple[Task, Found | Lost], None, None]:
        """Yield each task with what ``perform`` returns of it, in the order in which they end; raise what it raises.

        Workers that are processes receive both by pickle. Closing the iterator ends the workers.
        """
        waiting = deque(tasks)
        while waiting:
            in_flight: dict[Future[Found], Task] = {}
            try:
                with self.make(self.workers) as executor:
                    yield from self._drain(executor, perform, waiting, in_flight)
            except BrokenProcessPool:
                for task in in_flight.values():
                    yield task, self._alone(perform, task)

    def _drain(
        self,
        executor: Executor,
        perform: Callable[[Task], Found],
        waiting: deque[Task],
        in_flight: dict[Future[Found], Task],
    ) -> Iterator[tuple[Task, Found | Lost]]:
        """Submit as many tasks as run at a time, until none waits; what breaks the pool is left in ``in_flight``."""
        suspects: list[Task] = []
        while waiting or in_flight:
            while waiting and len(in_flight) < self.workers + self.ahead:
                in_flight[executor.submit(perform, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                try:
                    found = future.result()
                except WorkerDiedError:
                    suspects.append(in_flight.pop(future))
                else:
                    yield in_flight.pop(future), found
        for task in suspects:
            try:
                yield task, executor.submit(perform, task).result()
            except WorkerDiedError:
                yield task, Lost("its workers died again and again, at last with no other task beside it")

    def _alone(self, perform: Callable[[Task], Found], task: Task) -> Found | Lost:
        """Perform a task with a worker of its own, after one has died."""
        with self.make(1) as executor:
            try:
                return executor.submit(perform, task).result()
            except BrokenProcessPool:
                return Lost("its worker died twice, the second time with no other task beside it")


def local(jobs: int) -> Engine:
    """Return the engine of a pool of processes on this machine."""
    return Engine(pool, jobs)
