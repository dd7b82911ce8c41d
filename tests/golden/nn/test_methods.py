"""Methods that fit integers to calibration data: GPTQ, Hessian scales, bias correction, smoothing, feedback."""

import copy
import io

import numpy as np
import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError

torch = pytest.importorskip("torch")

from torch import nn
from torch.nn import functional

from vsq.golden.nn import mmse
from vsq.golden.nn.integer import inference, integers, restore
from vsq.golden.nn.layers.registry import fresh_layer
from vsq.golden.nn.methods import gptq
from vsq.golden.nn.methods.hessian import Hessian, damped, inverse_factor
from vsq.golden.nn.methods.replay import Recorder
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme

FORMATS = ["4/4/4/6", "2/4/2/4", "4/8/-/6", "4/4/-/-", "e2m1/e2m1/4/4", "3/4/3/6:V=5"]


pytestmark = pytest.mark.usefixtures("seeded_without_gradients")


def scheme(config, **options):
    return Scheme(config=MacConfig.parse(config), **options)


def correlated(rows, size):
    """Return rows [rows, size] whose columns are correlated and of different magnitudes."""
    return torch.randn(rows, size) @ (torch.randn(size, size) / size**0.5 + torch.eye(size)) * torch.rand(size) * 2


class Block(nn.Module):
    """A post-norm block: a residual stream, layers of the same input, a layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv1d(3, 24, 3, padding=1, bias=False), nn.LayerNorm(24)
        self.left, self.right = nn.Linear(24, 40), nn.Linear(24, 40)
        self.shared, self.out = nn.Linear(40, 40, bias=False), nn.Linear(40, 24)

    def forward(self, x):
        x = self.norm(self.stem(x).transpose(1, 2))
        y = functional.relu(self.left(x) * self.right(x), inplace=True)
        y = self.shared(input=functional.gelu(self.shared(y)))
        y += 1
        return self.norm(x + self.out(y))


def block():
    model = Block().eval()
    model.norm.weight.data = torch.rand(24) * 4 + 0.1
    return model


def batches():
    return [torch.randn(4, 3, length) for length in (5, 17, 30)]


def run(data):
    return lambda model: [model(x) for x in data]


# GPTQ ---------------------------------------------------------------------------------------------------------


def textbook(weights, hessian, steps, element):
    """Return the codes of optimal brain quantization, with the inverse Hessian reduced one column at a time."""
    w, inverse = weights.astype(np.float64).copy(), np.linalg.inv(hessian)
    codes = np.zeros_like(w)
    for k in range(w.shape[1]):
        safe = np.where(steps[:, k] > 0, steps[:, k], np.inf)
        codes[:, k] = element.nearest(w[:, k] / safe)
        error = (w[:, k] - codes[:, k] * steps[:, k]) / inverse[k, k]
        w -= np.outer(error, inverse[k])
        inverse -= np.outer(inverse[:, k], inverse[k]) / inverse[k, k]
    return codes


@pytest.mark.parametrize("config", FORMATS)
def test_gptq_equals_the_textbook(config):
    quantizer = scheme(config).weights
    size = 3 * 4 * quantizer.vector_size
    hessian = Hessian()
    hessian.observe(correlated(5 * size, size))
    h = hessian.matrix(centred=True)
    weights = torch.randn(7, size)
    result = gptq.quantize(quantizer, weights, h)
    step = result.gamma if result.scales is None else result.scales * result.gamma
    steps = step[..., None].expand(result.codes.shape).reshape(7, -1).double().numpy()
    expected = textbook(weights.numpy(), damped(h, gptq.DAMPING).numpy(), steps, quantizer.element)
    np.testing.assert_array_equal(result.codes.reshape(7, -1).numpy(), expected)


def test_the_factor_is_that_of_the_inverse():
    h = torch.cov(correlated(100, 20).T).double()
    u = inverse_factor(h)
    assert torch.equal(u, u.triu())
    torch.testing.assert_close(u.T @ u, h.inverse())


def loss(weights, result, hessian):
    difference = (weights - result.dequantize()).double()
    return torch.einsum("nk,kj,nj->", difference, hessian, difference).item()


@pytest.mark.parametrize("config", FORMATS)
def test_gptq_and_hessian_scales_beat_their_plain_forms(config):
    """On the calibration data: compensated below weighted scales below those of least squared error."""
    quantizer = scheme(config).weights
    size = 8 * quantizer.vector_size
    for _ in range(3):
        hessian = Hessian()
        hessian.observe(correlated(20 * size, size))
        h, weights = hessian.matrix(), torch.randn(30, size)
        compensated = loss(weights, gptq.quantize(quantizer, weights, h), h)
        nearest = [pytorch.quantize(quantizer, weights), mmse.quantize(quantizer, weights)]
        nearest.append(mmse.quantize(quantizer, weights, importance=h.diagonal().float()))
        assert compensated < min(loss(weights, each, h) for each in nearest)


def test_columns_that_saw_only_zeros():
    x = correlated(200, 32)
    x[:, 5:9] = 0
    hessian = Hessian()
    hessian.observe(x)
    result = gptq.quantize(scheme("4/4/4/6").weights, torch.randn(6, 32), hessian.matrix())
    assert result.dequantize().isfinite().all()


# Whole models -------------------------------------------------------------------------------------------------


METHODS = {
    "hessian": {"weight_scales": "hessian"},
    "gptq": {"weight_codes": "gptq"},
    "bias": {"bias_correction": True},
    "smoothing": {"smoothing": 0.5},
    "feedback": {"feedback": 0.3},
    "all": {"weight_codes": "gptq", "bias_correction": True, "smoothing": 0.5, "feedback": 0.3},
}


@pytest.mark.parametrize("methods", METHODS)
@pytest.mark.parametrize("config", ["4/4/4/6", "4/4/4/6:R=8", "4/4/-/-", "e2m1/e2m1/4/4", "3/4/3/6:V=5"])
def test_layers_compute_with_their_integers_and_load_again(config, methods):
    chosen, data, model = scheme(config, **METHODS[methods]), batches(), block()
    before = copy.deepcopy(model.state_dict())
    quantized = quantize(model, chosen, run(data))
    with inference(quantized) as differences:
        quantized(data[0])
    assert [*differences] == ["stem", "left", "right", "shared", "out"]
    assert all(difference.share <= 1 for difference in differences.values())
    loaded = prepare(block(), chosen)
    loaded.load_state_dict(quantized.state_dict())
    assert torch.equal(loaded(data[1]), quantized(data[1]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("config", ["4/4/4/6", "4/4/4/6:R=6"])
def test_bias_correction_restores_every_mean(config):
    """Each layer's, in the quantized model: so each was corrected for the inputs that it really gets."""
    data, model = batches(), block()
    model.out.bias = None
    quantized = quantize(model, scheme(config, weight_codes="gptq", bias_correction=True), run(data))
    recorders = []
    for each in (model, quantized):
        recorder = Recorder(["stem", "left", "right", "out"], run(data))
        recorder(each)
        recorders.append(recorder)
    for name, mean in recorders[0].means.items():
        torch.testing.assert_close(recorders[1].means[name].value(), mean.value(), rtol=1e-4, atol=1e-5)


def test_smoothing_changes_no_product():
    data, model = batches(), block()
    smoothed = quantized_layers(quantize(model, scheme("4/4/4/6", smoothing=0.5), run(data)))
    assert [name for name, layer in smoothed.items() if layer.input_multiplier is not None] == ["left", "right"]
    layer, x = smoothed["left"], torch.randn(5, 24)
    products = layer.smoothed(x).double() @ layer.magnitudes()[:, 0].double().T
    torch.testing.assert_close(products, x.double() @ model.left.weight.double().T, rtol=1e-5, atol=1e-6)
    tokens = torch.cat([model.norm(model.stem(x).transpose(1, 2)).flatten(0, 1) for x in data])
    before, after = (values.square().mean(dim=0).log() for values in (tokens, layer.smoothed(tokens)))
    torch.testing.assert_close(after - after.mean(), (before - before.mean()) / 2, rtol=1e-4, atol=1e-4)


def test_smoothing_is_stated_and_not_lost():
    console = Console(width=200, record=True, file=io.StringIO())
    chosen, data = scheme("4/4/4/6", smoothing=0.5), batches()
    quantized = quantize(block(), chosen, run(data), console=console)
    assert "multiplied before quantization: 2 layers' inputs, 48 channels" in console.export_text()
    with pytest.raises(InputError, match="layer 'stem': multipliers of smoothed inputs are not among the integers"):
        restore(prepare(block(), chosen), integers(quantized))


def output_error(model, quantized, data):
    return sum((model(x) - quantized(x)).square().sum().item() for x in data)


def test_methods_bring_the_output_nearer_to_the_float_model():
    data, model = [torch.randn(16, 3, 50) for _ in range(4)], block()
    plain = output_error(model, quantize(model, scheme("3/8/4/6"), run(data)), data)
    for name in ("hessian", "gptq", "all"):
        fitted = output_error(model, quantize(model, scheme("3/8/4/6", **METHODS[name]), run(data)), data)
        assert fitted < plain


def test_feedback_makes_up_for_the_error_of_inputs():
    """What is left of W x - W' x^ on the calibration data falls with the strength."""
    model = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32))
    data = [correlated(400, 32)]
    rules = [Rule(pattern="0", scheme=scheme("2/8/4/6"))]
    errors = [
        output_error(model, quantize(model, scheme("8/8/6/6", feedback=strength), run(data), rules=rules), data)
        for strength in (0.0, 0.3, 1.0)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 8, 3, groups=2),
        nn.Conv2d(8, 8, 3, groups=8, padding=1),
        nn.ConvTranspose2d(4, 8, 3, stride=2),
        nn.Conv2d(1, 8, 5),
        nn.Conv3d(3, 8, 2),
    ],
)
def test_every_layer_type(layer):
    layer.requires_grad_(False)
    data = [torch.randn(8, layer.in_channels, *[9] * (layer.weight.ndim - 2)).relu()]
    plain, fitted = (
        quantize(layer, scheme("3/8U/4/6", **methods), run(data))
        for methods in ({}, {"weight_codes": "gptq", "bias_correction": True})
    )
    assert output_error(layer, fitted, data) < 0.8 * output_error(layer, plain, data)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_an_encoder_with_nested_inputs():
    """PyTorch passes nested tensors to the layers where a mask says what is padding."""
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 1).eval()
    x, padding = torch.randn(6, 10, 32), torch.arange(10)[None] >= torch.tensor([10, 7, 3, 10, 5, 8])[:, None]

    def loop(model):
        return model(x, src_key_padding_mask=padding)

    exact, fitted = loop(model), quantize(model, scheme("8/8/6/10", **METHODS["all"]), loop)
    assert [name for name, layer in quantized_layers(fitted).items() if layer.input_multiplier is not None] == [
        "layers.0.linear1"
    ]
    assert (loop(fitted) - exact)[~padding].square().mean() < 1e-3 * exact[~padding].square().mean()


def test_rules_decide_layer_by_layer():
    data, model = batches(), block()
    rules = [Rule(pattern="out", scheme=scheme("4/4/4/6"))]
    quantized = quantize(model, scheme("4/4/4/6", weight_codes="gptq"), run(data), rules=rules, skip=["stem"])
    plain = fresh_layer(model.out, scheme("4/4/4/6"))
    assert torch.equal(quantized.out.weight_codes, plain.quantized_weights().codes)
    plain = fresh_layer(model.left, scheme("4/4/4/6"))
    assert not torch.equal(quantized.left.weight_codes, plain.quantized_weights().codes)


def test_the_loop_runs_once_and_may_call_parts():
    """What it feeds is drawn at random, so that a second run would be another one."""
    runs = []

    def loop(model):
        runs.append(model)
        with torch.inference_mode():
            for _ in range(3):
                model.shared(torch.randn(50, 40))
                model(torch.randn(4, 3, 20))

    quantize(block(), scheme("4/4/4/6", weight_codes="gptq", bias_correction=True), loop)
    assert len(runs) == 1


def test_refusals():
    model, data = block(), batches()
    with pytest.raises(InputError, match="layer 'stem': its scheme cannot be trained"):
        quantize(model, scheme("4/4/4/6", bias_correction=True), run(data), mode="qat")
    with pytest.raises(InputError, match="layer 'stem': its scheme's methods need calibration data"):
        quantize(model, scheme("4/4/4/6", weight_codes="gptq", input_gamma="row"))
    with pytest.raises(InputError, match=r"^the model itself: its scheme's methods need calibration data"):
        quantize(nn.Linear(8, 3), Scheme(config="4/4/4/6", weight_codes="gptq"))
    with pytest.raises(InputError, match="weight scales max: codes by gptq have those of the Hessian"):
        scheme("4/4/4/6", weight_codes="gptq", weight_scales="max")
    with pytest.raises(InputError, match=r"smoothing 2: must be 0 to 1"):
        scheme("4/4/4/6", smoothing=2)
    with pytest.raises(InputError, match="layer: calibration saw no data"):
        Hessian().matrix()
