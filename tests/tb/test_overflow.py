"""A default accumulator that lacks its saturation is found by both benches that ship, with however few beats."""

import re
import subprocess
from dataclasses import replace

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.hw.emit.design import design
from vsq.tb.regression.job import TOP, Job, run_jobs
from vsq.tb.vectors import generation as vectors
from vsq.tb.vectors.generation import write_mac_vectors

CONFIG = MacConfig.parse("4/4/4/6")
BEATS = 20
# What exceeds the range is lost at both ends or at one; ``limit`` is whether it is the upper one.
LOST = {"both ends": "1'h0", "above": r"\1 & ~limit", "below": r"\1 & limit"}


@pytest.fixture(params=LOST)
def unsound(request):
    verilog, count = re.subn(r"(?<=wire exceeds = )([^;]*)(?=;)", LOST[request.param], design(CONFIG).verilog(TOP))
    assert count == 1
    return verilog


@pytest.mark.parametrize("axis", [False, True])
@pytest.mark.parametrize("pipeline", range(4))
def test_results_of_the_plain_bench_stand_at_both_ends(pipeline, axis):
    config = replace(CONFIG, pipeline=pipeline)
    stream, _ = vectors._stream(config, BEATS, 1, axis=axis)
    result = mac(config, **vars(stream))
    assert {1 << 28, (1 << 28) - 1} <= {abs(value) for value in result.acc[result.overflow].tolist()}


def test_regression(unsound, require_tool, tmp_path):
    require_tool("icarus")
    job = Job(config=CONFIG.full_name, simulator="icarus", seed=1, beats=BEATS, verilog=unsound, waves=False)
    [(_, result)] = run_jobs([job], tmp_path / "jobs", workers=1)
    assert "is wrong" in {outcome.name: outcome.failure for outcome in result.outcomes}["random_traffic"]


def test_plain_bench(unsound, require_tool, tmp_path):
    require_tool("icarus")
    write_mac_vectors(CONFIG, tmp_path, BEATS, seed=1, name=TOP)

    def passes(verilog):
        (tmp_path / f"{TOP}.v").write_text(verilog)
        subprocess.run(["iverilog", "-o", "bench", f"{TOP}_tb.v", f"{TOP}.v"], cwd=tmp_path, check=True)
        run = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, capture_output=True, text=True, check=False)
        return "PASS" in run.stdout

    assert passes(design(CONFIG).verilog(TOP))
    assert not passes(unsound)
