"""The cocotb test of a stream without pauses, such as a whole layer: Python acts once for a batch of beats.

A Verilog shell around the vector MAC takes a batch as one wide word, offers its beats one by one, and keeps the
results. ``VSQ_RUN`` names the run's settings as for :mod:`vsq.tb.bench.mac`.
"""

from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from vsq.golden.contract.config import MacConfig
from vsq.tb.bench.mac import Run
from vsq.tb.failures.recording import Recording
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.mac import Scoreboard
from vsq.tb.vectors.mac import connections, packed_beats

SHELL = "batch"
_BATCH = 64  # beats
_ROOM = 8  # results of the batch before that may come yet
_PERIOD_NS = 2
_PATIENCE = 100  # cycles for each beat
_DRAIN = 64  # cycles after the last beat, in which all results come

_VERILOG = """
/* verilator lint_off WIDTH */ // places in words are 32-bit numbers
module batch(input clk, input rst, input go, input [31:0] count, input [{beats_high}:0] beats, output idle,
  output reg [31:0] got, output reg [{log_high}:0] log);
  reg went;
  reg [31:0] sent;
  wire in_ready, out_valid;
  wire [{beat_high}:0] beat = beats[sent*{beat_bits} +: {beat_bits}];
  wire [{result_high}:0] result;
  assign idle = went == go & sent == count;
  wire in_valid = went == go & sent != count;
  always @(posedge clk) begin
    if (rst) begin
      went <= go;
      sent <= count;
      got <= 0;
      log <= 0;
    end else if (went != go) begin
      went <= go;
      sent <= 0;
      got <= out_valid;
      log[{result_high}:0] <= result;
    end else begin
      if (in_valid & in_ready) sent <= sent + 1;
      if (out_valid) begin
        got <= got + 1;
        log[got*{result_bits} +: {result_bits}] <= result;
      end
    end
  end
  {top} dut(.clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .out_valid(out_valid), .out_ready(1'b1),
    {payload});
endmodule
"""


def shell(config: MacConfig) -> str:
    """Return the Verilog of the shell, whose module is :data:`SHELL`, around a module
    :data:`vsq.tb.regression.job.TOP`.
    """
    payload, beat_bits, result_bits = connections(config, "beat", "result")
    return _VERILOG.format(
        top=TOP,
        beat_bits=beat_bits,
        beat_high=beat_bits - 1,
        beats_high=_BATCH * beat_bits - 1,
        result_bits=result_bits,
        result_high=result_bits - 1,
        log_high=(_BATCH + _ROOM) * result_bits - 1,
        payload=",\n    ".join(payload),
    )


@cocotb.test
async def playback(dut: Any) -> None:
    """A recorded stream at full speed; every result is compared."""
    run = Run(MacConfig)
    assert run.playback
    beats, config = Recording.load(Path(run.playback)).beats, run.config
    _, beat_bits, result_bits = connections(config, "", "")
    board = Scoreboard(config, config.full_name)
    words = [int.from_bytes(word.tobytes(), "little") for word in packed_beats(config, beats)]
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    dut.go.value, dut.count.value, dut.beats.value, dut.rst.value = 0, 0, 0, 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    go = 0

    def collect() -> None:
        log = int(dut.log.value)
        for place in range(int(dut.got.value)):
            result = log >> (place * result_bits) & ((1 << result_bits) - 1)
            board.on_result((result & ((1 << config.acc_bits) - 1), result >> config.acc_bits))

    for start in range(0, len(beats), _BATCH):
        part = words[start : start + _BATCH]
        dut.beats.value = sum(word << (place * beat_bits) for place, word in enumerate(part))
        dut.count.value, go = len(part), 1 - go
        dut.go.value = go
        board.on_beats(beats.select(slice(start, start + _BATCH)))
        await with_timeout(RisingEdge(dut.idle), _PATIENCE * _BATCH * _PERIOD_NS, "ns")
        if start + _BATCH >= len(beats):
            await ClockCycles(dut.clk, _DRAIN)
        collect()
    board.check()
    assert board.results == board.expected, f"{board.context}: {board.results} of {board.expected} results came"
    Run.add_counts(beats=board.beats, results=board.results)
