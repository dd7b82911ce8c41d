"""Half adders after mapping: an exclusive-or beside a NOR or NAND of the same two wires.

The cell of an exclusive-or is a NOR and an and-or-invert gate in one. Where the NOR is there anyway, the second gate
is enough; likewise a NAND and an or-and-invert gate. Mappers that cover a graph by cuts do not see it: the cut of the
two wires dominates the one with the NOR.
"""

from collections.abc import Sequence
from itertools import product

from vsq.synth.library.liberty import INVERTER, NAND2, NOR2, XNOR2, XOR2, Cell, Library

# By the pin that stands alone, which is the NOR or NAND: ~((a & b) | c) and ~((a | b) & c).
_AND_OR_INVERT, _OR_AND_INVERT = (0x15, 0x13, 0x07), (0x57, 0x37, 0x1F)


def sharing(library: Library) -> tuple[list[str], dict[str, str]]:
    """Return Yosys's commands for a mapped design, and the files that they read; nothing if no cell gains."""
    gates = {name: library.smallest(2, table) for name, table in (("nor", NOR2), ("nand", NAND2))}
    sums = {"xor": library.smallest(2, XOR2), "xnor": library.smallest(2, XNOR2)}
    seconds = {"nor": _second(library, _AND_OR_INVERT), "nand": _second(library, _OR_AND_INVERT)}
    inverter = library.smallest(1, INVERTER)
    needles, shared = "", ""
    swaps: dict[str, str] = {}
    for (kind, gate), inverted in product(gates.items(), (False, True)):
        total, second = sums["xor" if (kind == "nor") != inverted else "xnor"], seconds[kind]
        if not (gate and total and second and inverter and second[0].area < total.area):
            continue
        head = f"module half_{kind}{inverted:d} (n, a, b, y, s);\n  input n, b; output y, s; "
        head += f"output a;\n{_instance(inverter, 'n', 'a')}" if inverted else "input a;\n"
        head += _instance(gate, "ab", "y")
        cell, pins = second
        needles += f"{head}{_instance(total, 'nb' if inverted else 'ab', 's')}endmodule\n"
        shared += f"{head}{_instance(cell, pins, 's')}endmodule\n"
        swaps |= {found.name: ",".join(found.inputs) for found in (gate, total)}
    if not needles:
        return [], {}
    swap = " ".join(f"-swap {name} {pins}" for name, pins in swaps.items())
    return [f"extract -map halves.v {swap}", "techmap -map shared.v"], {"halves.v": needles, "shared.v": shared}


def _second(library: Library, tables: Sequence[int]) -> tuple[Cell, str] | None:
    """Return the smallest gate of such a function, and the wires of the half adder at its inputs."""
    wires = ("yab", "ayb", "aby")
    found = [(cell, pins) for table, pins in zip(tables, wires, strict=True) if (cell := library.smallest(3, table))]
    return min(found, key=lambda one: one[0].area, default=None)


def _instance(cell: Cell, inputs: str, output: str) -> str:
    (pin,) = cell.functions
    pins = ", ".join(f".\\{port} ({net})" for port, net in zip((*cell.inputs, pin), inputs + output, strict=True))
    return f"  \\{cell.name} {output}_gate ({pins});\n"
