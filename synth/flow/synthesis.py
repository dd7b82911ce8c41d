"""The synthesis flow: RTLIL in, a netlist of library cells out.

ABC never maps to cells with two outputs. Yosys's ``extract_fa`` therefore finds the adders before ABC runs, as
``$fa`` cells (sum Y, carry X; a half adder has the constant 0 as C), and a map written here turns these into the
library's cells, whatever they are called.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.synth.flow import memory
from vsq.synth.library.liberty import AND2, MAJORITY, Cell, Library

# ABC's default script takes minutes on multiplier arrays; structural choices (dch) and one mapping take seconds.
ABC_AREA = "strash; ifraig; dch; map -B 0.9 -a; topo"
ABC_DELAY = "strash; ifraig; dc2; dch -f; map -B 0.9; topo"
ABC_SIZING = "; buffer -c; upsize; dnsize"

# Yosys's complaints that a library, not the design, is to blame for: no such flip-flop, no mapping by ABC.
_LIBRARY_ERRORS = ("cannot be legalized", "ABC")

_WAIVER = "/* verilator lint_off UNOPTFLAT */ // a carry that ripples through the bits of one vector is no loop"

# Yosys's own map (_90_lcu_brent_kung; the first by name wins) makes every carry chain a parallel-prefix tree, but a
# chain of full adders is the smallest adder.
_RIPPLE_CARRY = """
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
_ADDER_MAP = """
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


class Goal(StrEnum):
    """The cost to minimize: area (adder cells, carries ripple) or delay (gates that ABC restructures and sizes)."""

    AREA = "area"
    DELAY = "delay"


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The settings of a synthesis."""

    library: Library
    goal: Goal = Goal.AREA
    # Whether module boundaries dissolve. If kept, area can be split by component, but what crosses them is not merged.
    flatten: bool = False


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A mapped design."""

    top: str
    modules: dict[str, dict[str, int]]  # how many of each cell or submodule each has; memories are so many memory.BIT
    verilog: str = field(repr=False)


def synthesize(rtlil: str, top: str, flow: Flow) -> Netlist:
    """Map the module ``top`` of a design, and what it instantiates, onto the flow's library.

    Raises:
        InputError: If the library lacks cells that the design needs; the message is one line with Yosys's reason.
    """
    library, options = flow.library, "-flatten" if flow.flatten else ""
    if flow.goal is Goal.AREA:
        return run_recipe(rtlil, top, library, options, ripple_carry=True, adders=useful_adders(library))
    return run_recipe(rtlil, top, library, options, abc=ABC_DELAY + (ABC_SIZING if library.timed else ""))


def run_recipe(
    rtlil: str,
    top: str,
    library: Library,
    options: str = "",
    *,
    ripple_carry: bool = False,
    adders: Sequence[Cell] = (),
    abc: str = ABC_AREA,
) -> Netlist:
    """Map a design by steps in detail: ``options`` of Yosys's ``synth``, cells for adders, and ABC's script.

    Otherwise as :func:`synthesize`. Flows have such steps, and so do the alternatives that benchmarks compare.
    """
    map_adders = []
    if adders:
        kinds = ["-fa" if len(adder.inputs) == 3 else "-ha" for adder in adders]
        # -d and -b bound depth and inputs of the cones searched; wider ones find no more adders, and take far longer.
        extract = f"extract_fa -d 6 -b 4 {' '.join(kinds)}"
        map_adders = [extract, "opt_clean", "techmap -map adders.v", "techmap", "opt -fast"]
    commands = [
        "read_rtlil design.il",
        *memory.COMMANDS,
        f"synth -noabc -top {top} {options}" + (" -extra-map ripple.v" if ripple_carry else ""),
        *map_adders,
        "dfflibmap -liberty cells.lib",
        "opt -fast -full",
        "abc -liberty cells.lib -script abc.script",
        "opt_clean -purge",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr -noexpr -simple-lhs mapped.v",
    ]
    inputs = {
        "design.il": rtlil,
        "ripple.v": _RIPPLE_CARRY,
        "adders.v": "".join(map(_adder_map, adders)),
        **memory.FILES,
        "cells.lib": library.text,
        "abc.script": f"{abc}\n",
    }
    try:
        done = run_yosys(commands, inputs, ["stat.json", "mapped.v"])
    except YosysError as error:
        if not any(blame in str(error) for blame in _LIBRARY_ERRORS):
            raise
        raise InputError(
            f"Liberty file {library.path}: Yosys cannot map {top} to it ({error}); give one that has them"
        ) from None
    modules = _cells(done)
    for name, bits in memory.memory_bits(done["mapped.v"]).items():
        del modules[name][memory.MEMORY]
        modules[name][memory.BIT] = bits
    return Netlist(top=top, modules=modules, verilog=done["mapped.v"])


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
    inputs = {"sums.v": _SUMS, "cells.lib": library.text, "abc.script": f"{ABC_AREA}\n"}
    modules = _cells(run_yosys(commands, inputs, ["stat.json"]))
    gates = {
        name: sum(library.cells[cell].area * count for cell, count in cells.items()) for name, cells in modules.items()
    }
    return tuple(adder for adder in adders if adder.area < gates[f"sum{len(adder.inputs)}"])


def _adder_map(adder: Cell) -> str:
    """Return the module that a techmap puts in the place of ``$fa``."""
    carry, total = sorted(adder.functions, key=lambda pin: adder.functions[pin] not in (AND2, MAJORITY))
    pins = [*zip(adder.inputs, "ABC", strict=False), (carry, "X"), (total, "Y")]
    return _ADDER_MAP.format(
        name=f"adder{len(adder.inputs)}",
        constant=int(len(adder.inputs) == 2),
        cell=f"{adder.name} ",
        pins=", ".join(f".\\{pin} ({port})" for pin, port in pins),
    )


def _cells(done: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return the cells in each module by Yosys's statistics."""
    found: dict[str, Any] = json.loads(done["stat.json"])["modules"]
    return {name.removeprefix("\\"): dict(module["num_cells_by_type"]) for name, module in found.items()}


def gate_level_verilog(netlist: Netlist, library: Library) -> str:
    """Return the netlist's Verilog with models of its memories and, by Yosys from the Liberty, cells; no delays."""
    used = {cell for cells in netlist.modules.values() for cell in cells} - netlist.modules.keys()
    commands = [
        "read_liberty cells.lib",
        f"select {' '.join(sorted(used - {memory.BIT}))}",
        "write_verilog -noattr -selected models.v",
    ]
    models = run_yosys(commands, {"cells.lib": library.text}, ["models.v"])["models.v"]
    return f"{_WAIVER}\n{netlist.verilog}\n{models}{memory.MODEL if memory.BIT in used else ''}"


def mapped(rtlil: str, top: str) -> str:
    """Return the module ``top`` of a design on the built-in library, as :func:`gate_level_verilog`."""
    library = Library.load()
    return gate_level_verilog(synthesize(rtlil, top, Flow(library=library)), library)
