"""Designs without reset: values at power-up, of vector MACs with either ports and of elements."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import vsq
from vsq.cli.main import main
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import configuration
from vsq.golden.stimulus import stream as stimulus
from vsq.hw.emit.design import design
from vsq.tb.formal.emitted import GATE, compare_text
from vsq.tb.formal.equivalence import Verdict
from vsq.tb.formal.prove import formula, protocol
from vsq.tb.formal.rules import check_rules, rules
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import opened
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.shell import generated

SCHEMA = Path(__file__).parents[2] / "docs/manifest.schema.json"
SMALL = "2/2U/2/2:V=1,R=3,acc=5,reset=none"
ELEMENT = "2/2/1/-:V=1,reset=none@lanes=1,weight_depth=1,activation_depth=1,multiplier_bits=2"


@pytest.mark.slow
def test_protocol_and_formula_are_proved_from_power_up():
    assert protocol(MacConfig.parse(SMALL))
    assert formula(MacConfig.parse(SMALL)) == Verdict.EQUIVALENT


@pytest.mark.parametrize(
    ("config", "interface"),
    [(SMALL, "native"), (SMALL, "axis"), pytest.param(ELEMENT, "native", marks=pytest.mark.slow)],
)
def test_rules_and_text_are_proved(config, interface):
    made = design(configuration(config), interface)
    assert check_rules(made, made.rtlil(TOP), rules(made), 60) == Verdict.EQUIVALENT
    assert compare_text(made, made.verilog(GATE)) == Verdict.EQUIVALENT


def test_a_wrong_value_at_power_up_is_found(plain_bench, tmp_path):
    vsq.generate("4/4U/4/6:V=2,acc=14,reset=none", tmp_path, "dut", vectors=40)
    about = json.loads((tmp_path / "dut.json").read_text())
    assert about["reset"] == {"kind": "none"}
    assert "rst" not in [port["name"] for port in about["ports"]]
    jsonschema.validate(about, json.loads(SCHEMA.read_text()))
    text = (tmp_path / "dut.v").read_text()
    value = "out_valid = 1'b0;"
    assert value in text
    for verilog, verdict in ((text, "PASS"), (text.replace(value, "out_valid = 1'b1;"), "FAIL")):
        (tmp_path / "dut.v").write_text(verilog)
        assert verdict in plain_bench(tmp_path)[1]


@pytest.mark.slow
def test_every_wrong_value_at_power_up_that_matters_is_found(plain_bench, tmp_path):
    """They are those of the registers that a reset would concern.

    All else is 0 then, so that a vector in flight, without marks, adds 0 to an accumulator that is 0, with which a
    first vector may go on as well.
    """
    config = "4/4U/4/6:V=2,acc=14,registered_ready=1"
    sound = design(MacConfig.parse(config)).verilog()
    blocks = re.findall(r"if \(rst\)(?: begin)?\n((?: +\w+ <= \S+;\n)+)", sound)
    reset = [name for block in blocks for name in re.findall(r"(\w+) <= ", block)]
    assert {"in_ready", "out_valid", "fresh"} < {*reset}
    config += ",reset=none"
    vsq.generate(config, tmp_path, "dut", vectors=40)
    text, found = (tmp_path / "dut.v").read_text(), set()
    for name in reset:
        [value] = re.finditer(rf"^ +{name} = 1'b([01]);", text, flags=re.MULTILINE)
        wrong = f"{text[: value.start(1)]}{'10'[int(value[1])]}{text[value.end(1) :]}"
        (tmp_path / "wrong.v").write_text(wrong)
        if "FAIL" in plain_bench(tmp_path, dut="wrong.v")[1]:
            found.add(name)
    assert {*reset} - found <= {"valid0", "fresh"}


def test_a_wrong_ready_at_power_up_is_found(plain_bench, require_tool, tmp_path):
    """The place of a skid buffer is not empty then: what is in it has no mark, so that no result would tell."""
    require_tool("icarus")
    config = MacConfig.parse(f"{SMALL},registered_ready=1")
    vsq.generate(config, tmp_path, "dut", vectors=20)
    (tmp_path / "dut.v").write_text(with_wrong_ready((tmp_path / "dut.v").read_text()))
    assert "no vector taken after the start" in plain_bench(tmp_path)[1]
    job = Job(config=config.full_name, simulator="icarus", seed=1, beats=20, waves=False)
    (tmp_path / "job").mkdir()
    result = worker.run(replace(job, verilog=with_wrong_ready(generated(config))), tmp_path / "job")
    assert {outcome.failure for outcome in result.outcomes if outcome.name == "random_traffic"} == {
        "in_ready is 0 at power-up, not 1"
    }


def with_wrong_ready(verilog):
    assert verilog.count("in_ready = 1'b1;") == 1
    return verilog.replace("in_ready = 1'b1;", "in_ready = 1'b0;")


@pytest.mark.slow
@pytest.mark.parametrize("config", [SMALL, ELEMENT])
def test_the_regression_passes(config, require_tool, tmp_path):
    require_tool("icarus")
    result = worker.run(Job(config=config, simulator="icarus", seed=1, beats=300), tmp_path)
    assert result.passed, result.outcomes


@pytest.mark.slow
def test_each_fresh_playback_starts_from_power_up(require_tool):
    require_tool("verilator")
    config = MacConfig.parse(SMALL)
    beats = stimulus.beats(config, 20, seed=1)
    beats.first[0] = False
    with opened(config) as playback:
        first, second = (playback.play(MacInterface(config).streams(beats)) for _ in range(2))
    assert first.results == second.results


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["generate", f"{SMALL},reset_polarity=low"],
            "reset_polarity = low: a design without reset has no level",
        ),
        (["verify", SMALL], "are of designs with a synchronous reset"),
        (
            ["energy", SMALL, "--liberty", "x.lib"],
            "designs with a synchronous reset; leave reset=none out",
        ),
    ],
)
def test_what_contradicts_it_is_one_line(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("target", "there"), [("fpga", True), ("ecp5", True), ("asic", False)])
def test_designs_for_fpgas_have_values_at_power_up_beside_a_reset(target, there):
    text = design(MacConfig.parse(f"2/2/2/-:V=1,target={target}")).verilog()
    assert ("out_valid = 1'b0;" in text) == ("fresh = 1'b1;" in text) == there
    assert "if (rst)" in text
