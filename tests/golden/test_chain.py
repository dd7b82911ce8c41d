"""Chains of layers on the model of the processing element."""

import numpy as np
import pytest
import torch

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.nn.integer import inference, integers
from vsq.golden.workloads.chain import ElementChain
from vsq.golden.workloads.workload import load


@pytest.fixture(scope="module")
def chain():
    return load("digits").chain()


@pytest.mark.parametrize("text", ["4/4U/4/6", "8/8U/-/-", "4/4/4/4:R=6@lanes=32"])
def test_accuracy_stays(chain, text):
    element = ElementChain(chain, PeConfig.parse(text))
    *_, (name, last) = element.trace()
    assert name == "fc"
    with torch.no_grad():
        assert chain.score(element.outputs(last)) >= chain.score(chain.model(chain.inputs).numpy()) - 0.01


@pytest.mark.parametrize("text", ["4/4U/4/6", "8/8/-/-", "nvfp4"])
def test_first_layer_stands_for_the_real_features(chain, text):
    """Codes * scales * gamma differ from the real outputs by the roundings of multiplier, product, bias and code."""
    config, chain = PeConfig.parse(text), chain.first(20)
    _, output = next(ElementChain(chain, config).trace())
    model = chain.quantized(config.mac)
    with inference(model):
        layers = integers(model, lambda model: model(chain.inputs), rows=None)
    real = np.maximum(layers["conv1"].outputs(), 0)
    gamma = float(layers["conv2"].input_gamma)
    scales = np.ones(output.codes.shape[:2], int) if output.scales is None else output.scales
    outputs = (output.codes * scales[..., None]).reshape(len(real), -1)
    step = config.mac.activation.last_step
    bound = 1 + 2.0**-12 * real / gamma + np.repeat(scales, config.mac.vector_size, axis=1) * step / 2
    error = np.abs(outputs - np.minimum(real / gamma, config.z_range[1]))
    assert np.all(error <= bound)
    assert error.max() > 0.4  # the bound is no accident


def test_pooling_keeps_the_largest(chain):
    element = ElementChain(chain.first(5), PeConfig.parse("4/4U/4/6"))
    _, output = next(element.trace())
    z = (output.codes * output.scales[..., None]).reshape(5, 4, 2, 4, 2, 16).max(axis=(2, 4))
    codes, scales = element._pooled(output, (8, 8), element._steps[0])
    assert codes.shape == (5, 4, 4, 1, 16)
    assert np.all(np.abs(codes[:, :, :, 0] * scales - z) * 2 <= scales)


def test_layers_have_the_rows_of_all_inputs(chain):
    config = PeConfig.parse("4/4U/4/6").mac
    layer = chain.first(3).layer(config, "conv3")
    assert layer.weights.operand().codes.shape == (32, 18, 16)
    assert layer.inputs.operand().codes.shape == (3 * 16, 18, 16)
    assert chain.has_relu("conv3")
    assert not chain.has_relu("fc")


def test_more_inputs_than_there_are_are_refused(chain):
    with pytest.raises(InputError, match="361 images: there are 360; ask for no more"):
        chain.first(361)
