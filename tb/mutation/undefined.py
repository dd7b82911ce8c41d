"""Runs promised pins under Icarus with undefined values, in four states: none may reach a promised output.

All inputs are undefined for some cycles before the reset, all but ``rst`` during it, and later the payload of every
cycle in which no vector is offered. The registers start undefined by themselves.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from vsq.tb.mutation.pins import Pins, Row
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators

_BENCH = """
module undefined;
  reg clk = 0;
  reg [{in_high}:0] inputs = {{{in_high}+1{{1'bx}}}};
  wire [{out_high}:0] outputs;
  reg [{in_high}:0] driven [0:{rows}-1];
  reg [{out_high}:0] due [0:{rows}-1], promised [0:{rows}-1];
  integer row;
  {design}
  initial begin
    $readmemb("inputs.memb", driven);
    $readmemb("outputs.memb", due);
    $readmemb("promised.memb", promised);
    repeat (8) #1 clk = !clk;
    for (row = 0; row < {rows}; row = row + 1) begin
      inputs = driven[row];
      #1 if (((outputs ^ due[row]) & promised[row]) !== 0) begin
        $display("cycle %0d: outputs %b, due %b", row, outputs, due[row]);
        $finish;
      end
      clk = 1;
      #1 clk = 0;
    end
    $display("passed");
    $finish;
  end
endmodule
"""


def run_undefined(pins: Pins, verilog: str, rows: Sequence[Row], folder: Path) -> str:
    """Return what the simulation prints: ``passed``, or the first cycle whose outputs are undefined or wrong.

    Parameters
    ----------
    pins
        The pins of the configuration.
    verilog
        The design, whose module is :data:`vsq.tb.regression.job.TOP`.
    rows
        What the pins carry.
    folder
        Where the simulation is built.

    Raises
    ------
    InputError
        If Icarus is missing or too old.
    subprocess.CalledProcessError
        If the design does not compile.
    """
    ins, outs = (sum(part.values()) for part in (pins.inputs, pins.outputs))
    texts = {
        "inputs.memb": [_inputs(row, ins, first=number == 0) for number, row in enumerate(rows)],
        "outputs.memb": [f"{row.outputs:0{outs}b}" for row in rows],
        "promised.memb": [f"{row.promised:0{outs}b}" for row in rows],
        "design.v": [verilog],
        "bench.v": [
            _BENCH.format(
                in_high=ins - 1,
                out_high=outs - 1,
                rows=len(rows),
                design=pins.instance(TOP, "tested", "inputs", "outputs"),
            )
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    icarus = str(simulators.find("icarus").executable)
    subprocess.run([icarus, "-g2005", "-s", "undefined", "-o", "bench", "bench.v", "design.v"], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _inputs(row: Row, width: int, *, first: bool) -> str:
    """Return the inputs in binary, from the most significant bit, with x where nothing is promised to the design."""
    bits = f"{row.inputs:0{width}b}"
    reset, offered = bits[-1], bits[-3] == "1"
    if first:
        return "x" * (width - 1) + reset
    return bits if offered else "x" * (width - 3) + bits[-3:]
