"""Clocks that can be disabled: a disabled edge changes nothing, of vector MACs with either ports and of elements."""

import json
import re

import pytest

import vsq
from vsq.cli.main import main
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.tb.formal.enable import check_enable, moving
from vsq.tb.formal.equivalence import Verdict
from vsq.tb.formal.rules import check_rules, rules
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job

SMALL = "2/2U/2/2:V=1,R=3,acc=5,clock_enable=1"
ALL = f"{SMALL},reset=async,reset_polarity=low,registered_ready=1"
ELEMENT = "2/2/1/-:V=1,clock_enable=1@lanes=1,weight_depth=1,activation_depth=1,multiplier_bits=2"
DESIGNS = [(SMALL, "native"), (ALL, "axis"), pytest.param(ELEMENT, "native", marks=pytest.mark.slow)]


@pytest.mark.parametrize(("config", "interface"), DESIGNS)
def test_enable_and_rules_are_proved(config, interface):
    made = design(configuration(config), interface)
    assert check_enable(made) == Verdict.EQUIVALENT
    assert check_rules(made, made.rtlil(TOP), rules(made), 60) == Verdict.EQUIVALENT


@pytest.mark.slow
@pytest.mark.parametrize(("config", "interface"), DESIGNS)
def test_every_process_that_ignores_the_enable_is_found(config, interface):
    made = design(configuration(config), interface)
    text, enable = made.verilog("enabled"), made.clocking.enable
    conditions = list(re.finditer(rf"if \((.*\b{enable}\b.*)\)", text))
    assert len(conditions) > 5
    assert not moving(made, text)
    for found in conditions:
        always = re.sub(rf"\b{enable}\b", "1'b1", found[1])
        assert moving(made, text[: found.start(1)] + always + text[found.end(1) :]), found[0]


def test_an_enable_that_acts_the_other_way_is_found():
    made = design(MacConfig.parse(SMALL))
    assert moving(made, made.verilog("enabled").replace("& clk_en", "& ~clk_en"))


@pytest.mark.parametrize("interface", ["native", "axis"])
def test_the_plain_bench_has_disabled_edges(interface, plain_bench, tmp_path):
    vsq.generate(
        "4/4U/4/6:V=2,acc=14,clock_enable=1,reset_polarity=low", tmp_path, "dut", vectors=40, interface=interface
    )
    about = json.loads((tmp_path / "dut.json").read_text())
    enable = about["clock"]["enable"]
    assert enable == {"native": "clk_en", "axis": "aclken"}[interface]
    sound = (tmp_path / "dut.v").read_text()
    for text, verdict in ((sound, "PASS"), (sound.replace(f"take0 & {enable}", "take0"), "FAIL")):
        (tmp_path / "dut.v").write_text(text)
        assert verdict in plain_bench(tmp_path)[1]


@pytest.mark.slow
@pytest.mark.parametrize("config", [f"{SMALL},registered_ready=1", ELEMENT.replace("V=1,", "V=1,acc=6,")])
def test_the_regression_passes(config, require_tool, tmp_path):
    require_tool("icarus")
    result = worker.run(Job(config=config, simulator="icarus", seed=1, beats=300), tmp_path)
    assert result.passed, result.outcomes


@pytest.mark.slow
def test_the_regression_finds_a_register_that_moves(require_tool, tmp_path):
    require_tool("icarus")
    verilog = worker.generated(MacConfig.parse(SMALL)).replace("take0 & clk_en", "take0")
    result = worker.run(
        Job(config=SMALL, simulator="icarus", seed=1, beats=300, verilog=verilog, waves=False), tmp_path
    )
    assert not result.passed


def test_mutants_are_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", SMALL]) == 2
    assert "and no clock enable; verify that one" in capsys.readouterr().err
