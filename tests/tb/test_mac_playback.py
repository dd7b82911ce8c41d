"""The C++ playback of the vector MAC: equal to the golden model, in blocks, with pauses, and not to be fooled."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig, Rounding
from vsq.golden.stimulus.stream import beats
from vsq.hw.emit.design import design
from vsq.tb.interface.mac import MacInterface
from vsq.tb.interface.pace import Pace
from vsq.tb.playback import playback as module
from vsq.tb.playback.playback import PlaybackError, check, opened
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.mac import MacScoreboard
from vsq.tb.simulation import build, objcache

SMALL = MacConfig.parse("4/4U/4/6:V=4,R=6,acc=16")


def streams(stream, config=SMALL):
    return MacInterface(config).streams(stream)


def play(config, stream, **options):
    return module.play(config, streams(stream, config), **options)


@pytest.fixture(autouse=True)
def _verilator(require_tool):
    require_tool("verilator")


@pytest.fixture(scope="module")
def playback():
    with opened(SMALL) as playback:
        yield playback


def paused(stream, seed):
    rng = np.random.default_rng(seed)
    return Pace(pauses={"in": rng.integers(0, 4, len(stream))}, taking=rng.random(2 * len(stream)) < 0.5)


def test_every_result_of_a_long_stream_in_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 700)  # the accumulator goes on from block to block
    totals = play(SMALL, beats(SMALL, 5000, 1))
    assert totals.board.beats == {"in": 5000}
    assert totals.board.results == totals.board.expected > 500
    assert totals.board.directions[1] > 4 < totals.board.directions[-1]
    assert totals.cycles > 5000
    assert totals.seconds > 0


def test_words_of_more_than_64_bits():
    config = MacConfig.parse("16/16/16/16:V=3,overflow=wrap,pipeline=0,style=behavioural,acc=90")
    assert play(config, beats(config, 500, 2)).board.results > 50


def test_pauses_change_the_cycles_and_no_result(playback):
    stream = beats(SMALL, 400, 3)
    fast, slow = playback.play(streams(stream)), playback.play(streams(stream), paused(stream, 0))
    assert fast.results == slow.results
    assert slow.cycles > fast.cycles + 300
    for played in (fast, slow):
        board = MacScoreboard(SMALL, "here")
        board.on_beats(streams(stream))
        check(board, streams(stream), played)


def test_a_run_from_reset_forgets_the_last_one(playback):
    stream = beats(SMALL, 300, 4)
    stream.first[:] = False
    first, again = playback.play(streams(stream)), playback.play(streams(stream))
    assert first.results == again.results
    assert playback.play(streams(stream), fresh=False).results != first.results


DEFECTS = """
module dut(input clk, input rst, input in_valid, input [15:0] in_weights, input [15:0] in_activations,
  input [3:0] in_weight_scale, input [5:0] in_activation_scale, input in_first, input in_last, input out_ready,
  output in_ready, output out_valid, output [15:0] out_acc, output out_overflow);
  wire ready, valid;
  wire [15:0] acc;
  reg [7:0] count = 0;  // cycles
  reg [2:0] kind = 0;  // of the defect: in the first beat's activations
  reg given = 0, early = 0;
  always @(posedge clk) begin
    count <= rst ? 0 : count + (~&count);
    if (count == 0) kind <= in_activations[2:0];
    early <= !rst & (early | out_ready & |count);
    given <= !rst & (given | valid & out_ready);
  end
  wire stuck = kind == 1 & count[7];
  sound inner(.clk(clk), .rst(rst), .in_valid(in_valid & !stuck), .in_weights(in_weights),
    .in_activations(in_activations),
    .in_weight_scale(in_weight_scale), .in_activation_scale(in_activation_scale), .in_first(in_first),
    .in_last(in_last), .out_ready(out_ready), .in_ready(ready), .out_valid(valid), .out_acc(acc),
    .out_overflow(out_overflow));
  assign in_ready = ready & !stuck;
  assign out_valid = kind == 2 ? valid & ~&count : kind == 6 ? valid | &count
    : kind == 3 ? given & valid | !early & |count : valid;
  assign out_acc = kind == 4 & !out_ready ? {count, count} : kind == 5 ? acc ^ 1 : acc;
endmodule
"""


@pytest.fixture(scope="module")
def faulty():
    with opened(
        SMALL, verilog=design(SMALL).verilog(TOP).replace("module dut(", "module sound(") + DEFECTS
    ) as playback:
        yield playback


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (0, None),
        (1, r"here: \d+ of 600 in beats were accepted"),
        (2, r"here: \d+ of \d+ results came"),
        (3, "here: result 1 came before its last beat"),
        (4, "here: a result changed while it waited"),
        (6, r"here: result \d+ came before its last beat"),
        (5, r"here: result 1 .beat \d+. is wrong"),
    ],
)
@pytest.mark.slow
def test_planted_defects_are_found(kind, message, faulty):
    stream = beats(SMALL, 600, 5)
    stream.last[:3] = False
    stream.weights[:] = 0  # an early result has the right value then
    stream.activations[0, 0] = kind
    board = MacScoreboard(SMALL, "here")
    played = faulty.play(streams(stream), paused(stream, 1))
    board.on_beats(streams(stream))
    with nullcontext() if message is None else pytest.raises(AssertionError, match=message):
        check(board, streams(stream), played)


def test_a_failure_names_the_beats_that_led_to_it(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 100)
    stream = beats(SMALL, 400, 7)
    stream.weights[:] = 0
    stream.first[:] = False
    stream.first[[0, 150]] = True
    stream.last[:] = False
    stream.last[[90, 250]] = True
    stream.activations[0, 0] = 0
    stream.weights[200, 0] = stream.activations[200, 0] = stream.weight_scales[200] = 1
    stream.activation_scales[200] = 8  # r = round(8 / 16): a tie
    with pytest.raises(PlaybackError, match=r"result 2 .beat 250. is wrong") as error:
        play(SMALL, stream, verilog=design(replace(SMALL, rounding=Rounding.HALF_EVEN)).verilog(TOP))
    assert np.array_equal(error.value.streams["in"]["weights"], stream.weights[150:300])


def test_a_second_run_builds_nothing(monkeypatch):
    stream = beats(SMALL, 10, 6)
    play(SMALL, stream)
    monkeypatch.setattr(build, "call", lambda *arguments: pytest.fail("it was built again"))
    play(SMALL, stream)
    with pytest.raises(pytest.fail.Exception):
        play(SMALL, stream, verilog=design(SMALL).verilog(TOP) + "\n")


def test_the_kept_build_depends_on_the_rtl():
    name = objcache.path("playback", "", "a")
    assert name == objcache.path("playback", "", "a") != objcache.path("playback", "", "b")
