"""A sample of the mutation run: mutants of a small design are found or proved equivalent, and the prover can deny."""

import re
from dataclasses import replace

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.mac import rtlil
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.equivalence import Verdict, compare
from vsq.tb.mutation import mutate as mutation
from vsq.tb.mutation.pins import Pins
from vsq.tb.mutation.variants import run_variants
from vsq.tb.regression.job import TOP

CONFIG = MacConfig.parse("3/3U/3/3:V=2,R=4,acc=10,pipeline=2")
BEATS = 1500


@pytest.fixture(scope="module")
def report(require_tool, tmp_path_factory):
    require_tool("verilator")
    folder = tmp_path_factory.mktemp("mutants")
    return folder, mutation.mutate(CONFIG, 60, 1, BEATS, folder)


def test_every_mutant_is_found_or_proved_equivalent(report):
    _, found = report
    assert len(found.mutants) == 60
    assert [mutant for mutant in found.mutants if mutant.survives] == []
    assert sum(bool(mutant.found) for mutant in found.mutants) > 50


def test_a_report_is_read_again(report, monkeypatch):
    folder, found = report
    monkeypatch.delattr(mutation, "run_variants")
    assert mutation.mutate(CONFIG, 60, 1, BEATS, folder) == found
    with pytest.raises(NameError):
        mutation.mutate(CONFIG, 59, 1, BEATS, folder)


def test_unchanged_design_keeps_its_promise_with_a_narrow_promise_and_one_stage(require_tool, tmp_path):
    require_tool("verilator")
    config = replace(CONFIG, narrow=True, pipeline=1)
    pins = Pins(config)
    design = run_yosys(["read_rtlil a.il", "write_verilog a.v"], {"a.il": rtlil(config, TOP)}, ["a.v"])["a.v"]
    assert run_variants(pins, design, 1, pins.rows(400, 1), tmp_path) == [None]


def mutations(pattern):
    """Return the mutations of the flattened design whose command matches."""
    commands = ["read_rtlil a.il", "flatten", "opt_clean", "mutate -list 3000 -seed 1 -o a.txt"]
    listing = run_yosys(commands, {"a.il": rtlil(CONFIG, TOP)}, ["a.txt"])["a.txt"]
    return [line for line in listing.splitlines() if re.search(pattern, line)]


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        ("-mode inv .*mac_lane_accumulator.* -port Q ", Verdict.DIFFERENT),
        ("-mode const0 .*mac_lane_dot_product.* -port Q ", Verdict.DIFFERENT),
        ("-mode const1 .*-wire mac_lane_nonzero ", Verdict.DIFFERENT),  # data registers are no longer gated
        ("-mode const0 .* -port CLK ", Verdict.UNKNOWN),
        ("-mode none", Verdict.EQUIVALENT),
    ],
)
def test_verdicts(pattern, verdict):
    command = next(iter(mutations(pattern)), None) if pattern != "-mode none" else "mutate -mode none -module dut "
    assert command
    assert compare(Pins(CONFIG, enables=True), rtlil(CONFIG, TOP), command, 20) == verdict
