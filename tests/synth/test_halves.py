"""Mapped half adders become two gates, whatever the cells and their pins are called, and do what they did."""

import pytest

from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.halves import sharing
from vsq.synth.flow.netlist import module_cells
from vsq.synth.library.liberty import NAND2, NOR2, XNOR2, XOR2, Library

# The pin that stands alone comes first, second or last.
GATE = """
  cell ({name}) {{ area : 1; pin (A) {{ direction : input; }} pin (B) {{ direction : input; }}
    pin (C) {{ direction : input; }} pin (Q) {{ direction : output; function : "{function}"; }} }}
"""
FUNCTIONS = {
    "last": ("!((A&B)|C)", "!((A|B)&C)"),
    "first": ("!((C&B)|A)", "!((B|C)&A)"),
    "second": ("!((A&C)|B)", "!((A|C)&B)"),
}


def two_input(library, table, a, b, y):
    cell = library.smallest(2, table)
    (out,) = cell.functions
    first, second = cell.inputs
    return f"{cell.name} {y}_g (.{first}({a}), .{second}({b}), .{out}({y}));"


def half_adders(library):
    """A netlist of the four kinds of half adders, their pins in either order, and two gates that are none."""
    inverter = library.smallest(1, 0b01)
    (out,) = inverter.functions
    gates = [f"{inverter.name} inv{n} (.{inverter.inputs[0]}(n[{n}]), .{out}(i[{n}]));" for n in range(2)]
    for y, (table, a, b) in enumerate(
        [
            (NOR2, "x[0]", "x[1]"),
            (XOR2, "x[1]", "x[0]"),
            (NAND2, "x[2]", "x[3]"),
            (XNOR2, "x[2]", "x[3]"),
            (NOR2, "i[0]", "x[4]"),
            (XNOR2, "n[0]", "x[4]"),
            (NAND2, "x[5]", "i[1]"),
            (XOR2, "x[5]", "n[1]"),
            (NOR2, "x[6]", "x[7]"),
            (XOR2, "x[6]", "x[8]"),
        ]
    ):
        gates.append(two_input(library, table, a, b, f"y{y}"))
    outputs = [f"y{y}" for y in range(10)]
    ports = f"input [8:0] x, input [1:0] n, output [1:0] i, output {', '.join(outputs)}"
    return f"module t ({ports});\n" + "\n".join(gates) + "\nendmodule\n"


@pytest.mark.parametrize("order", FUNCTIONS)
def test_an_exclusive_or_beside_its_carry_is_one_gate(tmp_path, order):
    text = Library.load().text.rstrip().removesuffix("}")
    for name, function in zip(("AOI21", "OAI21"), FUNCTIONS[order], strict=True):
        text = text.replace(f"cell ({name})", f"cell (OLD_{name})") + GATE.format(name=name, function=function)
    path = tmp_path / "cells.lib"
    path.write_text(text + "}\n", encoding="utf-8")
    library = Library.load(path)
    commands, files = sharing(library)
    commands = [
        "read_verilog t.v",
        *commands,
        "tee -q -o stat.json stat -json",
        "read_liberty -overwrite cells.lib",
        "read_verilog gold.v",
        "flatten t gold",
        "miter -equiv -flatten -make_assert gold t miter",
        "sat -verify -prove-asserts miter",
    ]
    source = half_adders(library)
    inputs = {**files, "t.v": source, "gold.v": source.replace("module t", "module gold"), "cells.lib": library.text}
    cells = module_cells(run_yosys(commands, inputs, ["stat.json"])["stat.json"])["t"]
    assert cells == {"INV": 2, "NOR2": 3, "NAND2": 2, "XOR2": 1, "AOI21": 2, "OAI21": 2}


def test_no_larger_gate_takes_the_place_of_an_exclusive_or():
    assert sharing(Library.load("gates")) == ([], {})
