"""Refined gammas against the closed form, and what must not change."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.core import Quantizer

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.refine import refine
from vsq.golden.quantizer import pytorch

CONFIGS = ["3/8/-/-", "3/8/4/4"]


def data(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def quantized(weight, config):
    return pytorch.quantize(Quantizer.for_weights(MacConfig.parse(config)), weight.movedim(1, -1))


def output_error(layer, weight, x):
    return (x @ layer.weight.T - x @ weight.dequantize().T).square().mean().item()


@pytest.mark.parametrize("config", CONFIGS)
def test_one_layer_reaches_the_least_squares_gammas(config):
    """Per output channel the best factor is <y, y'> / <y', y'>, with y the float and y' the quantized output."""
    torch.manual_seed(0)
    layer = nn.Linear(32, 6, bias=False)
    layer.weight.data *= torch.linspace(1, 4, 6)[:, None]
    x = data(400, 32) * torch.linspace(0.2, 3, 32)
    before = quantized(layer.weight, config)
    after = refine(layer, {"weight": before}, list(x.split(200)), epochs=150, learning_rate=4e-3)["weight"]
    exact, coarse = (x @ layer.weight.T).detach(), x @ before.dequantize().T
    factor = (exact * coarse).sum(dim=0) / coarse.square().sum(dim=0)
    assert torch.allclose(after.gamma.flatten() / before.gamma.flatten(), factor, atol=2e-3)
    assert output_error(layer, after, x) < output_error(layer, before, x)


@pytest.mark.parametrize("config", CONFIGS)
def test_integers_and_model_stay_as_they_are(config):
    torch.manual_seed(1)
    layer = nn.Linear(20, 4)
    weights = layer.weight.detach().clone()
    before = quantized(layer.weight, config)
    after = refine(layer, {"weight": before}, [data(50, 20)], epochs=3)["weight"]
    assert torch.equal(after.codes, before.codes)
    assert before.scales is None or torch.equal(after.scales, before.scales)
    assert (after.gamma > 0).all()
    assert not after.gamma.requires_grad
    assert torch.equal(layer.weight, weights)
    assert layer.weight.grad is None


def test_a_whole_network_with_convolutions_gets_nearer():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    weights = {name: quantized(model.get_parameter(name), "2/8/4/4") for name in ("0.weight", "3.weight")}
    x = data(40, 3, 6, 6)

    def error(tensors):
        values = {name: tensor.dequantize().movedim(-1, 1) for name, tensor in tensors.items()}
        with torch.no_grad():
            return (torch.func.functional_call(model, values, (x,)) - model(x)).square().mean().item()

    assert error(refine(model, weights, [x], learning_rate=1e-2)) < 0.9 * error(weights)


def test_the_best_epoch_is_kept():
    """Steps that only make it worse leave the given gammas."""
    layer = nn.Linear(16, 2, bias=False)
    before = quantized(layer.weight, "8/8/-/-")
    after = refine(layer, {"weight": before}, [data(20, 16)], epochs=2, learning_rate=5.0)["weight"]
    assert torch.equal(after.gamma, before.gamma)


def test_errors_name_what_is_wrong():
    layer = nn.Conv2d(4, 2, 3)
    weight = quantized(layer.weight, "4/4/4/4")
    with pytest.raises(InputError, match="got no batches"):
        refine(layer, {"weight": weight}, [])
    with pytest.raises(InputError, match="fc: the model has no such parameter; it has weight, bias"):
        refine(layer, {"fc": weight}, [data(1, 4, 5, 5)])
    flat = pytorch.quantize(Quantizer.for_weights(MacConfig.parse("4/4/4/4")), layer.weight)
    with pytest.raises(InputError, match=r"weight: shape \(2, 3, 4, 3\), but the parameter has \(2, 4, 3, 3\)"):
        refine(layer, {"weight": flat}, [data(1, 4, 5, 5)])
