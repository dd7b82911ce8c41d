"""Windows in the emitted Verilog: every pair of exponents, random beats, lint and planted defects."""

import re
from itertools import product

import numpy as np
import pytest

from vsq.golden.contract.config import FORMATS, MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus import stream
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.tb.coverage.datapath import POINTS
from vsq.tb.coverage.points import hits, missing
from vsq.tb.coverage.traffic import Traffic
from vsq.tb.formal.reference import reference
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP
from vsq.tb.simulation.build import call
from vsq.tb.simulation.simulators import find

pytestmark = pytest.mark.slow

MIXED = [
    "2/e2m1/-/e8m0:V=2,window=9,pipeline=2,style=behavioural",
    "2U/2U/ue4m3/ue4m3:V=1,window=44,pipeline=2",
    "4/e4m3/6/e8m0:V=3,R=4,window=70,pipeline=3",
    "e2m1/e2m1/e8m0/ue4m3:V=6,window=22,R=2,round=half_even",
]
TINY = MacConfig.parse("4/4U/e8m0/e8m0:V=2,window=16")
DEFECTS = {
    "exponents added in 8 bits": (r"\{1'b0, (beat\[\d+\+:8\])\} \+ \{1'b0, (beat\[\d+\+:8\])\}", r"{\1 + \2}"),
    "an offset of one bit less": (r">>> beat1\[(\d+)\+:9\]", r">>> beat1[\1+:8]"),
    "negative terms rounded towards zero": (r"product >>> (beat1.*?);", r"product / (1 <<< \1);"),
    "a flag that forgets": (r"lost \| inexact & !first1", "lost"),
    "no flag": (r"inexact <= .*;", "inexact <= 0;"),
    "terms cut to the window": (r"wire signed \[\d+:0\] total", "wire signed [15:0] total"),
}


@pytest.mark.parametrize("text", MIXED)
def test_random_beats(text, require_tool):
    require_tool("verilator")
    config = MacConfig.parse(text)
    play(config, MacInterface(config).streams(stream.complete(config, 4000, 3)))


def test_every_pair_of_exponents(require_tool):
    require_tool("verilator")
    config = MacConfig.parse("1U/1U/e8m0/e8m0:V=1,window=8")
    sw, sa = np.array([*product(*(fmt.values for fmt in config.scales))]).T
    ones, marks = np.ones((len(sw), 1), np.int64), np.ones(len(sw), np.bool_)
    offsets = (sw + sa - np.arange(len(sw)) % 10 + 1).clip(0, 511)  # from one place below the window to one above it
    beats = Beats(ones, ones, sw, sa, marks, marks, offsets)
    result = mac(config, **vars(beats))
    assert set(result.acc.tolist()) == {0, 1, 2, 4, 8, 16, 32, 64, 127}
    assert play(config, MacInterface(config).streams(beats)).board.results == 255 * 255


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect, require_tool):
    require_tool("verilator")
    streams = MacInterface(TINY).streams(stream.complete(TINY, 2000, 1))
    planted, count = re.subn(*DEFECTS[defect], reference(TINY, TOP), count=1)
    assert count == 1
    with pytest.raises(AssertionError, match="is wrong"):
        play(TINY, streams, verilog=planted)


def test_plain_verilog_passes(require_tool):
    require_tool("verilator")
    play(TINY, MacInterface(TINY).streams(stream.complete(TINY, 2000, 1)), verilog=reference(TINY, TOP))


@pytest.mark.parametrize("name", FORMATS)
def test_verilog_is_clean(name, require_tool, tmp_path):
    require_tool("verilator")
    (tmp_path / "dut.v").write_text(design(MacConfig.parse(name)).verilog())
    verilator = find("verilator")
    call(verilator, [verilator.executable, "--lint-only", "-Wall", "dut.v"], tmp_path)


@pytest.mark.parametrize("name", ["mxfp4", "e2m1/e2m1/ue4m3/ue4m3:window=44"])
def test_random_beats_close_the_datapath(name):
    config = MacConfig.parse(name)
    for seed in range(2):
        beats = stream.concatenate([stream.complete(config, 2500, seed), stream.scale_pairs(config, seed)])
        seen = Traffic(config, [(beats, mac(config, **vars(beats), trace=True).trace)], compared=len(beats))
        assert set(missing(hits(POINTS, seen))) <= {"cp_after_reset"}, seed
