"""The synthesis flow: RTLIL in, a netlist of library cells out."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.synth.flow import memory
from vsq.synth.flow.adders import MAP_FILE, RIPPLE_CARRY, adder_commands, adder_map, useful_adders
from vsq.synth.library.liberty import AdderCell, Library

_WAIVER = "/* verilator lint_off UNOPTFLAT */ // a carry that ripples through the bits of one vector is no loop"


class Goal(StrEnum):
    """The cost to minimize: area (adder cells, carries ripple) or delay (gates that ABC restructures and sizes)."""

    AREA = "area"
    DELAY = "delay"


# ABC's default script takes minutes on multiplier arrays; structural choices (dch) and one mapping take seconds.
ABC_AREA = "strash; ifraig; dch; map -B 0.9 -a; topo"
ABC_DELAY = "strash; ifraig; dc2; dch -f; map -B 0.9; topo"
ABC_SIZING = "; buffer -c; upsize; dnsize"

# Yosys's complaints that a library, not the design, is to blame for: no such flip-flop, no mapping by ABC.
_LIBRARY_ERRORS = ("cannot be legalized", "ABC")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The settings of a synthesis: its library, its goal, and whether module boundaries dissolve.

    Boundaries are kept by default, so that area can be split by component; what optimization across them would save
    is then left in.
    """

    library: Library
    goal: Goal = Goal.AREA
    flatten: bool = False

    @property
    def flags(self) -> dict[str, str | bool]:
        """The options in plain types, for reports."""
        return {"goal": str(self.goal), "flatten": self.flatten}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The steps for Yosys: a flow in detail, or the alternatives that benchmarks compare it with."""

    library: Library
    synth_options: str = ""
    ripple_carry: bool = False
    adders: tuple[AdderCell, ...] = ()
    abc: str = ABC_AREA

    @classmethod
    def of(cls, flow: Flow) -> "Recipe":
        """Return the steps of a flow."""
        options = "-flatten" if flow.flatten else ""
        if flow.goal is Goal.AREA:
            adders = useful_adders(flow.library, ABC_AREA)
            return cls(library=flow.library, synth_options=options, ripple_carry=True, adders=adders)
        abc = ABC_DELAY + (ABC_SIZING if flow.library.timed else "")
        return cls(library=flow.library, synth_options=options, abc=abc)


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A mapped design: by module, how many of each cell or submodule it instantiates; and its Verilog.

    Memories are not cells: they count as so many of :data:`vsq.synth.flow.memory.BIT`.
    """

    top: str
    modules: dict[str, dict[str, int]]
    verilog: str = field(repr=False)


def synthesize(rtlil: str, top: str, flow: Flow) -> Netlist:
    """Map the module ``top`` of a design, and what it instantiates, onto the flow's library.

    Raises:
        InputError: If the library lacks cells that the design needs; the message is one line with Yosys's reason.
    """
    return run_recipe(rtlil, top, Recipe.of(flow))


def run_recipe(rtlil: str, top: str, recipe: Recipe) -> Netlist:
    """Map a design by a recipe; otherwise as :func:`synthesize`."""
    commands = [
        "read_rtlil design.il",
        *memory.COMMANDS,
        f"synth -noabc -top {top} {recipe.synth_options}" + (" -extra-map ripple.v" if recipe.ripple_carry else ""),
        *adder_commands(recipe.adders),
        "dfflibmap -liberty cells.lib",
        "opt -fast -full",
        "abc -liberty cells.lib -script abc.script",
        "opt_clean -purge",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr -noexpr -simple-lhs mapped.v",
    ]
    inputs = {
        "design.il": rtlil,
        "cells.lib": recipe.library.text,
        "abc.script": f"{recipe.abc}\n",
        "ripple.v": RIPPLE_CARRY,
        MAP_FILE: adder_map(recipe.adders),
        **memory.FILES,
    }
    try:
        done = run_yosys(commands, inputs, ["stat.json", "mapped.v"])
    except YosysError as error:
        if not any(blame in str(error) for blame in _LIBRARY_ERRORS):
            raise
        raise InputError(
            f"Liberty file {recipe.library.path}: Yosys cannot map {top} to it ({error}); give one that has them"
        ) from None
    modules = {
        name.removeprefix("\\"): dict(module["num_cells_by_type"])
        for name, module in json.loads(done["stat.json"])["modules"].items()
    }
    for name, bits in memory.memory_bits(done["mapped.v"]).items():
        del modules[name][memory.MEMORY]
        modules[name][memory.BIT] = bits
    return Netlist(top=top, modules=modules, verilog=done["mapped.v"])


def gate_level_verilog(netlist: Netlist, library: Library) -> str:
    """Return the netlist's Verilog with models of its cells, which Yosys writes from the Liberty, and of memories.

    There are no delays.
    """
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
