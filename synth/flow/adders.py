"""Full- and half-adder cells: found in the netlist by function, mapped to whatever the library calls them.

ABC never maps to cells with two outputs. Yosys's ``extract_fa`` therefore finds the adders before ABC runs, as
``$fa`` cells (sum Y, carry X; a half adder has the constant 0 as C), and a map written here turns these into the
library's cells.
"""

import json
from collections.abc import Sequence
from functools import cache

from vsq.hw.emit.yosys import run_yosys
from vsq.synth.library.liberty import AdderCell, Library

MAP_FILE = "adders.v"

# Yosys's own map (_90_lcu_brent_kung; the first by name wins) makes every carry chain a parallel-prefix tree, but a
# chain of full adders is the smallest adder.
RIPPLE_CARRY = """
(* techmap_celltype = "$lcu" *)
module _80_ripple_carry (P, G, CI, CO);
  parameter WIDTH = 2;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry = {CO, CI};
  assign CO = G | (P & carry[WIDTH-1:0]);
endmodule
"""

# The sum of two or three bits, for comparing an adder cell with gates.
_SUMS = """
module sum2 (input a, b, output [1:0] y); assign y = a + b; endmodule
module sum3 (input a, b, c, output [1:0] y); assign y = a + b + c; endmodule
"""

_MODULE = """
(* techmap_celltype = "$fa" *)
module {name} (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input A, B, C;
  output X, Y;
  wire _TECHMAP_FAIL_ = _TECHMAP_CONSTMSK_C_ != {constant};
  \\{cell} adder ({pins});
endmodule
"""


@cache
def useful_adders(library: Library, abc_script: str) -> tuple[AdderCell, ...]:
    """Return the library's adder cells that are smaller than the gates which ABC would use instead of them.

    Where a cell is no smaller, gates are better: they merge with the logic around them.
    """
    adders = [adder for adder in (library.full_adder, library.half_adder) if adder]
    if not adders:
        return ()
    commands = [
        "read_verilog -sv sums.v",
        "synth -noabc",
        "abc -liberty cells.lib -script abc.script",
        "tee -q -o stat.json stat -json",
    ]
    inputs = {"sums.v": _SUMS, "cells.lib": library.text, "abc.script": f"{abc_script}\n"}
    modules = json.loads(run_yosys(commands, inputs, ["stat.json"])["stat.json"])["modules"]
    gates = {
        name: sum(library.cells[cell].area * count for cell, count in module["num_cells_by_type"].items())
        for name, module in modules.items()
    }
    return tuple(adder for adder in adders if adder.cell.area < gates[f"\\sum{len(adder.cell.inputs)}"])


def adder_commands(adders: Sequence[AdderCell]) -> list[str]:
    """Return the Yosys commands that find these adders in the design and map them to their cells."""
    if not adders:
        return []
    kinds = ["-fa" if len(adder.cell.inputs) == 3 else "-ha" for adder in adders]
    # -d and -b bound depth and inputs of the cones searched; wider ones find no more adders, and take far longer.
    extract = f"extract_fa -d 6 -b 4 {' '.join(kinds)}"
    return [extract, "opt_clean", f"techmap -map {MAP_FILE}", "techmap", "opt -fast"]


def adder_map(adders: Sequence[AdderCell]) -> str:
    """Return the techmap file from ``$fa`` to these adder cells."""
    return "".join(
        _MODULE.format(
            name=f"adder{len(adder.cell.inputs)}",
            constant=int(len(adder.cell.inputs) == 2),
            cell=f"{adder.cell.name} ",
            pins=", ".join(
                f".\\{pin} ({port})"
                for pin, port in [*zip(adder.cell.inputs, "ABC", strict=False), (adder.carry, "X"), (adder.sum, "Y")]
            ),
        )
        for adder in adders
    )
