"""Sums of planes on the RTL of the processing element."""

from importlib.util import find_spec

import numpy as np
import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.mapping import fit_params, gather, plan
from vsq.golden.model.pe import concatenate, simulate
from vsq.tb.playback.playback import opened
from vsq.tb.regression import network

if not find_spec("torch"):
    pytest.skip("torch is not installed", allow_module_level=True)

import torch
from torch import nn

from vsq.golden.nn.planes.dual import dual_model
from vsq.golden.nn.planes.integers import element_of_planes, integer_sum, share_gammas
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme

NAMED = PeConfig.parse("2/8U/4/4:V=4,style=behavioural@activation_depth=512")
METHODS = {
    "split": (split_model, Scheme(config=NAMED.mac)),
    "dual": (
        lambda model: dual_model(model, METHODS["dual"][1], 0.0),
        Scheme(config=element_of_planes(NAMED).mac, weight_scales="mmse"),
    ),
}


@torch.no_grad()
def test_sums_of_linear_and_conv_raw_and_requantized(require_tool):
    """One element computes all of them, command after command: SplitQuant's three planes, and dual tensors' two."""
    require_tool("icarus")
    seed = int(np.random.SeedSequence().entropy) % 2**63
    print(f"seed {seed}")
    torch.manual_seed(seed)
    rng, config, parts, sums = np.random.default_rng(seed), element_of_planes(NAMED), [], []
    for method, scheme in METHODS.values():
        channels, outputs = int(rng.integers(3, 8)), int(rng.integers(2, 7))
        for layer, x in (
            (nn.Linear(channels, outputs), torch.rand(3, channels)),
            (nn.Conv2d(channels, outputs, 2), torch.rand(1, channels, 3, 3)),
        ):
            model = share_gammas(quantize(method(nn.Sequential(layer)), scheme, lambda m, x=x: m(x)))
            integers = integer_sum(model[0], next(model[0].children()).rows(x))
            operands = integers.weights.operand(), integers.inputs.operand()
            unit = np.abs(integers.result.acc).max() / config.z_range[1]
            params = fit_params(config, np.full(outputs, 1 / unit), rng.integers(-9, 9, outputs))
            parts += [plan(config, *operands), plan(config, *operands, params=params, relu=bool(rng.integers(2)))]
            sums += [integers.result.acc]
    streams = concatenate(parts)
    with opened(config, "icarus") as playback:
        played = playback.play(playback.interface.streams(streams))
        found = list(playback.interface.decoded(streams.commands, played.results))
    expected = simulate(config, streams)
    assert len(found) == len(expected)
    for ours, golden in zip(found, expected, strict=True):
        for field in ("acc", "overflow", "codes", "scales"):
            assert np.array_equal(getattr(ours, field), getattr(golden, field))
    ends = np.cumsum([len(part.commands) for part in parts])
    raw = [found[end - len(part.commands) : end] for part, end in zip(parts, ends, strict=True)][::2]
    for results, acc in zip(raw, sums, strict=True):
        assert np.array_equal(gather(config, results, *acc.shape).acc, acc)


@pytest.mark.slow
def test_splitquant_on_the_digits_network(require_tool):
    require_tool("icarus")
    config = PeConfig.parse("2/8U/4/-:style=behavioural")
    result = network.run("digits", config, simulator="icarus", images=1, split=True)
    assert result.passed
    assert str(result.config) == "3/8U/4/-:style=behavioural@weight_depth=128"
    assert [layer.integers for layer in result.layers] == [64 * 16, 16 * 32, 16 * 32, 2 * 10]
    scores = "golden 1.0000, float 1.0000, planes 1.0000, planes of one gamma 1.0000"
    assert result.note == f"accuracy of 1 images 1.0000, {scores}"


def test_a_side_without_scales_is_refused_before_work(capsys, monkeypatch):
    monkeypatch.setattr(network, "load", None)
    assert vsq.main(["network", "digits", "2/8U/-/-", "--split"]) == 2
    error = capsys.readouterr().err
    rule = "planes of one accumulator differ by their weights' scales, and there are none"
    assert error == f"vsq: error: 2/8U/-/-: {rule}; give scale bits, as in 2/8U/4/-\n"
