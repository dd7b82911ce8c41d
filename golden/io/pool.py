"""A pool of processes that leaves nothing behind."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Thread


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """Yield a pool whose tasks that wait are dropped at its end, as by Ctrl-C.

    Its processes are spawned, since a fork of PyTorch's threads can hang; they have one thread each, say nothing when
    they are interrupted, and end within a second of this process, which may be killed. At the pool's end they are
    killed: one that missed an interrupt would be waited for, and so would all if one had died with the lock of results.
    """
    executor = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield executor
    finally:
        for process in [*(executor._processes or {}).values()]:
            process.kill()
        executor.shutdown(cancel_futures=True)


def _start() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(client: int) -> None:
    """End this process as soon as its client is gone."""
    while os.getppid() == client:
        time.sleep(1)
    os._exit(1)
