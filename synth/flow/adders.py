"""Adder cells in synthesis. ABC never maps to cells with two outputs.

Yosys's ``extract_fa`` therefore finds the adders before ABC runs, as ``$fa`` cells (sum Y, carry X; a half adder has
the constant 0 as C), and a map written here turns these into the library's cells, whatever they are called.
"""

from collections.abc import Sequence
from functools import cache

from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.netlist import module_cells
from vsq.synth.flow.scripts import PLAIN
from vsq.synth.library.liberty import AND2, MAJORITY, Cell, Library

_MAP = """
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
# The sum of two or three bits, for comparing an adder cell with gates.
_SUMS = """
module sum2 (input a, b, output [1:0] y); assign y = a + b; endmodule
module sum3 (input a, b, c, output [1:0] y); assign y = a + b + c; endmodule
"""


@cache
def useful_adders(library: Library) -> tuple[Cell, ...]:
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
    inputs = {"sums.v": _SUMS, "cells.lib": library.text, "abc.script": f"{PLAIN}\n"}
    modules = module_cells(run_yosys(commands, inputs, ["stat.json"])["stat.json"])
    gates = {name: library.area(cells) for name, cells in modules.items()}
    return tuple(adder for adder in adders if adder.area < gates[f"sum{len(adder.inputs)}"])


def extraction(adders: Sequence[Cell], *, carries: bool = False) -> list[str]:
    """Return Yosys's commands that map to adder cells, by the map of :func:`adder_map` in ``adders.v``.

    With ``carries`` the adders whose sums no other adder adds, the last ones of their columns, become gates, which the
    selection ``carries`` then holds: ABC makes them fast, where adder cells ripple.
    """
    if not adders:
        return ["select -set carries t:none"] if carries else []
    kinds = ["-fa" if len(adder.inputs) == 3 else "-ha" for adder in adders]
    # -d and -b bound depth and inputs of the cones searched; wider ones find no more adders, and take far longer.
    found = [f"extract_fa -d 6 -b 4 {' '.join(kinds)}", "opt_clean"]
    if carries:
        found += [
            "splitnets",
            "select -set operands t:$fa %x:+$fa[A,B,C] w:* %i",
            "select -set added @operands %ci1:+$fa[Y] t:$fa %i",
            "select -set last t:$fa @added %d",
            "select -set others t:$_*_",
            "techmap @last",
            "simplemap",
            "select -set carries t:$_*_ @others %d",
        ]
    return [*found, "techmap -map adders.v", "techmap", "opt -fast"]


def adder_map(adders: Sequence[Cell]) -> str:
    """Return the modules that a techmap puts in the place of ``$fa``."""
    return "".join(map(_module, adders))


def _module(adder: Cell) -> str:
    carry, total = sorted(adder.functions, key=lambda pin: adder.functions[pin] not in (AND2, MAJORITY))
    pins = [*zip(adder.inputs, "ABC", strict=False), (carry, "X"), (total, "Y")]
    return _MAP.format(
        name=f"adder{len(adder.inputs)}",
        constant=int(len(adder.inputs) == 2),
        cell=f"{adder.name} ",
        pins=", ".join(f".\\{pin} ({port})" for pin, port in pins),
    )
