"""Infinity and NaN in the emitted Verilog, and a design that reads them as numbers, as public ones have."""

import re

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus import stream
from vsq.hw.emit.design import design
from vsq.tb.coverage.datapath import POINTS
from vsq.tb.coverage.points import hits, missing
from vsq.tb.coverage.traffic import Traffic
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP
from vsq.tb.simulation.build import call
from vsq.tb.simulation.simulators import find

pytestmark = pytest.mark.slow

CONFIGS = ["e4m3/e5m2/e8m0/ue4m3:V=2,window=90,finite=0,pipeline=2", "e4m3/2/ue4m3/-:V=2,finite=0,pipeline=0"]


@pytest.mark.parametrize("text", CONFIGS)
def test_random_beats(text, require_tool, tmp_path):
    require_tool("verilator")
    config = MacConfig.parse(text)
    streams = MacInterface(config).streams(stream.complete(config, 2000, 3))
    play(config, streams)
    verilog = design(config).verilog(TOP)
    (tmp_path / "dut.v").write_text(verilog)
    verilator = find("verilator")
    call(verilator, [verilator.executable, "--lint-only", "-Wall", "dut.v"], tmp_path)
    blind, count = re.subn(r"(wire \w*nan_in = )[^;]*;", r"\g<1>1'b0;", verilog)
    assert count == 1
    with pytest.raises(AssertionError, match="invalid 1"):
        play(config, streams, verilog=blind)


@pytest.mark.parametrize("text", CONFIGS)
def test_random_beats_close_the_points(text):
    config = MacConfig.parse(text)
    beats = stream.complete(config, 3000, 1)
    seen = Traffic(config, [(beats, mac(config, **vars(beats), trace=True).trace)], compared=len(beats))
    found = hits(POINTS, seen)
    assert {"cp_invalid", "cp_weight_corners"} <= set(found)
    assert not set(missing(found)) & {"cp_invalid", "cp_weight_corners", "cp_results"}
    assert np.count_nonzero(seen.trace.invalid)
