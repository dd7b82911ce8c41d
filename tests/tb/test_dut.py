"""A user's own Verilog in the place of the generated design: found, checked, simulated, replayed."""

import io
import re

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.synth.flow.models import gate_level_verilog
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library
from vsq.tb.failures.reproduce import reproduce
from vsq.tb.regression.dut import Dut
from vsq.tb.regression.job import TOP
from vsq.tb.regression.run import regress
from vsq.tb.simulation.simulators import SIMULATORS

CONFIG = MacConfig.parse("4/4/4/6:V=2,R=6")
PRIMITIVE = """
`timescale 1ns/1ps
primitive both (o, a, b); output o; input a, b; table 1 1 : 1; 0 ? : 0; ? 0 : 0; endtable endprimitive
module cell_and (output o, input a, b); both #(0.1) u (o, a, b); specify (a => o) = 0.1; endspecify endmodule
module cell_that_nothing_uses (input a); endmodule
"""


@pytest.fixture(scope="module")
def verilog():
    """The generated design with the top module ``mine``."""
    return design(CONFIG).verilog("mine")


@pytest.fixture
def mine(verilog, tmp_path):
    path = tmp_path / "mine.v"
    path.write_text(verilog)
    return path


def edited(path, pattern, replacement):
    text = path.read_text()
    path.write_text(re.sub(pattern, replacement, text, count=1))
    assert path.read_text() != text
    return path


def one_line(config, *files, top=None):
    with pytest.raises(InputError) as error:
        Dut.read(config, files, top)
    [line] = str(error.value).splitlines()
    return line.removeprefix(f"{files[0]}: ")


@pytest.mark.parametrize("name", ["mine", design(CONFIG).default_name, TOP])
def test_the_top_module_is_found_and_gets_the_name_of_the_bench(name, verilog, tmp_path):
    path = tmp_path / "given.v"
    path.write_text("// module other (\n" + verilog.replace("mine", name))
    dut = Dut.read(CONFIG, [path])
    assert len(re.findall(rf"^module {TOP}\(", dut.verilog, re.MULTILINE)) == 1
    assert dut.options == f"--dut {path} --top {name}"


def test_the_generated_name_wins_over_other_modules_that_nothing_instantiates(verilog, tmp_path):
    path = tmp_path / "given.v"
    path.write_text(verilog.replace("mine", design(CONFIG).default_name) + verilog.replace("mine", "other"))
    assert f"--top {design(CONFIG).default_name}" in Dut.read(CONFIG, [path]).options
    assert "--top other" in Dut.read(CONFIG, [path], "other").options


def test_a_processing_element_is_read(tmp_path):
    config = PeConfig.parse("3/4/2/3:V=2@lanes=4,weight_depth=4,activation_depth=16")
    path = tmp_path / "element.v"
    path.write_text(design(config).verilog("element"))
    assert Dut.read(config, [path]).options == f"--dut {path} --top element"
    assert "result_codes is an output of 8 bits, not an output of 12 bits" in one_line(
        PeConfig.parse("3/6/2/3:V=2@lanes=4,weight_depth=4,activation_depth=16"), path
    )


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"output wire               out_overflow": "output wire other"}, "output out_overflow of 1 bit is missing"),
        (
            {"[7:0]         in_weights,": "[6:0] in_weights,"},
            "in_weights is an input of 7 bits, not an input of 8 bits",
        ),
        (
            {"input  wire               in_last": "output wire in_last"},
            "in_last is an output of 1 bit, not an input of 1 bit",
        ),
        ({"mine(": "mine(input wire scan,"}, "input scan is none of its ports"),
    ],
)
def test_ports_are_those_of_the_configuration(edits, message, mine):
    for old, new in edits.items():
        edited(mine, re.escape(old), new)
    assert one_line(CONFIG, mine) == f"module mine is no {CONFIG.full_name}: {message}"


def test_further_outputs_are_left_open(mine):
    edited(mine, r"mine\(", "mine(output wire done,")
    assert "done" not in Dut.read(CONFIG, [mine]).verilog.rpartition("module dut(")[2]


def test_bad_files_and_names_are_one_line(mine, tmp_path):
    other = tmp_path / "other.v"
    assert "choose among mine, mine_accumulator" in one_line(CONFIG, mine, top="no")
    assert "no Verilog can be read" in one_line(CONFIG, tmp_path)
    assert "no Verilog can be read" in one_line(CONFIG, other)
    other.write_text(PRIMITIVE)
    assert one_line(CONFIG, other).startswith("2 of its modules are never instantiated (cell_and, cell_that")
    assert "give models of cells with another --dut" in one_line(CONFIG, other, top="cell_and")
    other.write_text("// nothing\n")
    assert one_line(CONFIG, other) == "there is no module in it; give a Verilog file"
    other.write_text("module broken(; endmodule")
    assert "Yosys cannot read it" in one_line(CONFIG, other)
    other.write_text('`include "rest.v"\n')
    assert "`include is not followed" in one_line(CONFIG, mine, other).removeprefix(f"{other}: ")
    other.write_text(f"module {TOP}(); endmodule")
    assert "rename that module" in one_line(CONFIG, mine, other)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dut", "mine.v"],
        ["4/4/4/6", "8/8/-/-", "--dut", "mine.v"],
        ["4/4/4/6", "--full", "--dut", "mine.v"],
        ["--workload", "layers.npz", "--dut", "mine.v"],
        ["4/4/4/6", "--top", "mine"],
    ],
)
def test_a_design_is_of_one_configuration(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert vsq.main(["regress", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "--dut: it is a design of one configuration" in line or "--top mine: it is a module of --dut" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_an_edited_design_and_its_cells_are_simulated(simulator, mine, require_tool, tmp_path):
    """Cells with delays, primitives and a linter's warnings; the edit is sound."""
    require_tool(simulator)
    cells = tmp_path / "cells.v"
    cells.write_text(PRIMITIVE)
    edited(mine, r"\n\);\n", "\n);\n  wire early;\n")
    edited(mine, r"\.out_valid\(out_valid\)", ".out_valid(early)")
    edited(mine, r"endmodule", "  cell_and u (out_valid, early, 1'b1);\nendmodule")
    dut = Dut.read(CONFIG, [mine, cells])
    screen = io.StringIO()
    summary = regress([CONFIG], sims=[simulator], out=tmp_path, beats=60, dut=dut, console=Console(file=screen))
    assert summary.passed, screen.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_netlist_and_its_cells_are_simulated_through_the_command_line(simulator, require_tool, tmp_path, capsys):
    require_tool(simulator)
    library = Library.load()
    text = gate_level_verilog(synthesize(design(CONFIG).rtlil("mapped"), "mapped", Flow(library=library)), library)
    start = min(
        text.index(f"module {cell}(")
        for cell in re.findall(r"^module (\w+)\(", text, re.MULTILINE)
        if not cell.startswith("mapped")
    )
    netlist, cells = tmp_path / "netlist.v", tmp_path / "cells.v"
    netlist.write_text(text[:start])
    cells.write_text(text[start:])
    arguments = ["regress", CONFIG.full_name, "--dut", str(netlist), "--dut", str(cells), "--sim", simulator]
    assert vsq.main([*arguments, "--beats", "60", "--out", str(tmp_path / "out")]) == 0
    assert "1 of 1 passed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_wrong_edit_is_found_recorded_and_replayed(mine, require_tool, tmp_path, monkeypatch):
    require_tool("icarus")
    wrong = tmp_path / "wrong.v"
    wrong.write_text(design(MacConfig.parse("4/4/4/6:V=2,R=6,round=half_even")).verilog("mine"))
    screen = io.StringIO()
    console = Console(file=screen, width=150)
    dut = Dut.read(CONFIG, [wrong])
    summary = regress([CONFIG], sims=["icarus"], out=tmp_path / "out", beats=300, seed=9, dut=dut, console=console)
    assert not summary.passed
    assert f"--beats 300 --seed 9 --dut {wrong} --top mine" in screen.getvalue()
    [failure] = summary.folder.rglob("failure.npz")
    shrunk = []
    monkeypatch.setattr("vsq.tb.failures.reproduce.shrink", lambda config, beats, pace, verilog: shrunk.append(verilog))
    assert reproduce(failure, out=tmp_path / "again", console=console) == 1
    assert shrunk == [dut.verilog]
    assert "the same RTL as recorded" in screen.getvalue()
    assert reproduce(failure, out=tmp_path / "mended", console=console, files=[mine]) == 0
