"""Engine whose workers are those of a Dask cluster, on other machines perhaps."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from vsq.golden.contract.errors import InputError
from vsq.golden.io.engine import Engine, WorkerDiedError

_PATIENCE = 15  # seconds until a scheduler counts as unreachable


class _Cluster(Executor):
    """The workers of a Dask client; a future says that its task has ended, and holds no result.

    Results are in the store. Dask's own executor fetches them from workers, which may have died since: its futures then
    fail although their tasks did not.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def end(task: Any) -> None:
            if task.status == "error":
                future.set_exception(_translated(task.exception()))
            elif task.status == "cancelled":
                lost = "the scheduler is lost; what was measured is kept: start one, and run again"
                future.set_exception(InputError(lost))
            else:
                future.set_result(None)

        self._client.submit(fn, *args, **kwargs, pure=False).add_done_callback(end)
        return future


def _translated(error: BaseException) -> BaseException:
    """Return what an error of Dask means here."""
    if "deserialization" in str(error):
        same = "install the same versions, and your own measures, on its scheduler and workers"
        return InputError(f"the cluster cannot read the tasks; {same}")
    return (
        WorkerDiedError() if type(error).__name__ == "KilledWorker" else error
    )  # without an import of what is an extra


def cluster(address: str) -> Engine:
    """Return the engine of a Dask cluster, whose workers see the store's folder.

    Raises:
        InputError: If that is no address, no scheduler answers, or it has no workers.
    """
    from distributed import Client
    from distributed.comm import connect, get_address_host
    from distributed.utils import LoopRunner

    async def try_out() -> None:
        comm = await asyncio.wait_for(connect(address, timeout=_PATIENCE), 1.1 * _PATIENCE)
        await comm.close()

    try:
        get_address_host(address)
    except ValueError:
        form = "an address is tcp://HOST:PORT; give the one that 'dask scheduler' prints"
        raise InputError(f"scheduler {address!r}: {form}") from None
    try:
        LoopRunner().run_sync(try_out)  # a client that finds none waits for half a minute when it is deleted
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (MemoryError, TimeoutError):  # what no scheduler sent was read as a length; or nothing was sent
        other = "what answers is no scheduler; give the address that 'dask scheduler' prints"
        raise InputError(f"scheduler {address!r}: {other}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"scheduler {address!r}: {error}; start one by 'dask scheduler', and give its address"
        ) from None
    workers = sum(client.ncores().values())
    if not workers:
        client.close()
        raise InputError(f"scheduler {address!r}: it has no workers; start some by 'dask worker {address}'")

    @contextmanager
    def executor(_: int) -> Iterator[Executor]:
        try:
            yield _Cluster(client)
        finally:
            client.close()

    return Engine(executor, workers, ahead=workers)
