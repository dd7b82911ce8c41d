"""One command, one verdict: what each stage says, and the defects that verification finds on its own."""

import io
import re
from math import prod

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import FORMATS, PRESETS, MacConfig
from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.pe import ppu
from vsq.tb.regression import covering
from vsq.tb.regression.verify import reduced, verify
from vsq.tb.simulation import simulators

pytestmark = pytest.mark.slow

SMALL = "2/2/-/-:V=1,acc=5"


def shown(stages):
    screen = io.StringIO()
    code = verify(stages, Console(file=screen, width=120))
    return code, screen.getvalue()


def fails(error):
    def check():
        raise error

    return check


def test_every_stage_must_pass():
    good = ("one", lambda: "done")
    assert shown([good])[0] == 0
    assert shown([])[0] == 1
    for error, verdict, reason in (
        (AssertionError("acc is wrong\nmore"), "FAIL", "acc is wrong\nmore"),
        (RuntimeError("no build"), "FAIL", "no build"),
        (InputError("simulator icarus: not found"), "not run", "simulator icarus: not found"),
        (ModuleNotFoundError("No module named 'z3'", name="z3"), "not run", f"z3 is not installed; {install('z3')}"),
    ):
        code, text = shown([good, ("two", fails(error)), ("three", lambda: "also done")])
        assert code == 1
        assert f"{verdict} two\n{reason}" in text
        assert "also done" in text


@pytest.mark.parametrize("config", covering.full_regression()[::3], ids=str)
def test_the_small_relative_keeps_the_options(config):
    small = reduced(config)
    for name in ("rounding", "overflow", "narrow", "pipeline", "arithmetic", "target"):
        assert getattr(small, name) == getattr(config, name)
    for side in ("weight", "activation", "weight_scale", "activation_scale"):
        assert (getattr(small, side) is None) == (getattr(config, side) is None)
    assert small.weight.signed == config.weight.signed
    assert small.activation.signed == config.activation.signed
    assert (small.scale_shift > 0) == (config.scale_shift > 0)
    assert small.vector_size <= 2
    assert small.acc_bits <= 6


def test_elements_that_cannot_be_smaller_stand_alone():
    """All inputs of a vector are simulated, which two of such elements a side would make too many."""
    assert reduced(MacConfig.parse("e2m1/4/4/6")).full_name == "e2m1/2/2/2:V=1,acc=6"


@pytest.mark.parametrize("name", [*PRESETS, *FORMATS])
def test_every_preset_has_a_small_relative(name):
    """All inputs of which are few enough to be simulated."""
    small = reduced(MacConfig.parse(name))
    sides = len(small.weight.values) * len(small.activation.values)
    inputs = sides**small.vector_size * prod(len(scale.values) for scale in small.scales if scale)
    assert inputs << small.offset_bits <= 1 << 17


def test_a_design_is_verified_by_every_means(require_tool, tmp_path, capsys):
    for simulator in simulators.SIMULATORS:
        require_tool(simulator)
    assert vsq.main(["verify", SMALL, "--seed", "3", "--mutants", "4", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for stage in (
        "regression, verilator",
        "regression, icarus",
        "mutants",
        "proof, protocol",
        "proof, formula",
        "proof, power-up",
        "proof, every input",
        "netlist, verilator",
        "netlist, undefined values",
    ):
        assert re.search(rf"{stage} .* pass ", printed), printed
    assert f"verified: {SMALL}, seed 3" in printed.splitlines()[-1]


def test_a_missing_simulator_leaves_it_incomplete(monkeypatch, capsys, tmp_path):
    def stages(self):
        return ((sim, lambda sim=sim: simulators.find(sim).name) for sim in self.sims)

    monkeypatch.setattr("vsq.tb.regression.verify.Verifier.stages", stages)
    monkeypatch.setattr(simulators.shutil, "which", lambda program: None)
    assert vsq.main(["verify", SMALL, "--out", str(tmp_path)]) == 1
    assert "not run icarus\nsimulator icarus: not found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["2/2"], "W/A/ws/as"),
        ([SMALL, "--sim", "vcs"], "simulator 'vcs': choose among"),
        ([SMALL, "--dut", "missing.v"], "missing.v: no Verilog can be read"),
        ([SMALL, "--top", "x"], "it is a module of --dut"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vsq.main(["verify", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def failed_stages(config, verilog, tmp_path, capsys):
    """Verify a given design; return the stages that fail."""
    path = tmp_path / "given.v"
    path.write_text(verilog)
    arguments = [config, "--dut", str(path), "--sim", "icarus", "--seed", "1", "--out", str(tmp_path / "out")]
    assert vsq.main(["verify", *arguments]) == 1
    return re.findall(r"^│ (\w[^│]*?) +│.*│ FAIL ", capsys.readouterr().out, re.MULTILINE)


def test_a_deleted_saturation_is_found(require_tool, tmp_path, capsys):
    require_tool("icarus")
    config = "4/4/4/6:V=2,max_vectors=8"
    text = design(MacConfig.parse(config)).verilog()
    edited = re.sub(r"wire exceeds = [^;]*;", "wire exceeds = 1'h0;", text)
    assert edited != text
    stages = failed_stages(config, edited, tmp_path, capsys)
    assert stages == ["regression, icarus", "netlist, icarus", "netlist, undefined values"]


def test_a_sign_that_is_not_extended_is_found(require_tool, tmp_path, capsys, monkeypatch):
    """The element computed 7fff instead of 8008 where the product of accumulator and multiplier is a narrow one."""
    require_tool("icarus")
    config = PeConfig.parse("2/16/-/16:V=1,R=1@weight_depth=1,activation_depth=2")
    monkeypatch.setattr(ppu, "max", lambda width, _: width, raising=False)
    stages = failed_stages(config.full_name, design(config).verilog(), tmp_path, capsys)
    assert stages == ["regression, icarus", "netlist, icarus"]
