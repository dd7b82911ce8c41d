"""The digits network on the model of the processing element."""

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.workloads.digits import load
from vsq.golden.workloads.pe_network import PeNetwork


def network(text):
    config = PeConfig.parse(text)
    return PeNetwork.of(load().quantize(config.mac).network, config)


@pytest.mark.parametrize("text", ["4/4U/4/6", "8/8U/-/-", "4/4/4/4:R=6@lanes=32"])
def test_accuracy_stays(text):
    digits, element = load(), network(text)
    *_, last = element.trace(digits.test_images)
    accuracy = np.mean(element.logits(last).argmax(axis=1) == digits.test_labels)
    assert accuracy >= digits.fp32_accuracy - 0.01


@pytest.mark.parametrize("text", ["4/4U/4/6", "8/8/-/-"])
def test_first_layer_stands_for_the_real_features(text):
    """Codes * scales * gamma differ from the real outputs by the roundings of multiplier, product, bias and code."""
    digits, element = load(), network(text)
    images = digits.test_images[:20]
    output = next(element.trace(images))
    first, second = element.network.layers[:2]
    tensors = first.tensors(images)
    gammas = first.weights.gamma.reshape(-1) * first.gamma.reshape(-1)
    real = np.maximum(tensors.result.acc * gammas * 2.0**element.config.mac.scale_shift + first.layer.bias, 0)
    gamma = float(second.gamma.reshape(-1)[0])
    scales = np.ones(output.codes.shape[:2], int) if output.scales is None else output.scales
    outputs = (output.codes * scales[..., None]).reshape(len(real), -1)
    bound = 1 + 2.0**-12 * real / gamma + np.repeat(scales, element.config.mac.vector_size, axis=1) / 2
    most = element.config.z_range[1]
    error = np.abs(outputs - np.minimum(real / gamma, most))
    assert np.all(error <= bound)
    assert error.max() > 0.4  # the bound is no accident


def test_pooling_keeps_the_largest():
    element = network("4/4U/4/6")
    images = load().test_images[:5]
    outputs = list(element.trace(images))
    z = (outputs[0].codes * outputs[0].scales[..., None]).reshape(5, 4, 2, 4, 2, 16).max(axis=(2, 4))
    codes, scales = element._pool(outputs[0], (5, 8, 8), 2)
    assert codes.shape == (5, 4, 4, 1, 16)
    assert np.all(np.abs(codes[:, :, :, 0] * scales - z) * 2 <= scales)


def test_another_mac_is_refused():
    quantized = load().quantize(PeConfig.parse("4/4U/4/4").mac).network
    with pytest.raises(InputError, match="quantized for 4/4U/4/4:max_vectors=32; quantize it for the element's MAC"):
        PeNetwork.of(quantized, PeConfig.parse("4/4U/4/6"))
