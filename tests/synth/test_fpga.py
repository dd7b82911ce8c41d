"""Resources on FPGAs: counts by family, the style for lookup tables, placement, and bad input."""

import re

import pytest

from vsq.cli.main import main
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.fpga.families import FAMILIES, Resources
from vsq.synth.fpga.placement import harness, place
from vsq.synth.fpga.report import fpga
from vsq.synth.fpga.resources import FpgaDesign
from vsq.tb.regression.job import TOP, Job, run_jobs


def test_cells_are_counted_by_family():
    cells = {"LUT4": 7, "CCU2C": 5, "TRELLIS_FF": 3, "MULT18X18D": 2, "PFUMX": 9, "DP16KD": 1}
    assert FAMILIES["ecp5"].count(cells) == Resources(tables=17, flip_flops=3, dsps=2, memories=1)
    cells = {"SB_LUT4": 4, "SB_CARRY": 9, "SB_DFFESR": 2, "SB_DFF": 1}
    assert FAMILIES["ice40"].count(cells) == Resources(tables=4, flip_flops=3)


def test_components_make_up_the_design_and_the_target_is_an_fpga():
    report = fpga(["2/2/2/-:V=2", "2/2/2/-:V=2,style=behavioural"])
    chains, operators = report.designs["ice40"]
    assert [chains.config.full_name, operators.config.full_name] == [
        "2/2/2/-:V=2,target=fpga",
        "2/2/2/-:V=2,style=behavioural,target=fpga",
    ]
    for found in (chains, operators):
        assert found.total.tables == sum(part.tables for part in found.components.values()) > 0
        assert found.total.flip_flops == sum(part.flip_flops for part in found.components.values()) > 0
    quantities = {record["quantity"] for record in report.document()["records"]}
    assert quantities == {"ice40 tables", "ice40 flip-flops", "ice40 dsps", "ice40 memories"}


def test_every_port_is_between_registers():
    made = design(MacConfig.parse("2/3U/4/-:V=3,clock_enable=1"))
    text = harness(made)
    for name in (*made.ports(), "rst", "clk_en"):
        assert f".{name}(" in text
    # 3*2 + 3*3 + 4 bits, valid, first and last of the beat, ready of the result, reset, enable
    assert "reg [25-1:0] given" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["4/4/4/6", "--family", "virtex"], "family 'virtex': choose ice40 or ecp5 or gowin or xilinx"),
        (["4/4/4/6", "--family", "ecp5,ecp5"], "one is given twice"),
        (["4/4/4/6:dsp=scales"], "dsp = scales: bitheap has no such choice; give target=fpga or style=lut too"),
        (["4/4/4/6:style=behavioural,target=fpga,dsp=all"], "dsp = all: behavioural has no such choice"),
        (["4/4/4/6", "--seeds", "2"], "--seeds 2: nothing is placed; give --pnr too, or leave --seeds out"),
        (["4/4/4/6:target=ecp5"], "its carry chains are cells of ECP5; give target=fpga, or ecp5 alone"),
        (["4/4/4/6", "4/4/4/6@"], "is not compared with a processing element"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["fpga", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("family", "most"), [("ice40", 481), ("gowin", 631)])
def test_dot_product_of_four_bits_is_small(family, most):
    report = fpga(["4/4/-/-:pipeline=0"], [family])
    assert report.designs[family][0].components["dot"].tables <= most


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dot", "total"), [("4/4/4/6", 340, 700), ("8/8/-/-", 1202, None)])
def test_cells_of_ecp5_are_few(name, dot, total):
    report = fpga([f"{name}:target=ecp5"], ["ecp5"], dsp=False)
    found = report.designs["ecp5"][0]
    assert found.components["dot"].tables <= dot
    assert total is None or found.total.tables <= total


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "ecp5"])
def test_the_netlist_of_an_fpga_passes_the_regression(target, require_tool, tmp_path):
    require_tool("icarus")
    config = MacConfig.parse(f"3/2U/2/3:V=3,pipeline=3,acc=12,target={target}")
    commands = [
        "read_verilog design.v",
        f"synth_ecp5 -top {TOP} -nowidelut -nodsp",
        "delete t:$scopeinfo",
        f"select {TOP}",
    ]
    netlist = run_yosys(
        [*commands, "write_rtlil -selected net.il"], {"design.v": design(config).verilog(TOP)}, ["net.il"]
    )
    assert {"CCU2C", "TRELLIS_FF"} < {*re.findall(r"cell .(\w+)", netlist["net.il"])}
    commands = ["read_rtlil net.il", "read_verilog -DNO_INCLUDES +/lattice/cells_sim_ecp5.v", f"hierarchy -top {TOP}"]
    commands += ["proc", "flatten", "opt_clean", "write_verilog -noattr net.v"]
    text = run_yosys(commands, {"net.il": netlist["net.il"]}, ["net.v"])["net.v"]
    job = Job(config=config.full_name, simulator="icarus", seed=1, beats=150, verilog=text, waves=False)
    [(_, result)] = run_jobs([job], tmp_path, workers=1)
    assert result.passed


@pytest.mark.slow
def test_blocks_take_the_products_of_scales_alone():
    report = fpga(["4/4/4/6:style=lut,dsp=scales"], ["ecp5"])
    found = report.designs["ecp5"][0]
    assert found.total.dsps == 2
    assert found.components["dot"].dsps == 0


@pytest.mark.slow
def test_designs_are_placed(require_tool):
    require_tool("nextpnr-ice40")
    report = fpga(["3/3/2/-:V=4"], placements=2)
    [placement] = report.placements.values()
    assert set(placement.frequencies) == {1, 2}
    assert 10 < placement.frequency < 500
    with pytest.raises(InputError, match="nextpnr places iCE40 alone"):
        fpga(["4/4/4/6"], ["ecp5"], placements=1)


def test_a_design_larger_than_the_device_is_refused(require_tool):
    require_tool("nextpnr-ice40")
    found = FpgaDesign(
        config=MacConfig.parse("8/8/-/-"), family=FAMILIES["ice40"], total=Resources(tables=7681), components={}
    )
    with pytest.raises(InputError, match="it takes 7681 lookup tables and an iCE40 HX8K has 7680"):
        place(found, 1)
