"""Carry chains of CCU2C: the cell's model, and netlists as Yosys makes them of what is emitted, proved by SAT."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Instance, Module, Signal, signed, unsigned

from vsq.hw.arithmetic import products
from vsq.hw.arithmetic.ccu2c import CHAIN, CellHeap, chain_verilog
from vsq.hw.emit.yosys import run_yosys

CELLS = "-DNO_INCLUDES +/lattice/cells_sim_ecp5.v"  # Yosys's models
TABLES = ("7888", "8777", "8788", "7877", "0008", "0007")


def test_the_model_of_a_cell_is_that_of_yosys():
    cells = []
    for number, (low, high) in enumerate(zip(TABLES, (*TABLES[1:], TABLES[0]), strict=True)):
        for kind, made in ((f"{CHAIN}_cell", "gate"), ("CCU2C", "gold")):
            more = ', .INJECT1_0("NO"), .INJECT1_1("NO")' if kind == "CCU2C" else ""
            pins = "".join(
                f", .{pin}{side}(in[{2 * place + side + 1}])" for place, pin in enumerate("ABCD") for side in (0, 1)
            )
            cells += [
                f"wire [2:0] {made}{number};",
                f"{kind} #(.INIT0(16'h{low}), .INIT1(16'h{high}){more}) {made}{number}_cell (.CIN(in[0]){pins}, "
                f".S0({made}{number}[0]), .S1({made}{number}[1]), .COUT({made}{number}[2]));",
            ]
    same = " & ".join(f"(gold{number} == gate{number})" for number in range(len(TABLES)))
    top = "\n".join(["module top(input [8:0] in, output ok);", *cells, f"assign ok = {same};", "endmodule\n"])
    commands = [f"read_verilog {CELLS}", "read_verilog -nosynthesis chains.v", "read_verilog top.v"]
    commands += ["hierarchy -top top", "proc", "flatten", "opt_clean", "sat -verify -prove ok 1 top"]
    assert "SUCCESS!" in run_yosys(commands, {"chains.v": chain_verilog(CHAIN), "top.v": top})["log"]


@pytest.mark.parametrize(
    "shapes", [(signed(3), signed(3)), pytest.param((signed(2), unsigned(4)), marks=pytest.mark.slow)]
)
def test_a_netlist_of_cells_equals_the_operators(shapes):
    m, heap = Module(), CellHeap(7)
    signals = [
        Signal(shape, name=f"{name}{lane}") for lane in range(2) for shape, name in zip(shapes, "wa", strict=True)
    ]
    for w, a in (signals[:2], signals[2:]):
        products.multiply(heap, w, a)
    d = Signal(7, name="d")
    m.d.comb += d.eq(heap.compress(m))
    text = rtlil.convert(m, ports=[*signals, d], name="dot")
    commands = ["read_rtlil dot.il", "read_verilog chains.v", "synth_ecp5 -top dot -nodsp", "select dot"]
    files = {"dot.il": text, "chains.v": chain_verilog(CHAIN)}
    netlist = run_yosys([*commands, "write_rtlil -selected net.il"], files, ["net.il"])["net.il"]
    assert "cell \\CCU2C" in netlist

    top = Module()
    copies = [Signal.like(signal, name=signal.name) for signal in signals]
    result, ok = Signal(7), Signal(name="ok")
    top.submodules.dot = Instance("dot", **{f"i_{each.name}": each for each in copies}, o_d=result)
    w0, a0, w1, a1 = copies
    top.d.comb += ok.eq(result == (w0 * a0 + w1 * a1).as_unsigned()[:7])
    commands = [
        "read_rtlil net.il",
        "read_rtlil top.il",
        f"read_verilog {CELLS}",
        "hierarchy -top top",
        "proc",
        "flatten",
    ]
    files = {"net.il": netlist, "top.il": rtlil.convert(top, ports=[*copies, ok], name="top")}
    assert "SUCCESS!" in run_yosys([*commands, "opt_clean", "sat -verify -prove ok 1 top"], files)["log"]
