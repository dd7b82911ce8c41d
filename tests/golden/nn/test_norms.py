"""Multipliers of smoothed inputs folded into normalizations, and the readers that forbid it."""

import copy
import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import vsq

torch = pytest.importorskip("torch")

from torch import nn
from torch.nn import functional

from vsq.golden.nn.integer import inference
from vsq.golden.nn.methods import norms, smoothing
from vsq.golden.nn.quantize import prepare, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme

SMOOTHED = Scheme(config="4/4/4/6", smoothing=0.5)


pytestmark = pytest.mark.usefixtures("seeded_without_gradients")


class RootNorm(nn.Module):
    """The root-mean-square normalization as language models write it."""

    def __init__(self, size, offset=0.0):
        super().__init__()
        self.weight, self.offset = nn.Parameter(torch.rand(size) + 0.5), offset

    def forward(self, x):
        return (self.weight + self.offset) * (x * (x.square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt())


class Block(nn.Module):
    """A pre-norm block: a LayerNorm for three layers, a root-mean-square one for two."""

    def __init__(self):
        super().__init__()
        self.before, self.after = nn.LayerNorm(24), RootNorm(24)
        nn.init.uniform_(self.before.weight, 0.5, 2)
        nn.init.normal_(self.before.bias)
        self.query, self.key, self.value = (nn.Linear(24, 24) for _ in range(3))
        self.gate, self.up, self.down = nn.Linear(24, 40), nn.Linear(24, 40), nn.Linear(40, 24)

    def forward(self, x):
        y = self.before(x)
        heads = (part[:, None] for part in (self.query(y), self.key(input=y), self.value(y)))
        x = x + functional.scaled_dot_product_attention(*heads)[:, 0]
        y = self.after(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


def tokens():
    return torch.randn(2, 9, 24) * (torch.randn(24) * 1.5).exp()


def quantize(model, x, scheme=SMOOTHED, **options):
    return vsq.quantize(model, scheme, lambda m: m(x), **options)


def unfolded(monkeypatch, model, x, scheme=SMOOTHED):
    with monkeypatch.context() as patch:
        patch.setattr(norms.Norms, "takers", lambda _: {})
        return quantize(model, x, scheme)


def stated(model):
    return [name for name, layer in quantized_layers(model).items() if layer.input_multiplier is not None]


def test_a_folded_model_computes_what_the_unfolded_one_does(monkeypatch):
    model, x = nn.Sequential(Block(), Block()), tokens()
    one, other = quantize(model, x), unfolded(monkeypatch, model, x)
    assert not stated(one)
    assert len(stated(other)) == 10
    for block, plain in zip(one, other, strict=True):  # the same input for both: a rounding may change a code
        y, given = block.before(x), plain.query.smoothed(plain.before(x))
        torch.testing.assert_close(y, given, rtol=0, atol=4e-7 * given.abs().max().item())
    for name, layer in quantized_layers(one).items():
        assert torch.equal(layer.weight_codes, quantized_layers(other)[name].weight_codes)

    exact = smoothing.multiplier  # powers of two, by which nothing is rounded
    monkeypatch.setattr(smoothing, "multiplier", lambda *args: exact(*args).log2().round().exp2())
    before = copy.deepcopy(model.state_dict())
    one, other = quantize(model, x), unfolded(monkeypatch, model, x)
    assert len({*one[0].before.weight.div(model[0].before.weight).tolist()}) > 1
    assert len(stated(other)) == 10
    for fresh in (x, tokens()):
        assert torch.equal(one(fresh), other(fresh))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


class Reading(nn.Module):
    """A normalization and a layer, with one more thing that reads the output."""

    def __init__(self, more, norm=None):
        super().__init__()
        self.norm, self.layer, self.more = norm or nn.LayerNorm(24), nn.Linear(24, 8), more
        if "other" in more.__code__.co_names:
            self.other = nn.Linear(24, 8)

    def forward(self, x):
        return self.more(self, x, self.norm(x))


class Negative(torch.autograd.Function):
    """A reader that PyTorch's function modes do not see."""

    @staticmethod
    def forward(_ctx, y):
        return -y


def residual(model, x, y):
    return model.layer(y) + y[..., :8]


def kept_in_an_object(model, x, y):
    return SimpleNamespace(out=model.layer(y), hidden=y)


def other_weights(model, x, y):
    return model.layer(y) + functional.layer_norm(x, (24,), model.norm.weight)[..., :8]


READERS = {
    "residual": residual,
    "view": lambda model, x, y: model.layer(y) + model.other(y.view(-1, 24)).view(2, 9, 8),
    "returned": lambda model, x, y: (model.layer(y), {"hidden": y}),
    "kept in an object": kept_in_an_object,
    "in place": lambda model, x, y: model.layer(y) + y.mul_(2).sum(),
    "custom function": lambda model, x, y: model.layer(y) + Negative.apply(y)[..., :8],
    "detached": lambda model, x, y: model.layer(y) + y.data.sum(),
    "weights": other_weights,
    "another input": lambda model, x, y: model.layer(y) + model.layer(x),
}


@pytest.mark.parametrize("more", READERS.values(), ids=READERS.keys())
def test_other_readers_forbid_it(more):
    model, x = Reading(more), tokens()
    quantized = quantize(model, x)
    assert "layer" in stated(quantized)
    assert torch.equal(quantized.norm.weight, model.norm.weight)


def hooked():
    norm = nn.LayerNorm(24)
    norm.register_forward_hook(lambda _module, _inputs, output: output.tanh())
    return norm


NORMS = {
    "not affine": lambda: nn.LayerNorm(24, elementwise_affine=False),
    "hooked": hooked,
    "offset of the weight": lambda: RootNorm(24, offset=1.0),
    "other channels": lambda: nn.GroupNorm(3, 9),
}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS.keys())
def test_normalizations_that_cannot_take_it_up(norm):
    model, x = Reading(lambda model, x, y: model.layer(y), norm()), tokens()
    assert stated(quantize(model, x)) == ["layer"]


def test_all_layers_share_one_multiplier():
    model, x = Reading(lambda model, x, y: model.layer(y) + model.other(y)), tokens()
    assert not stated(quantize(model, x))
    for scheme, kept in ((None, ["layer"]), ("4/4/4/6", ["layer"]), (Scheme(config="4/4/4/6", smoothing=0.4), None)):
        quantized = quantize(model, x, rules=Rule(pattern="other", scheme=scheme))
        assert stated(quantized) == (kept or ["layer", "other"])
        assert torch.equal(quantized.norm.weight, model.norm.weight)


def test_a_loop_that_reads_the_outputs_itself():
    model, x = Reading(lambda model, x, y: model.layer(y)), tokens()
    quantized = vsq.quantize(model, SMOOTHED, lambda m: m.layer(m.norm(x)))
    assert stated(quantized) == ["layer"]


def test_the_summary_counts_both():
    console, x = Console(width=200, record=True, file=io.StringIO()), tokens()
    quantize(nn.Sequential(Block(), Reading(residual)), x, console=console)
    text = console.export_text()
    assert "multiplied by normalizations, folded into 2: 5 layers' inputs" in text
    assert "multiplied before quantization: 1 layers' inputs, 24 channels" in text


def test_folded_models_are_kept(tmp_path):
    model, x = nn.Sequential(nn.Linear(24, 24), Block()), tokens()
    model[1].down.weight = nn.Parameter(torch.randn(24, 40))
    model[1].gate.weight = model[1].up.weight  # tied
    methods = Scheme(config="4/4/4/6", smoothing=0.5, weight_codes="gptq", bias_correction=True, feedback=0.3)
    quantized = quantize(model, x, methods)
    assert not stated(quantized)
    y = quantized(x)
    vsq.save(quantized, tmp_path / "model")
    assert torch.equal(vsq.load(tmp_path / "model", model)(x), y)
    prepared = prepare(copy.deepcopy(model), methods)
    prepared.load_state_dict(quantized.state_dict())
    assert torch.equal(prepared(x), y)
    assert torch.equal(copy.deepcopy(quantized)(x), y)
    with inference(quantized) as differences:
        quantized(x)
    assert all(each.share <= 1 and each.outputs for each in differences.values())


def test_onnx_holds_the_folded_weights(tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, x = Block().eval(), tokens()
    quantized = quantize(model, x)
    vsq.to_onnx(quantized, tmp_path / "model.onnx", x)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    [y] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    expected = quantized(x)
    near = np.isclose(y, expected.numpy(), rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert near.mean() > 0.98  # a code next to a tie may be the other one
