"""Benchmark: three ways to write a ripple of full adders in Verilog, and what tools make of them.

``python -m benchmarks.ripples --bits 29``
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vsq.hw.emit.design import TOP
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import by_component
from vsq.tb.simulation.simulators import find

_MODULE = """module ripple(input wire clk, input wire [{high}:0] x, input wire [{high}:0] y, input wire c,
  output reg [{high}:0] s, output reg overflow);
{carries}
  always @(posedge clk) begin
    s <= x ^ y ^ {taken};
    overflow <= {last};
  end
endmodule
"""
_BENCH = """module bench;
  reg clk = 0;
  reg [{high}:0] x, y;
  wire [{high}:0] s;
  wire overflow;
  integer i;
  ripple dut(.clk(clk), .x(x), .y(y), .c(1'b1), .s(s), .overflow(overflow));
  initial
    for (i = 0; i < {count}; i = i + 1) begin
      x = $random; y = $random; #1 clk = 1; #1 clk = 0;
      if ({{overflow, s}} !== {{1'b0, x}} + {{1'b0, y}} + 1) $fatal;
    end
endmodule
"""
_ADDITIONS = 200_000


def _carry(x: str, y: str, carry: str) -> str:
    return f"({x} & {y}) | ({carry} & ({x} ^ {y}))"


def forms(bits: int) -> dict[str, str]:
    """Return a ripple with a carry in, as Verilog, by how its carries are written."""
    names = ["c", *(f"carry{index}" for index in range(bits))]
    wires = [f"  wire {names[i + 1]} = {_carry(f'x[{i}]', f'y[{i}]', names[i])};" for i in range(bits)]
    high = bits - 1
    vector = [
        f"  wire [{high}:0] carry;",
        f"  wire [{high}:0] z = {{carry[{high - 1}:0], c}};",
        f"  assign carry = {_carry('x', 'y', 'z')};",
    ]
    loop = [
        f"  wire [{bits}:0] carry;",
        "  assign carry[0] = c;",
        "  genvar i;",
        f"  generate for (i = 0; i < {bits}; i = i + 1) begin : adders",
        f"    assign carry[i + 1] = {_carry('x[i]', 'y[i]', 'carry[i]')};",
        "  end endgenerate",
    ]
    texts = {
        "a wire each": ("\n".join(wires), f"{{{', '.join(reversed(names[:-1]))}}}", names[-1]),
        "one vector": ("\n".join(vector), "z", f"carry[{high}]"),
        "a loop": ("\n".join(loop), f"carry[{high}:0]", f"carry[{bits}]"),
    }
    return {
        form: _MODULE.format(high=high, carries=carries, taken=taken, last=last)
        for form, (carries, taken, last) in texts.items()
    }


def area(text: str) -> str:
    """Return the area in the built-in library."""
    rtlil = run_yosys(["read_verilog in.v", "proc", "write_rtlil out.il"], {"in.v": text}, ["out.il"])["out.il"]
    flow = Flow(library=Library.load())
    [found] = by_component(synthesize(rtlil, "ripple", flow), flow.library, {"all": [TOP]}).values()
    return f"{found.area:,.1f}"


def formal(text: str) -> str:
    """Return whether Yosys writes the design for solvers that reason about words."""
    try:
        run_yosys(["read_verilog in.v", "prep", "write_smt2 out.smt2"], {"in.v": text}, ["out.smt2"])
    except YosysError:
        return "refused"
    return "yes"


def lint(folder: Path, *options: str) -> str:
    """Return what Verilator warns of in ``in.v``."""
    simulator = find("verilator")
    command = [str(simulator.executable), "--cc", "-Wall", "-Wno-DECLFILENAME", *options, "in.v"]
    environment = {**os.environ, **simulator.environment()}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ", ".join(sorted({*re.findall(r"%Warning-(\w+)", done.stderr)})) or "clean"


def seconds(folder: Path) -> float:
    """Return the processor time of additions in Icarus."""
    subprocess.run(["iverilog", "-g2009", "-o", "bench", "bench.v", "in.v"], cwd=folder, check=True)
    before = os.times().children_user
    subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True)
    return os.times().children_user - before


def main() -> int:
    """Print one row a form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=29)
    bits = parser.parse_args().bits
    table = Table("carries", "area in NAND2", "write_smt2", "Verilator", "without its DFG", f"s for {_ADDITIONS:,}")
    for form, text in forms(bits).items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "in.v").write_text(text)
            (folder / "bench.v").write_text(_BENCH.format(high=bits - 1, count=_ADDITIONS))
            found = [area(text), formal(text), lint(folder), lint(folder, "-fno-dfg"), f"{seconds(folder):.1f}"]
        table.add_row(form, *found)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
