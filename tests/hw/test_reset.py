"""Resets that act at once or at the low level: Verilog, benches, proofs, constraints, and AXI's names."""

import json
import os
import subprocess

import pytest

import vsq
from vsq.cli.main import main
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.tb.formal.emitted import GATE, compare_text
from vsq.tb.formal.equivalence import Verdict
from vsq.tb.formal.prove import protocol
from vsq.tb.formal.rules import check_rules, rules
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job
from vsq.tb.simulation.simulators import find

SMALL = "2/2U/2/2:V=1,R=3,acc=5"
ELEMENT = "4/4U/4/6:V=2{}@lanes=2,weight_depth=2,activation_depth=4"
OPTIONS = ["reset=async", "reset_polarity=low", "reset=async,reset_polarity=low"]


@pytest.mark.parametrize("options", [*(pytest.param(each, marks=pytest.mark.slow) for each in OPTIONS[:2]), OPTIONS[2]])
def test_rules_protocol_and_text_are_proved(options):
    config = MacConfig.parse(f"{SMALL},{options}")
    assert protocol(config)
    for interface in ("native", "axis"):
        made = design(config, interface)
        assert check_rules(made, made.rtlil(TOP), rules(made), 60) == Verdict.EQUIVALENT
        assert compare_text(made, made.verilog(GATE)) == Verdict.EQUIVALENT


@pytest.mark.parametrize(
    ("options", "wrong", "right"),
    [
        ("reset_polarity=low", "~rst_n", "rst_n"),
        ("reset=async", " or posedge rst", ""),
        ("reset=async,reset_polarity=low", "fresh <= 1'b1", "fresh <= 1'b0"),
    ],
)
def test_a_wrong_reset_is_found(options, wrong, right):
    made = design(MacConfig.parse(f"{SMALL},{options}"))
    text = made.verilog(GATE)
    assert wrong in text
    assert compare_text(made, text.replace(wrong, right, 1)) == Verdict.DIFFERENT


@pytest.mark.parametrize("kind", ["native", "axis", "pe"])
def test_the_plain_bench_drives_the_reset(kind, plain_bench, tmp_path):
    options = ",reset=async,reset_polarity=low,style=behavioural"
    config = ELEMENT.format(options) if kind == "pe" else f"4/4U/4/6:V=2{options}"
    interface = "axis" if kind == "axis" else "native"
    vsq.generate(config, tmp_path, "dut", vectors=40, interface=interface, companions=["sdc", "sva"])
    code, printed = plain_bench(tmp_path)
    assert (code, "PASS" in printed) == (0, True), printed
    about = json.loads((tmp_path / "dut.json").read_text())
    clock, reset = ("aclk", "aresetn") if kind == "axis" else ("clk", "rst_n")
    assert about["clock"]["port"] == clock
    assert about["reset"] == {"port": reset, "kind": "asynchronous", "active": "low"}
    assert [port["name"] for port in about["ports"]][:2] == [clock, reset]
    assert f"[get_ports {clock}]" in (tmp_path / "dut.sdc").read_text()
    assert f"reset = ~{reset}" in (tmp_path / "dut_sva.sv").read_text()


@pytest.mark.parametrize("options", ["reset=async", "reset=async,reset_polarity=low"])
def test_assertions_are_clean_in_any_order_of_files(options, require_tool, tmp_path):
    """Verilator reports an asynchronous reset that is sampled where it meets it first, in either file."""
    require_tool("verilator")
    simulator = find("verilator")
    vsq.generate(f"{SMALL},{options}", tmp_path, "dut", companions=["sva", "svh"])
    lint = [simulator.executable, "--lint-only", "-Wall", "--assert"]
    for files in (["-f", "dut_sva.f"], ["dut_sva.sv", "dut.v"], ["-f", "dut_wrapper.f", "dut_sva.sv"]):
        done = subprocess.run([*lint, *files], cwd=tmp_path, env={**os.environ, **simulator.environment()}, check=False)
        assert done.returncode == 0, files


_AT_ONCE = """module bench;
  reg clk = 0, rst_n = 1;
  wire out_valid;
  dut dut(.clk(clk), .rst_n(rst_n), .in_valid(1'b1), .in_weights(8'd0), .in_activations(8'd0), .in_weight_scale(4'd1),
    .in_activation_scale(6'd1), .in_first(1'b1), .in_last(1'b1), .out_ready(1'b1), .in_ready(), .out_valid(out_valid),
    .out_acc(), .out_overflow());
  initial begin
    #1 rst_n = 0; #1 clk = 1; #1 clk = 0; #1 rst_n = 1;
    repeat (8) #1 clk = !clk;
    #1 $write("%b", out_valid);
    rst_n = 0;
    #1 $write("%b", out_valid);
    clk = 1;
    #1 $display("%b", out_valid);
    $finish;
  end
endmodule
"""


@pytest.mark.parametrize(("reset", "seen"), [("sync", "110"), ("async", "100")])
def test_an_asynchronous_reset_acts_at_once(reset, seen, plain_bench, tmp_path):
    vsq.generate(f"4/4/4/6:V=2,reset={reset},reset_polarity=low", tmp_path, "dut")
    (tmp_path / "bench.v").write_text(_AT_ONCE)
    assert plain_bench(tmp_path, "bench.v")[1].split() == [seen]


def test_ports_with_axis_names_have_what_the_packager_reads():
    low, high = (
        design(configuration(f"4/4/4/6:V=2{tail}"), "axis").verilog("x") for tail in (",reset_polarity=low", "")
    )
    assert "X_INTERFACE" not in high
    assert 'X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK"' in low
    assert 'ASSOCIATED_BUSIF s_axis:m_axis, ASSOCIATED_RESET aresetn"' in low
    assert (
        'X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 m_axis TREADY" *)\n  input  wire        m_axis_tready' in low
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "simulator"),
    [
        (f"4/4U/4/6:V=4,acc=14,{OPTIONS[2]}", "verilator"),
        (f"4/4U/4/6:V=4,acc=14,{OPTIONS[2]}", "icarus"),
        (ELEMENT.format(f",{OPTIONS[2]}"), "icarus"),
    ],
)
def test_the_regression_passes(config, simulator, require_tool, tmp_path):
    require_tool(simulator)
    result = worker.run(Job(config=config, simulator=simulator, seed=1, beats=300), tmp_path)
    assert result.passed, result.outcomes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", f"{SMALL},reset_polarity=low"], "verify that one, and this one by 'vsq regress'"),
        (["verify", f"{SMALL},reset=async"], "proofs and netlists are of designs with a synchronous reset"),
        (["energy", f"{SMALL},reset=async", "--liberty", "x.lib"], "energy is of designs with a synchronous reset"),
    ],
)
def test_what_is_of_the_default_reset_alone_says_so(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not [*tmp_path.iterdir()]


def test_defaults_leave_name_and_ports_alone():
    made = design(MacConfig.parse("4/4/4/6"))
    assert made.default_name == "vsq_mac_w4_a4_ws4_as6_v16"
    assert made.config.full_name == "4/4/4/6"
    assert [port["name"] for port in made.manifest()["ports"]][:2] == ["clk", "rst"]
