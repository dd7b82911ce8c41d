"""The synthesis flow: RTLIL in, a netlist of library cells out."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from golden.errors import InputError
from hw.yosys import YosysError, run_yosys
from synth.adders import MAP_FILE, RIPPLE_CARRY, adder_commands, adder_map, useful_adders
from synth.liberty import Library


class Goal(StrEnum):
    """What the flow minimises: area (ripple-carry adders) or delay (parallel-prefix adders, sized gates)."""

    AREA = "area"
    DELAY = "delay"


# ABC's default script takes minutes on multiplier arrays; structural choices (dch) and one mapping take seconds.
_ABC_AREA = "strash; ifraig; dch; map -B 0.9 -a; topo"
_ABC_DELAY = "strash; ifraig; dc2; dch -f; map -B 0.9; topo"
_ABC_SIZING = "; buffer -c; upsize; dnsize"

# Yosys's complaints that a library, not the design, is to blame for: no such flip-flop, no mapping by ABC.
_LIBRARY_ERRORS = ("cannot be legalized", "ABC")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How to synthesise: onto which library, for which goal, and whether module boundaries dissolve.

    Boundaries are kept by default, so that area can be split by component; what optimisation across them would save
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
class Netlist:
    """A mapped design: by module, how many of each cell or submodule it instantiates; and its Verilog."""

    top: str
    modules: dict[str, dict[str, int]]
    verilog: str = field(repr=False)


def synthesise(rtlil: str, top: str, flow: Flow) -> Netlist:
    """Map a design onto the flow's library.

    Raises
    ------
    InputError
        If the library lacks cells that the design needs; the message is one line with Yosys's reason.
    """
    library = flow.library
    adders = useful_adders(library, abc_script(flow))
    commands = [
        "read_rtlil design.il",
        f"synth -noabc -top {top}"
        + (" -flatten" if flow.flatten else "")
        + (" -extra-map ripple.v" if flow.goal is Goal.AREA else ""),
        *adder_commands(adders),
        "dfflibmap -liberty cells.lib",
        "opt -fast -full",
        "abc -liberty cells.lib -script abc.script",
        "opt_clean -purge",
        "tee -q -o stat.json stat -json",
        "write_verilog -noattr -noexpr mapped.v",
    ]
    inputs = {
        "design.il": rtlil,
        "cells.lib": library.text,
        "abc.script": abc_script(flow),
        "ripple.v": RIPPLE_CARRY,
        MAP_FILE: adder_map(adders),
    }
    try:
        done = run_yosys(commands, inputs, ["stat.json", "mapped.v"])
    except YosysError as error:
        if not any(blame in str(error) for blame in _LIBRARY_ERRORS):
            raise
        raise InputError(
            f"Liberty file {library.path}: Yosys cannot map {top} to it ({error}); give a library with such cells"
        ) from None
    modules = {
        name.removeprefix("\\"): dict(module["num_cells_by_type"])
        for name, module in json.loads(done["stat.json"])["modules"].items()
    }
    return Netlist(top=top, modules=modules, verilog=done["mapped.v"])


def abc_script(flow: Flow) -> str:
    """Return the script that optimises and maps the logic between adders and flip-flops."""
    if flow.goal is Goal.AREA:
        return f"{_ABC_AREA}\n"
    return f"{_ABC_DELAY}{_ABC_SIZING if flow.library.timed else ''}\n"
