"""Input streams whose ``ready`` is a register: no combinational path, and nothing of the streams' rules is lost."""

import json
import re

import pytest

import vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.emission import convert
from vsq.hw.emit.verilog.netlist import netlists
from vsq.hw.emit.verilog.paths import combinational_paths
from vsq.tb.formal.emitted import GATE, compare_text
from vsq.tb.formal.equivalence import Verdict
from vsq.tb.formal.prove import protocol
from vsq.tb.formal.rules import check_rules, rules
from vsq.tb.mutation import mutate
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job

SMALL = "2/2U/2/2:V=1,R=3,acc=5"
MAC = "4/4U/4/6:V=2,acc=14{}"
ELEMENT = "4/4U/4/6:V=2{}@lanes=2,weight_depth=2,activation_depth=4"
REGISTERED = ",registered_ready=1"


def inputs_of_ready(text, interface):
    made = design(configuration(text), interface)
    paths = combinational_paths(netlists(convert(made.top(), TOP, made.parts, aliases=True)))
    return {output: inputs for output, inputs in paths.items() if output.endswith("ready")}


def test_ready_is_combinational_without():
    assert inputs_of_ready(MAC.format(""), "native") == {"in_ready": ["out_ready"]}


@pytest.mark.parametrize(
    ("text", "interface"),
    [(MAC, "native"), (MAC, "axis"), pytest.param(ELEMENT, "native", marks=pytest.mark.slow)],
)
def test_ready_depends_on_no_input(text, interface):
    assert inputs_of_ready(text.format(REGISTERED), interface) == {}
    streams = design(configuration(text.format(REGISTERED)), interface).manifest()["streams"]
    assert {s["direction"] for s in streams if s.get("registered_ready")} == {"input"}
    assert all(s.get("registered_ready") for s in streams if s["direction"] == "input")


@pytest.mark.parametrize("depth", [0, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (1, 2))])
def test_protocol_rules_and_text_are_proved(depth):
    made = design(MacConfig.parse(f"{SMALL},pipeline={depth}{REGISTERED}"))
    assert protocol(made.config)
    assert check_rules(made, made.rtlil(TOP), rules(made), 60) == Verdict.EQUIVALENT
    assert compare_text(made, made.verilog(GATE)) == Verdict.EQUIVALENT


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Return the folder of a generated MAC and its bench."""
    folder = tmp_path_factory.mktemp("generated")
    vsq.generate(MAC.format(REGISTERED), folder, "dut", vectors=60)
    return folder


@pytest.mark.parametrize("interface", ["native", "axis"])
def test_parts_behind_it_have_the_names_of_the_source(interface):
    text = design(MacConfig.parse(MAC.format(REGISTERED)), interface).verilog()
    assert not re.findall(r"\w*port\d+\b", text)


def test_the_plain_bench_counts_the_place_more(generated, plain_bench):
    assert "PASS" in plain_bench(generated)[1]
    assert json.loads((generated / "dut.json").read_text())["latency_cycles"] == 2


@pytest.mark.parametrize(
    ("sound", "wrong"),
    [
        ("in_ready ? in_weights : in_skid_held_weights", "in_weights"),
        ("in_ready ? in_last : in_skid_held_last", "in_ready ? in_skid_held_last : in_last"),
        ("in_skid_o__valid = in_valid | ~in_ready", "in_skid_o__valid = in_valid"),
        ("in_ready <= 1'b1;", "in_ready <= 1'b0;"),
        ("in_ready <= in_skid_o__ready | ~in_skid_o__valid;", "in_ready <= in_skid_o__ready;"),
        ("in_ready <= in_skid_o__ready | ~in_skid_o__valid;", "in_ready <= 1'b1;"),
        ("in_skid_held <= {", "in_skid_held <= ~{"),
    ],
)
def test_a_wrong_buffer_is_found(sound, wrong, generated, plain_bench):
    text = (generated / "dut.v").read_text()
    assert sound in text
    (generated / "wrong.v").write_text(text.replace(sound, wrong))
    assert "FAIL" in plain_bench(generated, dut="wrong.v")[1]


@pytest.mark.slow
def test_mutants_are_found_or_proved_equivalent(require_tool, tmp_path):
    require_tool("verilator")
    report = mutate.score(MacConfig.parse(f"{SMALL}{REGISTERED}"), 12, 1, "plain", tmp_path)
    assert len(report.mutants) == 12
    assert report.missed == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [MAC, ELEMENT])
def test_the_regression_passes(text, require_tool, tmp_path):
    require_tool("icarus")
    config = text.format(REGISTERED)
    result = worker.run(Job(config=config, simulator="icarus", seed=1, beats=300), tmp_path)
    assert result.passed, result.outcomes
