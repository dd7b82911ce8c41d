"""The benchmark of dot products in lookup tables."""

import pytest

from benchmarks.fpga import main, smallest, ways
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.fpga.families import FAMILIES


def test_all_ways_compute_the_same():
    plain, *others = ways((2, 2), 2, FAMILIES["ecp5"])
    assert [way.name for way in others] == ["style=bitheap", "target=fpga", "target=ecp5"]
    for way in others:
        commands = ["read_verilog plain.v", "rename design_dot gold", "read_verilog -nosynthesis way.v", "prep"]
        commands += ["hierarchy", "proc", "flatten", "miter -equiv -flatten gold design_dot miter"]
        commands += ["hierarchy -top miter", "sat -verify -prove trigger 0 miter"]
        log = run_yosys(commands, {"plain.v": plain.verilog, "way.v": way.verilog})["log"]
        assert "SUCCESS!" in log


@pytest.mark.slow
def test_wide_tables_are_tried_too():
    family = FAMILIES["ecp5"]
    resources, command = smallest(next(ways((2, 2), 1, family)), family)
    assert command in ("synth_ecp5 -nowidelut -nodsp", "synth_ecp5 -nodsp")
    assert 0 < resources.tables < 20
    assert resources.dsps == 0


@pytest.mark.parametrize("arguments", [["4by4"], ["2x2", "--family", "virtex"], ["2x2", "--vector-size", "0"]])
def test_bad_input_is_one_line(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
