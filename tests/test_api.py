"""The public API: every name, what importing it costs, and that it is what the commands run."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest

import vsq
from vsq.cli import main as cli
from vsq.hw.emit.design import design

TORCH = {"Rule", "Scheme", "export", "fold", "integers", "load", "quantize", "save"}
ONNX = {"to_onnx"}
NAMES = (
    TORCH
    | ONNX
    | {
        *(
            "MacConfig",
            "PeConfig",
            "configuration",
            "PRESETS",
            "InputError",
            "generate",
            "VectorMac",
            "ProcessingElement",
        ),
        *("mac", "simulate", "Streams", "Command", "BlockOperand", "LaneParams"),
        *("IntegerLayer", "regress", "area", "energy", "fpga", "layout"),
    }
)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import vsq; dir(vsq); vsq.__version__", {"numpy", "amaranth", "torch", "pyosys", "cocotb", "rich"}),
        ("import vsq; vsq.mac; vsq.simulate; vsq.PRESETS", {"amaranth", "torch", "pyosys", "cocotb"}),
        ("import vsq; vsq.generate; vsq.regress; vsq.area; vsq.energy; vsq.VectorMac", {"torch"}),
        ("from vsq.cli.main import parser; parser().format_help()", {"amaranth", "torch", "pyosys", "cocotb"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code, absent):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print([*sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not absent & {*ast.literal_eval(done.stdout)}


def test_libraries_loaded_later_keep_their_own_symbols():
    """RTLD_GLOBAL, which pyosys sets for the whole process, mixes up the kernels that PyTorch compiles."""
    names = ", ".join(f"vsq.{name}" for name in sorted(NAMES - TORCH - ONNX))
    before = "import sys; flags = sys.getdlopenflags(); import vsq, vsq.cli.main, vsq.tb.formal.equivalence"
    subprocess.run([sys.executable, "-c", f"{before}; {names}; assert sys.getdlopenflags() == flags"], check=True)


def test_every_name_is_there():
    assert {*vsq.__all__} == NAMES
    assert {*NAMES, "__version__"} <= {*dir(vsq)}
    for name in NAMES - TORCH - ONNX:
        assert getattr(vsq, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vsq.nothing  # noqa: B018


def test_the_quantizer_is_there():
    pytest.importorskip("torch")
    for name in TORCH:
        assert getattr(vsq, name)


def test_the_onnx_export_is_there():
    for module in ("torch", "onnx", "onnxscript"):
        pytest.importorskip(module)
    for name in ONNX:
        assert getattr(vsq, name)


def test_configurations_are_given_as_they_are_or_as_text():
    config = vsq.configuration("headline-u", vector_size=8)
    assert config.full_name == "4/4U/4/6:V=8"
    assert vsq.configuration(config) is config
    assert vsq.configuration("4/4U/4/6:V=8@lanes=8").mac == vsq.PeConfig.parse("4/4U/4/6:V=8").mac
    with pytest.raises(vsq.InputError, match="not a configuration; use"):
        vsq.configuration(config, vector_size=4)


@pytest.mark.parametrize("config", ["4/4U/4/6:V=2", vsq.MacConfig.parse("4/4U/4/6:V=2")])
def test_generate(config, tmp_path):
    verilog, manifest = vsq.generate(config, str(tmp_path), "mac")
    assert verilog.read_text() == design(vsq.MacConfig.parse("4/4U/4/6:V=2")).verilog("mac")
    assert json.loads(manifest.read_text())["configuration"] == "4/4U/4/6:V=2"


@pytest.mark.parametrize("options", [{"vectors": 0}, {"seed": -1}, {"interface": "axi"}, {"name": "8"}])
def test_generate_refuses_before_it_writes(options, tmp_path):
    with pytest.raises(vsq.InputError):
        vsq.generate("4/4U/4/6:V=2", tmp_path, **options)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("wrong", [4, None, [4], 4.5])
def test_what_is_no_configuration_is_refused(wrong, tmp_path):
    for call in (vsq.area, vsq.regress, lambda design: vsq.generate(design, tmp_path)):
        with pytest.raises(vsq.InputError, match="a configuration, or a text such as"):
            call(wrong)
    assert not list(tmp_path.iterdir())


def test_regress_takes_texts_and_configurations(require_tool, tmp_path):
    require_tool("icarus")
    designs = ["4/4/4/6:V=1", vsq.configuration("4/4/4/6:V=1")]
    summary = vsq.regress(designs, sims=["icarus"], out=str(tmp_path), beats=20)
    assert summary.passed
    assert len(summary.results) == 1


def test_simulate_is_the_element_from_reset_on():
    config = vsq.PeConfig.parse("4/4/-/-:V=1@lanes=1,weight_depth=1,activation_depth=1")
    streams = vsq.Streams(
        commands=[vsq.Command(rows=1, vectors=1)],
        weights=vsq.BlockOperand(np.array([[3]]), None),
        activations=vsq.BlockOperand(np.array([[-5]]), None),
        params=None,
    )
    for _ in range(2):
        [result] = vsq.simulate(config, streams)
        assert result.acc.tolist() == [[-15]]


def test_area_is_what_the_command_prints(tmp_path, capsys):
    report = vsq.area(["2/2/-/-:V=1", vsq.configuration("2/2/2/2:V=1")], liberty="gates")
    plain, scaled = report.areas
    assert plain.total.area < scaled.total.area
    path = tmp_path / "area.json"
    assert cli.main(["area", "2/2/-/-:V=1", "2/2/2/2:V=1", "--liberty", "gates", "--json", str(path)]) == 0
    records = json.loads(path.read_text())["records"]
    assert records == [vars(record) for record in report.records()]
    assert f"{scaled.ratio:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("designs", "options", "message"),
    [
        ([], {}, "no design"),
        ([vsq.MacConfig.parse("4/4/4/6"), "4/4/4/6@lanes=16"], {}, "give one kind"),
        (["4/4/4/6"], {"goal": "power"}, "choose one of area, balanced, delay"),
        (["4/4/4/6", "4/4/4/6@lanes=16"], {}, "give one kind"),
        ("4/4/4/", {}, "4/4/4/"),
        (["4/4/4/6@lanes=16"], {"bit_area": "-1"}, "from 0"),
        (["4/4/4/6"], {"liberty": "missing.lib"}, "missing.lib"),
    ],
)
def test_area_refuses(designs, options, message):
    with pytest.raises(vsq.InputError, match=message):
        vsq.area(designs, **options)


def test_energy_refuses():
    with pytest.raises(vsq.InputError, match="slew 0"):
        vsq.energy(["4/4/4/6"], "gates", slew=0)
    with pytest.raises(vsq.InputError, match="power"):
        vsq.energy(["4/4/4/6"], "gates")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert f"usage: vsq {command}" in printed
    assert f"\nexample: vsq {command}" in printed
    assert "`" not in printed
    cli.parser().parse_args(printed.splitlines()[-1].split()[2:])  # the example


def test_the_help_says_what_vsq_does(capsys):
    assert cli.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.split("\n\n")[1].startswith("Generate Verilog")
    assert "`" not in printed
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"vsq-rtl {vsq.__version__}\n"
