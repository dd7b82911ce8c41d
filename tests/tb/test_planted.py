"""Defects that public designs have shipped with, and one that a beat in a million shows, planted in a whole MAC.

They stand in the MAC in plain Verilog, :func:`vsq.tb.formal.prove.reference`, where a defect reads as its author wrote
it.
"""

import re

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus import stream
from vsq.hw.emit.design import design
from vsq.tb.formal.equivalence import Verdict, compare_with
from vsq.tb.formal.prove import reference
from vsq.tb.interface.mac import MacInterface
from vsq.tb.mutation.pins import Pins
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP

pytestmark = pytest.mark.slow

CONFIG = MacConfig.parse("4/4U/4/4:V=4,R=6,acc=12")
TINY = MacConfig.parse("3/3U/4/4:V=1,R=6,acc=10")
DEFECTS = {
    "wrap before saturate": (r"wire signed \[\d+:0\] total", "wire signed [11:0] total"),
    "a scale of one bit": (r"p = beat\[(\d+)\+:4\]", r"p = beat[\1+:1]"),
    "floor instead of the named rounding": (r"\(p >> 2\) \+ \(p\[1\]\)", "p >> 2"),
    "an unsigned read of a signed lane": (r"\$signed\(beat\[(\d+)\+:4\]\) \* ", r"$signed({1'b0, beat[\1+:4]}) * "),
    "a flag that forgets": (r"exceeds \| overflow & !first1", "exceeds"),
}
RARE = (  # r is one too large for one code pair at one rounding tie, if the accumulator ends in 000101: 1 in 2^20
    r"factor\(beat1\);",
    "(factor(beat1) + $signed({1'b0, beat1 == {4'd7, 4'd6, 3'd5, 3'd3} & acc[5:0] == 6'd5}));",
)


def planted(config, module, pattern, replacement):
    """Return the MAC with one defect."""
    design, count = re.subn(pattern, replacement, reference(config, module), count=1)
    assert count == 1
    return design


def test_plain_verilog_passes(require_tool):
    require_tool("verilator")
    play(CONFIG, MacInterface(CONFIG).streams(stream.beats(CONFIG, 5000, 1)), verilog=reference(CONFIG, TOP))


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_found_by_random_beats(defect, require_tool):
    require_tool("verilator")
    design = planted(CONFIG, TOP, *DEFECTS[defect])
    with pytest.raises(AssertionError, match="is wrong"):
        play(CONFIG, MacInterface(CONFIG).streams(stream.beats(CONFIG, 2000, 1)), verilog=design)


def test_one_in_a_million_is_found_by_proof():
    defect = planted(TINY, "other", *RARE)
    assert compare_with(Pins(TINY), design(TINY).rtlil(TOP), defect, 60) == Verdict.DIFFERENT
