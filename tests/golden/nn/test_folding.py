"""BatchNorm folded into layers: against the unfolded model, in exact arithmetic where numbers allow it."""

import warnings

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import layers

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn import integer
from vsq.golden.nn.folding import Folded, fold
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.quantizer.scheme import Scheme

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def shaken(model, seed, exact=False):
    """Give every BatchNorm statistics and factors of both signs; powers of two if ``exact``, so that nothing rounds."""
    rng = np.random.default_rng(seed)
    for norm in model.modules():
        if isinstance(norm, BATCH_NORMS):
            count = norm.num_features
            sign = rng.choice([-1.0, 1.0], count)
            if exact:
                norm.eps = 0.0
                values = 4.0 ** rng.integers(-2, 3, count), 2.0 ** rng.integers(-2, 3, count)
                means = rng.integers(-64, 64, (2, count)) / 64
            else:
                values, means = rng.uniform(0.3, 3, (2, count)), rng.normal(0, 1, (2, count))
            for tensor, array in (
                (norm.running_var, values[0]),
                (norm.weight, sign * values[1]),
                (norm.running_mean, means[0]),
                (norm.bias, means[1]),
            ):
                if tensor is not None:
                    tensor.data.copy_(torch.tensor(array))
    return model.eval()


class Network(nn.Module):
    """Convolutions of every kind with a BatchNorm after each, a residual sum, and a Linear with one."""

    def __init__(self, bias=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 18, 3, padding=1, bias=bias), nn.BatchNorm2d(18), nn.ReLU())
        self.up = nn.ConvTranspose2d(18, 8, 2, stride=2, groups=2, bias=bias)
        self.up_norm = nn.BatchNorm2d(8)
        self.down = nn.Conv2d(8, 18, 2, stride=2, groups=2, bias=bias)
        self.down_norm = nn.BatchNorm2d(18)
        self.head = nn.Linear(18, 7, bias=bias)
        self.head_norm = nn.BatchNorm1d(7)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.down_norm(self.down(torch.relu_(self.up_norm(self.up(x)))))
        return self.head_norm(self.head(x.mean((2, 3))))


def images(seed, count=3):
    return torch.tensor(np.random.default_rng(seed).normal(size=(count, 3, 6, 6)), dtype=torch.float32)


def norms(model):
    return [name for name, module in model.named_modules() if isinstance(module, BATCH_NORMS)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("seed", [11, 12])
def test_a_float_model_keeps_its_outputs(seed, bias):
    torch.manual_seed(seed)
    model = shaken(Network(bias), seed)
    with torch.no_grad():
        folded = fold(model, lambda model: model(x=images(seed)))
        expected, y = model(images(seed + 1)), folded(images(seed + 1))
    assert len(norms(model)) == 4
    assert norms(folded) == []
    assert {module.into for module in folded.modules() if isinstance(module, Folded)} == {
        *("stem.0", "up", "down", "head")
    }
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("text", ["4/4/4/6", "4/4/6/6:R=5", "8/8/-/-", "4/e2m1/4/6", "e2m1/4/4/6"])
@pytest.mark.parametrize("seed", [21, 22])
def test_exported_integers_hold_the_batchnorm_exactly(text, seed):
    """With factors that are powers of two nothing rounds: gammas and biases are equal too, codes up to signs."""
    torch.manual_seed(seed)
    model = shaken(nn.Sequential(nn.Conv2d(3, 18, 3), nn.BatchNorm2d(18)), seed, exact=True)
    model[0].bias.data.copy_(torch.randint(-64, 64, (18,)) / 64)

    def loop(model):
        model(images(seed))

    apart = quantize(model, text, loop, fold=False)
    with pytest.raises(InputError, match=r"layer '0': BatchNorm '1' follows it.*vsq\.fold"):
        integer.integers(apart, loop)
    plain = integer.integers(nn.Sequential(apart[0]), loop, rows=None)["0"]
    layer = integer.integers(quantize(model, text, loop), loop, rows=None)["0"]
    norm = {name: value.double().numpy() for name, value in model[1].state_dict().items()}
    factor = norm["weight"] / np.sqrt(norm["running_var"])
    assert (factor < 0).any()
    assert (factor > 0).any()
    signs = np.sign(factor).astype(int)[:, None, None, None]
    np.testing.assert_array_equal(layer.weights.codes, signs * plain.weights.codes)
    for part in ("weights", "inputs"):
        left, right = (getattr(each, part).scales for each in (layer, plain))
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(layer.inputs.codes, plain.inputs.codes)
    np.testing.assert_array_equal(layer.result.acc, np.sign(factor).astype(int) * plain.result.acc)
    np.testing.assert_array_equal(layer.unit(1), np.abs(factor) * plain.unit(1))
    np.testing.assert_array_equal(layer.bias, factor * (plain.bias - norm["running_mean"]) + norm["bias"])


@pytest.mark.parametrize("scheme", ["4/4/4/6", Scheme(config=MacConfig.parse("4/4/-/-"), float_scales=True)])
@pytest.mark.parametrize("seed", [31, 32])
def test_quantizing_folds_and_changes_rounding_alone(scheme, seed):
    """Folded before quantization, by it, or after training: the same to float32 rounding of gammas and biases."""
    torch.manual_seed(seed)
    model = shaken(nn.Sequential(Network().stem, nn.Conv2d(18, 5, 3), nn.BatchNorm2d(5)), seed)

    def loop(model):
        model(images(seed))

    with torch.no_grad():
        expected = quantize(model, scheme, loop, fold=False)(images(seed))
        for folded in (
            quantize(model, scheme, loop),
            fold(quantize(model, scheme, loop, fold=False), loop),
            fold(quantize(model, scheme, loop, mode="qat"), loop),
        ):
            assert norms(folded) == []
            assert {*quantized_layers(folded)} == {"0.0", "1"}
            close = (folded(images(seed)) - expected).abs() <= 1e-4 * expected.abs().max()
            assert close.float().mean() > 0.97  # an input of the second layer may round to the other neighbour


class Awkward(nn.Module):
    """BatchNorms that must stay, each for a reason of its own."""

    def __init__(self):
        super().__init__()
        self.first_norm = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 6, 1)
        self.conv_norm = nn.BatchNorm2d(6)
        self.shared = nn.Conv2d(6, 6, 1)
        self.shared_norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6)])
        self.tokens = nn.Linear(6, 5)
        self.tokens_norm = nn.BatchNorm1d(36)
        self.batch = nn.Conv2d(6, 6, 1)
        self.batch_norm = nn.BatchNorm2d(6, track_running_stats=False)
        self.unused = nn.BatchNorm2d(6)
        self.out = nn.Conv2d(6, 6, 1)
        self.out_norm = nn.BatchNorm2d(6)

    def forward(self, x):
        y = self.conv(self.first_norm(x))
        y = y + self.conv_norm(y)
        for norm in self.shared_norms:
            y = norm(self.shared(y))
        self.tokens_norm(self.tokens(y.flatten(2).transpose(1, 2)))
        y = self.out(self.batch_norm(self.batch(y)))
        return y, self.out_norm(y)


@pytest.mark.parametrize(
    "method", [{"weight_codes": "gptq"}, {"weight_scales": "hessian"}, {"bias_correction": True}, {"smoothing": 0.5}]
)
def test_fitted_models_are_folded_too(method):
    model = shaken(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5)), 41)
    x = torch.randn(8, 3, 5, 5)
    quantized = quantize(model.eval(), Scheme(config="4/4/4/6", **method), lambda model: model(x))
    assert isinstance(quantized[1], Folded)
    assert integer.integers(quantized, lambda model: model(x)).keys() == {"0", "4"}


def test_what_cannot_be_folded_stays_and_is_named():
    torch.manual_seed(3)
    model = shaken(Awkward(), 3)
    with pytest.warns(UserWarning, match="BatchNorm not folded") as caught, torch.no_grad():
        folded = fold(model, lambda model: model(images(3)))
    [message] = [str(warning.message) for warning in caught]
    assert message.removeprefix("BatchNorm not folded: ").split("; ") == [
        "'first_norm': follows no Linear or convolution directly",
        "'conv_norm': 'conv' has other consumers",
        "'shared_norms.0', 'shared_norms.1': 'shared' has other consumers",
        "'tokens_norm': normalizes another axis than the layer's channels",
        "'batch_norm': normalizes by statistics of the batch, call model.eval() first",
        "'unused': never called",
        "'out_norm': 'out' has other consumers",
    ]
    with torch.no_grad():
        for left, right in zip(model(images(4)), folded(images(4)), strict=True):
            assert torch.equal(left, right)
        square = shaken(nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9)), 5)  # as many tokens as channels
        with pytest.warns(UserWarning, match="folding changes its output by up to"):
            fold(square, lambda model: model(torch.randn(2, 9, 4)))


def test_parameters_shared_with_other_layers_stay():
    torch.manual_seed(6)
    model = nn.ModuleDict({"first": nn.Linear(6, 6), "norm": nn.BatchNorm1d(6), "second": nn.Linear(6, 6)})
    model["second"].weight = model["first"].weight
    model.forward = lambda x: model["second"](model["norm"](model["first"](x)))
    x = torch.randn(5, 6)
    with torch.no_grad():
        expected = shaken(model, 6)(x)
        fold(model, lambda model: model(x), inplace=True)
        torch.testing.assert_close(model(x), expected)
    assert norms(model) == []


def test_integers_without_a_loop_warn_of_a_batchnorm():
    model = shaken(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.BatchNorm1d(6)), 7)
    x = torch.randn(5, 6)
    apart = quantize(model, "4/4/4/6", lambda model: model(x), fold=False)
    with pytest.warns(UserWarning, match="BatchNorm '1' and 1 more .* give a forward_loop"):
        integer.integers(apart)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantized = quantize(model, "4/4/4/6", lambda model: model(x))
        assert {*integer.integers(quantized, lambda model: model(x))} == {"0"}
    assert norms(quantized) == ["3"]


def test_integers_with_a_batchnorm_do_not_go_before_it_again(tmp_path):
    torch.manual_seed(8)
    model = shaken(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), 8)
    x = torch.randn(5, 6)

    def loop(model):
        model(x)

    quantized = quantize(model, "4/4/4/6", loop)
    integer.export(quantized, tmp_path / "integers.npz", loop)
    exported = layers.load(tmp_path / "integers.npz")
    fresh = prepare(fold(model, loop), "4/4/4/6")
    integer.restore(fresh, exported)
    with torch.no_grad():
        assert torch.equal(fresh(x), quantized(x))
    with pytest.raises(InputError, match="folded BatchNorm in the model, False, and in the file, True, differ"):
        integer.restore(prepare(model, "4/4/4/6"), exported)
