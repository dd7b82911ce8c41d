"""Mapped designs: cells and Verilog of each module."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vsq.hw.emit.design import TOP
from vsq.synth.flow import memory
from vsq.synth.library.liberty import Library

_MODULE = re.compile(r"^module \\?(\S+?) ?\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A mapped design."""

    top: str
    modules: dict[str, dict[str, int]]  # how many of each cell, submodule and kind of memory each has
    verilog: str = field(repr=False)

    @classmethod
    def read(cls, top: str, statistics: str, verilog: str) -> "Netlist":
        """Return the netlist that Yosys wrote as Verilog and counted with ``stat -json``."""
        modules = module_cells(statistics)
        for name, kinds in memory.memory_kinds(verilog).items():
            del modules[name][memory.MEMORY]
            modules[name] |= kinds
        return cls(top=top, modules=modules, verilog=verilog)


def module_cells(statistics: str) -> dict[str, dict[str, int]]:
    """Return the cells in each module by Yosys's statistics."""
    found: dict[str, Any] = json.loads(statistics)["modules"]
    return {name.removeprefix("\\"): dict(module["num_cells_by_type"]) for name, module in found.items()}


def cells_by_component(
    modules: Mapping[str, Mapping[str, int]], top: str, components: Mapping[str, Sequence[str]]
) -> dict[str, Counter[str]]:
    """Return the cells of each component, each module counted as often as it is instantiated.

    ``components`` are those of :class:`vsq.hw.emit.design.Design`; the cells of any other module belong to the
    component of the module around it.
    """
    of_module = {module: name for name, inside in components.items() for module in inside}
    cells = {name: Counter[str]() for name in components}

    def walk(module: str, count: int, component: str) -> None:
        component = of_module.get(module.removeprefix(f"{top}_"), component)
        for cell, inside in modules[module].items():
            if cell in modules:
                walk(cell, count * inside, component)
            else:
                cells[component][cell] += count * inside

    walk(top, 1, of_module[TOP])
    return cells


def smallest(netlists: Sequence[Netlist], library: Library) -> Netlist:
    """Return the netlist of the smallest modules among several mappings of one design, the first of equal ones."""
    first = netlists[0]
    if len(netlists) == 1:
        return first
    best = {name: min(netlists, key=lambda netlist: library.area(netlist.modules[name])) for name in first.modules}
    texts = {id(netlist): {match[1]: match[0] for match in _MODULE.finditer(netlist.verilog)} for netlist in netlists}
    return Netlist(
        top=first.top,
        modules={name: netlist.modules[name] for name, netlist in best.items()},
        verilog="\n".join(texts[id(netlist)][name] for name, netlist in best.items()),
    )
