"""Defects that public designs have shipped with, and one that a beat in a million shows, planted in a whole MAC.

They stand in the MAC in plain Verilog, :func:`vsq.tb.formal.reference.reference`, where a defect reads as its author
wrote it.
"""

import re

import pytest

from vsq.golden.contract.config import FORMATS, MacConfig
from vsq.golden.formats.elements import Minifloat
from vsq.golden.stimulus import stream
from vsq.hw.emit.design import design
from vsq.tb.formal.equivalence import Verdict, compare_with
from vsq.tb.formal.reference import reference
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
FLOAT_SCALES = MacConfig.parse("4/4U/ue4m3/ue4m3:V=4,R=6")
FLOAT_DEFECTS = {
    "a hidden 1 at exponent 0": (r"== 0 \? (beat\[\d+\+:3\]) :", r"== 0 ? \1 + 8 :"),
    "exponents added in the bits of one": (r"p << \((.*)\);", r"p << ((\1) & 15);"),
    "the exponent's field as the exponent": (r"(beat\[\d+\+:4\]) - 1\)", r"\1)"),
}
RARE = (  # r is one too large for one code pair at one rounding tie, if the accumulator ends in 000101: 1 in 2^20
    r"factor\(beat1\),",
    "(factor(beat1) + $signed({1'b0, beat1 == {4'd7, 4'd6, 3'd5, 3'd3} & acc[5:0] == 6'd5})),",
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


@pytest.mark.parametrize("defect", FLOAT_DEFECTS)
def test_defect_of_float_scales_is_found(defect, require_tool):
    require_tool("verilator")
    streams = MacInterface(FLOAT_SCALES).streams(stream.beats(FLOAT_SCALES, 1000, 1))
    play(FLOAT_SCALES, streams, verilog=reference(FLOAT_SCALES, TOP))
    with pytest.raises(AssertionError, match="is wrong"):
        play(FLOAT_SCALES, streams, verilog=planted(FLOAT_SCALES, TOP, *FLOAT_DEFECTS[defect]))


@pytest.mark.parametrize("name", ["nvfp4", *FORMATS])
def test_defects_of_block_floats_are_found(name, require_tool):
    """A hidden 1 in an element whose exponent is 0, and exponents added in the 8 bits of one."""
    require_tool("icarus")
    config = MacConfig.parse(name, vector_size=2)
    streams = MacInterface(config).streams(stream.beats(config, 200, 1))
    defects = []
    if isinstance(config.weight, Minifloat):
        defects.append((r"== 0 \? 0 :", f"== 0 ? {1 << config.weight.mantissa_bits} :"))
    if config.window:
        defects.append((r"\{1'b0, (beat\[\d+\+:8\])\} \+ \{1'b0, (beat\[\d+\+:8\])\}", r"{\1 + \2}"))
    play(config, streams, simulator="icarus", verilog=reference(config, TOP))
    for defect in defects:
        with pytest.raises(AssertionError, match="is wrong"):
            play(config, streams, simulator="icarus", verilog=planted(config, TOP, *defect))


def test_one_in_a_million_is_found_by_proof():
    defect = planted(TINY, "other", *RARE)
    assert compare_with(Pins(TINY), design(TINY).rtlil(TOP), defect, 60) == Verdict.DIFFERENT
