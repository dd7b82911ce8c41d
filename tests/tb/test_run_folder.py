"""Runs in one folder, one after another, at once, killed, or on a full disk."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.tb.regression import run as regression
from vsq.tb.regression.job import Outcome, Result
from vsq.tb.regression.reports import REPORTS
from vsq.tb.regression.run import regress, run_folder

HOLD = """
import sys
from pathlib import Path
from vsq.tb.regression.run import run_folder
with run_folder(Path(sys.argv[1])) as (folder, work):
    (work / "job").mkdir()
    print(folder.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a run folder until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "run-1\n"
    yield process
    process.kill()
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_run_at_the_same_time_has_a_folder_of_its_own(holder, tmp_path):
    with run_folder(tmp_path) as (folder, _):
        assert folder == tmp_path / "run-2"
        (folder / "junit.xml").write_text("2")
        assert (tmp_path / "run-1" / ".work" / "job").exists()
    assert names(tmp_path / "run-2") == ["junit.xml"]
    holder.communicate("")
    assert names(tmp_path) == ["run-2"]  # nothing came of the other one


def test_the_work_of_a_killed_run_goes_with_the_next_one(holder, tmp_path):
    (tmp_path / "run-1" / "failures").mkdir()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run-1" / ".work" / "job").exists()
    (tmp_path / "run-other").mkdir()
    with run_folder(tmp_path) as (folder, _):
        assert folder == tmp_path / "run-2"
        assert names(tmp_path / "run-1") == ["failures"]
    assert names(tmp_path) == ["run-1", "run-other"]


@pytest.fixture
def at_once(require_tool, monkeypatch):
    """Jobs that pass without simulation."""
    require_tool("icarus")

    def run_jobs(jobs, folder, workers):
        for job in jobs:
            (folder / job.name).mkdir()
            yield job, Result(outcomes=[Outcome(name="test", seconds=1.0)])

    monkeypatch.setattr(regression, "run_jobs", run_jobs)


def test_a_later_run_keeps_the_reports_of_the_one_before(at_once, tmp_path):
    first, second = (
        regress([MacConfig.parse(text)], sims=["icarus"], out=tmp_path, beats=20, seed=1).folder
        for text in ("2/2/-/-:V=1", "3/2/-/-:V=1")
    )
    assert names(tmp_path) == sorted([*REPORTS, "run-1", "run-2"])
    for name in REPORTS:
        assert "2/2/-/-:V=1" in (first / name).read_text()
        assert "3/2/-/-:V=1" in (second / name).read_text()
        assert (tmp_path / name).read_bytes() == (second / name).read_bytes()


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_at_the_end_still_shows_the_jobs(at_once, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "replace", full)
    assert vsq.main(["regress", "2/2/-/-:V=1", "--sim", "icarus", "--beats", "20", "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert "junit.xml: cannot be written (No space left on device)" in line
    assert "1 of 1 passed" in captured.out
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_at_once_still_shows_the_jobs(require_tool, tmp_path, monkeypatch, capsys):
    require_tool("icarus")

    def run_jobs(*_):
        full()
        yield

    monkeypatch.setattr(regression, "run_jobs", run_jobs)
    assert vsq.main(["regress", "2/2/-/-:V=1", "--sim", "icarus", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "not run: [Errno 28] No space left on device" in printed
    assert "0 of 1 passed" in printed


@pytest.mark.parametrize("there", ["file", "full"])
def test_a_folder_that_cannot_be_made_is_one_line(there, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    if there == "full":
        monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(InputError, match=f"{there}: cannot be written"), run_folder(tmp_path / there):
        pass
