"""Whole models with two weight planes where one is too coarse."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.nn import mmse
from vsq.golden.nn.integer import inference
from vsq.golden.nn.layers.registry import fresh_layer
from vsq.golden.nn.planes.dual import dual_layer, dual_model
from vsq.golden.nn.planes.splitquant import SumLayer
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme

SCHEMES = {text: Scheme(config=MacConfig.parse(text), weight_scales="mmse") for text in ("3/8/-/-", "3/8/4/6")}
LAYERS = {
    "linear": lambda: nn.Linear(40, 6),
    "conv1d": lambda: nn.Conv1d(17, 6, 3),
    "conv2d": lambda: nn.Conv2d(5, 6, 3),
    "one channel": lambda: nn.Conv2d(1, 6, 3, bias=False),
}


def combined(planes):
    """Return the tensor that planes approximate together."""
    return sum(plane.dequantize() for plane in planes)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("text", SCHEMES)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_parts_are_quantized_to_the_planes(kind, text):
    """The first part's integers stand for exactly what was searched, and the second's for the plane of the rest."""
    layer, scheme = LAYERS[kind](), SCHEMES[text]
    rows = fresh_layer(layer, scheme).weight_rows().detach()
    planes = mmse.dual(scheme.weights, rows)
    parted = dual_layer(layer, scheme, 0.0)
    torch.testing.assert_close(parted.first.weight + parted.second.weight, layer.weight)
    assert parted.second.bias is None
    values = [fresh_layer(part, scheme).quantized_weights().dequantize() for part in (parted.first, parted.second)]
    torch.testing.assert_close(values[0], planes[0].dequantize(), rtol=1e-6, atol=0)
    error = (rows - sum(values)).square().sum()
    assert error <= 1.01 * (rows - combined(planes)).square().sum()
    assert error < 0.1 * (rows - mmse.quantize(scheme.weights, rows).dequantize()).square().sum()


def test_only_layers_above_the_threshold_are_doubled():
    """Weights that are codes already have no error; Gaussian ones have."""
    exact, rough = nn.Linear(32, 4), nn.Linear(32, 4)
    exact.weight.data = torch.randint(-3, 4, (4, 32)).float()
    exact.weight.data[:, 0] = 3
    model = dual_model(nn.Sequential(exact, nn.ReLU(), nn.Sequential(rough)), SCHEMES["3/8/-/-"], 1e-3)
    assert model[0] is exact
    assert isinstance(model[2][0], SumLayer)


def test_a_model_with_doubled_layers_runs_and_is_nearer():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    images = torch.randn(16, 3, 8, 8)
    scheme = SCHEMES["3/8/-/-"]
    exact = model(images)
    single = quantize(model, scheme, lambda m: m(images))
    doubled = quantize(dual_model(copy.deepcopy(model), scheme, 0.001), scheme, lambda m: m(images))
    with inference(doubled) as differences:
        output = doubled(images)
    assert list(differences) == ["0.first", "0.second", "3.first", "3.second"]
    assert all(difference.share <= 1 for difference in differences.values())
    assert (output - exact).square().sum() < 0.1 * (single(images) - exact).square().sum()


def test_what_cannot_be_doubled():
    scheme = SCHEMES["3/8/-/-"]
    assert dual_layer(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), scheme, 0.0) is None
    with pytest.raises(InputError, match="weight scales max: two planes need those of least error; choose mmse"):
        dual_layer(nn.Linear(4, 4), Scheme(config=scheme.config), 0.0)
    with pytest.raises(InputError, match=r"threshold -1: .* choose for example 0.01"):
        dual_layer(nn.Linear(4, 4), scheme, -1)
    broken = nn.Linear(4, 4)
    broken.weight.data[1, 2] = torch.nan
    with pytest.raises(InputError, match=r"weight\[1, 0, 2\] = nan: must be finite"):
        dual_layer(broken, scheme, 0.0)
