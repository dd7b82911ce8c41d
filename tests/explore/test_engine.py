"""Workers, clients and schedulers die; figures do not."""

import importlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path

import pytest

pytest.importorskip("bracex")
pytestmark = pytest.mark.slow

from vsq.explore import cluster as dask
from vsq.explore.cluster import cluster
from vsq.explore.exploration import explore
from vsq.explore.space import read
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.errors import InputError
from vsq.golden.io.engine import Engine, WorkerDiedError, local

SPACE = [f"{{{','.join(map(str, range(2, 14)))}}}/4/-/-"]
MEASURE = """
    import os, signal, time
    from dataclasses import dataclass
    from pathlib import Path
    from vsq.explore.measures.measure import Measure
    from vsq.golden.contract.errors import InputError
    from vsq.synth.measure.records import records


    @dataclass(frozen=True, kw_only=True)
    class Odd(Measure):
        '''Weight bits; some points take their worker's life, or fail.'''

        name = "odd"
        summary = "weight bits"
        quantity = "weight bits"
        log: str
        fatal: int = 0  # weight bits of the point that always kills its worker
        failing: int = 0
        seconds: float = 0.0

        def figures(self, config):
            with open(self.log, "a") as file:
                file.write(f"{config.weight.bits} {os.getpid()}\\n")
            time.sleep(self.seconds)
            if config.weight.bits == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            if config.weight.bits == self.failing:
                raise InputError("no such figure") if self.fatal else ZeroDivisionError("by zero")
            return records(config.full_name, [("total", "weight bits", config.weight.bits, "bit")])
"""
CLIENT = """
    import sys
    from pathlib import Path
    from odd_measure import Odd
    from vsq.explore.exploration import explore
    from vsq.explore.space import read
    from vsq.golden.io.engine import local

    if __name__ == "__main__":
        explore(read([sys.argv[1]]), [Odd(log=sys.argv[2], seconds=0.05)], Path(sys.argv[3]), local(2))
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Return the class of a measure that is a file of a user's own."""
    (tmp_path / "odd_measure.py").write_text(textwrap.dedent(MEASURE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_measure", raising=False)
    return importlib.import_module("odd_measure").Odd


@pytest.fixture
def chance():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    return random.Random(seed)


def bits(results):
    return sorted(point.values[0] for point in results.points)


def test_a_point_that_kills_its_worker_is_blamed(odd, tmp_path):
    log = tmp_path / "log"
    measure = odd(log=str(log), fatal=7, failing=5)
    results = explore(read(SPACE), [measure], tmp_path / "store", local(2))
    assert bits(results) == [n for n in range(2, 14) if n not in (5, 7)]
    [died, failed] = sorted(results.failures)
    assert "its worker died twice" in died
    assert failed == "odd: no such figure"
    calls = [line.split()[0] for line in log.read_text().splitlines()]
    assert calls.count("7") == 2
    assert max(map(calls.count, calls)) == 2  # the one beside it may be measured again
    log.unlink()
    assert bits(explore(read(SPACE), [measure], tmp_path / "store", local(2))) == bits(results)
    assert not log.exists()  # nothing is measured twice, not even failures
    measure = odd(log=str(log), failing=5)
    again = explore(read(SPACE), [measure], tmp_path / "store", local(1))
    assert again.failures == {"odd: ZeroDivisionError: by zero": 1}
    explore(read(SPACE), [measure], tmp_path / "store", local(1), retry=True)
    assert log.read_text().split()[::2].count("5") == 2


def test_workers_killed_at_random_moments_lose_nothing(odd, tmp_path, chance):
    log = tmp_path / "log"
    log.touch()
    kills = 0
    measure = odd(log=str(log), seconds=0.1)
    seen = 0
    store = RecordStore(tmp_path / "store")
    for task, _ in local(2).run(store.measure, [Task.of(config, measure) for config in read(SPACE).points]):
        assert store.read(task)
        seen += 1
        if kills < 3 and chance.random() < 0.5:
            worker = int(log.read_text().splitlines()[-1].split()[1])
            if alive(worker):
                os.kill(worker, signal.SIGKILL)
                kills += 1
    assert kills
    assert seen == len([*store]) == 12
    assert not [entry for _, entry in store if "failure" in entry]


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_client_killed_at_random_moments_resumes(odd, tmp_path, chance, how):
    log, store = tmp_path / "log", RecordStore(tmp_path / "store")
    log.touch()
    client = tmp_path / "client.py"
    client.write_text(textwrap.dedent(CLIENT))
    command = [sys.executable, str(client), SPACE[0], str(log), str(store.folder)]
    for _ in range(3):
        before = len([*store])
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and len(log.read_text().splitlines()) <= before:
            time.sleep(0.01)
        time.sleep(chance.random() / 4)
        if process.poll() is None:  # else all was measured before
            os.killpg(process.pid, how)
        process.wait(timeout=60)
        assert len([*store]) >= before
    subprocess.run(command, check=True, timeout=120)
    assert len([*store]) == 12
    calls = len(log.read_text().splitlines())
    assert calls <= 12 + 3 * 2  # two in flight at each end


def test_workers_end_with_a_client_that_is_killed(odd, tmp_path):
    log = tmp_path / "log"
    log.touch()
    (tmp_path / "client.py").write_text(textwrap.dedent(CLIENT).replace("0.05", "60"))
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "client.py"), SPACE[0], str(log), str(tmp_path / "store")],
        start_new_session=True,
    )
    while process.poll() is None and len(log.read_text().splitlines()) < 2:
        time.sleep(0.05)
    workers = [int(line.split()[1]) for line in log.read_text().splitlines()]
    assert len(set(workers)) == 2
    process.kill()
    process.wait(timeout=60)
    until = time.monotonic() + 20
    while any(map(running, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(running, workers))


def running(process):
    """Return whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ctrl_c_is_one_line(tmp_path):
    command = [sys.executable, "-m", "vsq", "explore", "{2..9}/{2..9}/-/-", "--out", str(tmp_path), "--jobs", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not [*tmp_path.glob("??/*.json")]:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == "vsq: interrupted\n"


@pytest.mark.filterwarnings("ignore")  # of Dask, about sockets that a killed process left open
def test_a_cluster_measures_the_same(odd, tmp_path):
    distributed = pytest.importorskip("distributed")
    patience = {
        "distributed.deploy.lost-worker-timeout": "300s"
    }  # 15 s, and a slow machine's worker is not started anew
    with (
        importlib.import_module("dask").config.set(patience),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True, silence_logs="CRITICAL"
        ) as workers,
    ):
        runner = cluster(workers.scheduler_address)
        assert runner.workers == 2
        measure = odd(log=str(tmp_path / "log"), fatal=7, failing=5)
        results = explore(read(SPACE), [measure], tmp_path / "store", runner)
    assert bits(results) == [n for n in range(2, 14) if n not in (5, 7)]
    assert {reason.partition(":")[2].strip() for reason in results.failures} == {
        "no such figure",
        "its workers died again and again, at last with no other task beside it",
    }


@pytest.mark.filterwarnings("ignore")  # of Dask, about sockets
def test_no_result_is_fetched_from_a_worker_that_may_be_dead(odd, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    asked = []
    monkeypatch.setattr(distributed.Client, "_gather", lambda *_, **__: asked.append(1))
    with distributed.LocalCluster(n_workers=1, dashboard_address=None, processes=False) as workers:
        results = explore(
            read(SPACE), [odd(log=str(tmp_path / "log"))], tmp_path / "store", cluster(workers.scheduler_address)
        )
    assert bits(results) == [*range(2, 14)]
    assert not asked


class Cluster(Executor):
    """Workers that the point of 7 weight bits kills, at first with the points of 6 and 8 queued on them."""

    def __init__(self):
        self.calls = []

    def submit(self, fn, task):
        held, future = task.configuration[0], Future()
        self.calls.append(held)
        if held == "7" or (held in "68" and self.calls.count(held) == 1):
            future.set_exception(WorkerDiedError())
        else:
            future.set_result(fn(task))
        return future


def test_points_queued_on_a_worker_that_dies_are_not_blamed(odd, tmp_path):
    executor = Cluster()
    runner = Engine(lambda _: nullcontext(executor), workers=2, ahead=2)
    results = explore(read(SPACE), [odd(log=str(tmp_path / "log"))], tmp_path / "store", runner)
    assert bits(results) == [n for n in range(2, 14) if n != 7]
    [reason] = results.failures
    assert "no other task beside it" in reason
    assert sorted(executor.calls[-3:]) == ["6", "7", "8"]


def test_no_scheduler_is_one_line(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask, "_PATIENCE", 1)
    with pytest.raises(InputError, match=r"scheduler 'tcp://127.0.0.1:1': .*; start one by 'dask scheduler'"):
        cluster("tcp://127.0.0.1:1")


@pytest.mark.filterwarnings("ignore")  # of Dask, about sockets that a killed process left open
def test_a_lost_scheduler_is_one_line_and_another_one_resumes(odd, tmp_path, chance):
    pytest.importorskip("distributed")
    store, measure = RecordStore(tmp_path / "store"), odd(log=str(tmp_path / "log"), seconds=0.2)
    for attempt in range(2):
        file = tmp_path / f"scheduler{attempt}.json"
        common = ["--scheduler-file", str(file), "--no-dashboard"]
        dask = [sys.executable, "-m", "dask"]
        ends = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with (
            subprocess.Popen(
                [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *common], cwd=tmp_path, **ends
            ) as scheduler,
            subprocess.Popen([*dask, "worker", "--nthreads", "1", *common], cwd=tmp_path, **ends) as worker,
        ):
            try:
                while scheduler.poll() is None and not (file.exists() and file.read_text()):
                    time.sleep(0.05)
                address = json.loads(file.read_text())["address"]
                distributed = importlib.import_module("distributed")
                with distributed.Client(address, set_as_default=False) as client:
                    client.wait_for_workers(1, timeout=30)
                runner = cluster(address)
                if attempt:
                    assert bits(explore(read(SPACE), [measure], store.folder, runner)) == [*range(2, 14)]
                    continue
                tasks = [Task.of(config, measure) for config in read(SPACE).points]
                last = chance.randrange(2, 7)
                found = runner.run(store.measure, tasks)
                for _ in range(last):
                    next(found)
                scheduler.kill()
                with pytest.raises(InputError, match="the scheduler is lost; what was measured is kept"):
                    list(found)
                assert last <= len([*store]) < 12
            finally:
                scheduler.kill()
                worker.kill()
