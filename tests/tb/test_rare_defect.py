"""A defect of one code pair in one lane at one rounding tie, about five beats in a million, is found and shrunk."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus import stream as stimulus
from vsq.hw.emit.design import design
from vsq.tb.failures.reproduce import shrink
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import PlaybackError, play
from vsq.tb.regression.job import TOP

pytestmark = pytest.mark.slow

CONFIG = MacConfig.parse("4/4/4/6:V=4,R=6,acc=18")
BEATS = 500_000
TIE = 72  # p = 4.5 * 2^s

# Where element 0 multiplies -7 by 5 and the scale product is 72, the hardware sees the weight -8.
PLANTED = """
module dut(input clk, input rst, input in_valid, input [15:0] in_weights, input [15:0] in_activations,
  input [3:0] in_weight_scale, input [5:0] in_activation_scale, input in_first, input in_last, input out_ready,
  output in_ready, output out_valid, output [17:0] out_acc, output out_overflow);
  wire [9:0] p = in_weight_scale * in_activation_scale;
  wire hit = in_weights[3:0] == 4'h9 & in_activations[3:0] == 4'h5 & p == 72;
  sound inner(.clk(clk), .rst(rst), .in_valid(in_valid), .in_weights(in_weights ^ hit),
    .in_activations(in_activations), .in_weight_scale(in_weight_scale), .in_activation_scale(in_activation_scale),
    .in_first(in_first), .in_last(in_last), .out_ready(out_ready), .in_ready(in_ready), .out_valid(out_valid),
    .out_acc(out_acc), .out_overflow(out_overflow));
endmodule
"""


def hits(stream):
    products = stream.weight_scales * stream.activation_scales
    return np.flatnonzero((stream.weights[:, 0] == -7) & (stream.activations[:, 0] == 5) & (products == TIE))


def test_a_rare_defect(require_tool):
    require_tool("verilator")
    stream, interface = stimulus.beats(CONFIG, BEATS, seed=1), MacInterface(CONFIG)
    assert 1 <= len(hits(stream)) <= 10
    verilog = design(CONFIG).verilog(TOP).replace(f"module {TOP}(", "module sound(") + PLANTED
    with pytest.raises(PlaybackError, match="is wrong") as error:
        play(CONFIG, interface.streams(stream), verilog=verilog)
    assert len(interface.stimulus(error.value.streams)) < BEATS
    minimal = shrink(CONFIG, error.value.streams, None, verilog)
    beats = interface.stimulus(minimal.streams)
    assert len(beats) == 1
    assert len(hits(beats)) == 1
    assert not beats.weights[:, 1:].any()
    assert f"p={TIE} r=5 t=-175 acc=-175" in minimal.failure
    assert "got      acc -200" in minimal.failure
