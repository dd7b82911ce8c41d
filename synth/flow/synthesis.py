"""The synthesis flow: RTLIL in, a netlist of library cells out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.synth.flow import clock_gates, halves, memory, scripts
from vsq.synth.flow.adders import adder_map, extraction, useful_adders
from vsq.synth.flow.netlist import Netlist, smallest
from vsq.synth.library.liberty import Cell, Library

# Yosys's complaints that a library, not the design, is to blame for: no such flip-flop, no mapping by ABC.
_LIBRARY_ERRORS = ("cannot be legalized", "ABC")

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


class Goal(StrEnum):
    """The cost to minimize.

    ``area``: adder cells, whose carries ripple. ``balanced``: adder cells, except for the last ones of their columns,
    which are gates; drive strengths are chosen. ``delay``: gates alone.
    """

    AREA = "area"
    BALANCED = "balanced"
    DELAY = "delay"


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The settings of a synthesis."""

    library: Library
    goal: Goal = Goal.AREA
    # Whether module boundaries dissolve. If kept, area can be split by component, but what crosses them is not merged.
    flatten: bool = False


def synthesize(rtlil: str, top: str, flow: Flow) -> Netlist:
    """Map the module ``top`` of a design, and what it instantiates, onto the flow's library.

    Raises:
        InputError: If the library lacks cells that the design needs; the message is one line with Yosys's reason.
    """
    library, options = flow.library, "-flatten" if flow.flatten else ""
    recipe = partial(run_recipe, rtlil, top, library, options)
    match flow.goal:
        case Goal.AREA:
            return recipe(abc=scripts.for_area(library), adders=useful_adders(library), ripple_carry=True)
        case Goal.BALANCED:
            fast = scripts.for_delay(library)
            return recipe(abc=[scripts.for_both(library)], adders=useful_adders(library), abc_carries=fast)
        case Goal.DELAY:
            return recipe(abc=[scripts.for_delay(library)])


def run_recipe(
    rtlil: str,
    top: str,
    library: Library,
    options: str = "",
    *,
    abc: Sequence[str],
    adders: Sequence[Cell] = (),
    ripple_carry: bool = False,
    abc_carries: str = "",
) -> Netlist:
    """Map a design by steps in detail: ``options`` of Yosys's ``synth``, ABC's scripts, and cells for adders.

    Each module is that of the script which makes it smallest; ``abc_carries``, if any, is the script of adders that
    are gates for the sake of their carries. Otherwise as :func:`synthesize`. Flows have such steps, and so do the
    alternatives that benchmarks compare.
    """
    names = {script: f"abc{number}" for number, script in enumerate(abc)}
    gate_clocks, gate_files = clock_gates.gating(library)
    share, share_files = halves.sharing(library) if adders else ([], {})
    commands = [
        "read_rtlil design.il",
        "setattr -unset init w:*",  # a library's registers have none
        *memory.COMMANDS,
        f"synth -noabc -top {top} {options}" + (" -extra-map ripple.v" if ripple_carry else ""),
        *extraction(adders, carries=bool(abc_carries)),
        *gate_clocks,
        "dfflibmap -liberty cells.lib",
        "opt -fast -full",
        *(["abc -liberty cells.lib -script carries.script @carries"] if abc_carries else []),
        "design -save unmapped",
    ]
    for name in names.values():
        commands += [
            "design -load unmapped",
            f"abc -liberty cells.lib -script {name}.script",
            *share,
            "opt_clean -purge",
            f"tee -q -o {name}.json stat -json",
            f"write_verilog -noattr -noexpr -simple-lhs {name}.v",
        ]
    inputs = {
        "design.il": rtlil,
        "ripple.v": _RIPPLE_CARRY,
        "adders.v": adder_map(adders),
        **memory.FILES,
        **gate_files,
        **share_files,
        "cells.lib": library.text,
        "carries.script": f"{abc_carries}\n",
        **{f"{name}.script": f"{script}\n" for script, name in names.items()},
    }
    try:
        done = run_yosys(commands, inputs, [f"{name}.{kind}" for name in names.values() for kind in ("json", "v")])
    except YosysError as error:
        if not any(blame in str(error) for blame in _LIBRARY_ERRORS):
            raise
        raise InputError(
            f"Liberty file {library.path}: Yosys cannot map {top} to it ({error}); give one that has them"
        ) from None
    return smallest([Netlist.read(top, done[f"{name}.json"], done[f"{name}.v"]) for name in names.values()], library)
