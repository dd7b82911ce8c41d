"""Streams from a file under Icarus, and what the plain bench of the speed table is."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.testbench import CONFIG, _beats
from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus.stream import beats
from vsq.hw.emit.design import design
from vsq.tb.designs import ENVIRONMENTS
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.mac import MacInterface
from vsq.tb.regression import worker
from vsq.tb.regression.job import PLAYBACK_TESTS, TOP, Job, run_jobs

EVEN = MacConfig.parse("4/4/4/6:V=4,R=6,round=half_even,acc=16")
UP = MacConfig.parse("4/4/4/6:V=4,R=6,acc=16")


def played(folder, stream, config):
    """Play a stream through the Verilog of another configuration with the same ports."""
    Recording(config=UP.full_name, streams=MacInterface(UP).streams(stream)).save(folder / "beats.npz")
    job = Job(
        config=UP.full_name,
        simulator="icarus",
        seed=0,
        playback=str(folder / "beats.npz"),
        verilog=design(config).verilog(TOP),
        waves=False,
    )
    [(_, result)] = run_jobs([job], folder / "work", workers=1)
    return result


@pytest.mark.parametrize("count", [1, 1000])
def test_every_result_of_a_stream(count, require_tool, tmp_path):
    require_tool("icarus")
    stream = beats(UP, count, 3)
    result = played(tmp_path, stream, UP)
    assert result.passed, result
    assert [outcome.name for outcome in result.outcomes] == list(PLAYBACK_TESTS)
    assert (result.counts["beats"], result.counts["results"]) == (count, stream.last.sum())


def test_another_rounding_is_found(require_tool, tmp_path):
    require_tool("icarus")
    [outcome] = played(tmp_path, beats(UP, 400, 3), EVEN).outcomes
    assert "is wrong" in outcome.failure
    assert "expected acc" in outcome.failure


@pytest.mark.parametrize("defect", [0, 1])
def test_the_plain_bench_of_the_speed_table_compares_results(defect, require_tool, tmp_path, monkeypatch):
    require_tool("icarus")
    plain = replace(ENVIRONMENTS["mac"], bench="benchmarks.percycle_bench")
    monkeypatch.setitem(ENVIRONMENTS, "mac", plain)
    source = tmp_path / f"{TOP}.v"
    Recording(config=CONFIG.full_name, streams=MacInterface(CONFIG).streams(_beats(64)), simulator="icarus").save(
        tmp_path / "beats.npz"
    )
    job = Job(config=CONFIG.full_name, simulator="icarus", seed=0, playback=str(tmp_path / "beats.npz"), waves=False)
    assert worker.prepare(job, tmp_path) == source
    if defect:
        source.write_text(design(MacConfig.parse("4/4/4/6:round=truncate,R=9,acc=29")).verilog(TOP))
    [outcome] = worker._simulate(job, tmp_path, source, waves=False)
    assert bool(outcome.failure) == bool(defect)


def test_the_layer_of_the_speed_table():
    stream = _beats(1000)
    assert len(stream) == 992
    assert np.array_equal(stream.first, np.arange(992) % 16 == 0)
