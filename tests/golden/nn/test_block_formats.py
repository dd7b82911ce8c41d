"""Whole models in NVFP4, NVINT4, W4A8-FP8 and the formats of OCP MX."""

from dataclasses import replace

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import layers as files

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.folder import load, save
from vsq.golden.nn.folding import fold
from vsq.golden.nn.integer import export, inference, integers, restore
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.quantizer.tensor import Granularity

FLOATS = ["nvfp4", "nvint4", "w4a8fp8"]
EXPONENTS = ["mxfp4", "mxfp6-e2m3", "mxfp6-e3m2", "mxfp8-e4m3", "mxfp8-e5m2", "mxint8"]
NAMES = FLOATS + EXPONENTS


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(43, 37), nn.ReLU(), nn.Linear(37, 5)).eval()


def batch(rows=24, width=43):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


def loop(model):
    return model(batch())


def same(first, second):
    return all(torch.equal(left, right) for left, right in zip(first, second, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_multiplies_what_the_quantizers_give(name):
    model = network()
    quantized = quantize(model, name, loop)
    layer, x = quantized[0], batch(7)
    with torch.no_grad():
        weights, inputs = layer.quantized_weights(), layer.quantized_inputs(layer.rows(x))
        assert weights.gamma.numel() == 1
        real = inputs.dequantize().flatten(1) @ weights.dequantize().flatten(1).T + model[0].bias
        torch.testing.assert_close(layer(x), real, rtol=1e-5, atol=1e-6)
        error = (quantized(x) - model(x)).norm() / model(x).norm()
    assert error < {"4": 0.25, "6": 0.1, "8": 0.1}[next(digit for digit in name if digit.isdigit())]


@pytest.mark.parametrize("name", NAMES)
def test_states_and_folders_come_back(name, tmp_path):
    model, x = network(), batch()
    with torch.no_grad():
        quantized = quantize(model, name, loop)
        expected = quantized(x)
        again = prepare(network(), name)
        again.load_state_dict(quantized.state_dict())
        save(quantized, tmp_path)
        assert same([again(x), load(tmp_path, network())(x)], [expected, expected])
    other = next(one for one in NAMES if one != name)
    with pytest.raises(InputError, match="layer '0': its configuration in the state"):
        prepare(network(), other).load_state_dict(quantized.state_dict())


def test_a_state_of_another_rule_is_refused():
    state = quantize(network(), "mxfp4").state_dict()
    with pytest.raises(
        InputError, match="layer '0': its scale rule in the state, floor, and in the model, even, differ"
    ):
        prepare(network(), Scheme(config="mxfp4", scale_rule="even")).load_state_dict(state)


@pytest.mark.parametrize("name", FLOATS)
def test_integers_are_the_outputs(name, tmp_path):
    quantized = quantize(network(), name, loop)
    path = tmp_path / "integers.npz"
    export(quantized, path, loop, rows=6)
    exported = files.load(path)
    for layer in exported.values():
        assert not layer.result.overflow.any()
    with inference(quantized) as differences:
        loop(quantized)
    assert max(one.share for one in differences.values()) <= 1
    again = prepare(network(), name)
    restore(again, exported)
    with torch.no_grad():
        assert torch.equal(again(batch()), quantized(batch()))


@pytest.mark.parametrize("name", EXPONENTS)
def test_exponents_without_a_window_are_exported_but_not_computed_with(name, tmp_path):
    name = replace(MacConfig.parse(name), window=None).full_name
    quantized = quantize(network(), name)  # no gamma asks for data
    path = tmp_path / "integers.npz"
    export(quantized, path, loop)
    exported = files.load(path)
    again = prepare(network(), name)
    restore(again, exported)
    with torch.no_grad():
        assert torch.equal(again(batch()), quantized(batch()))
        with (
            pytest.raises(InputError, match="would take hundreds of bits; give a window"),
            inference(quantized),
        ):
            loop(quantized)
    weights = exported["0"].weights
    np.testing.assert_array_equal(
        weights.dequantize(), quantized[0].quantized_weights().dequantize().numpy(), err_msg="NumPy's real values"
    )


@pytest.mark.parametrize("name", EXPONENTS)
def test_windows_give_the_outputs(name):
    """A wide window holds each of these sums; of the narrowest one, some lose bits, by no more than the bound.

    Magnitudes from 1 to 4 have no bits far below their vector's largest one. So 8 bits for the sum of 43 products below
    4 * 4, of peaks from 2 on, 12 below these (two 8-bit integers), 70 between the vectors and 2 between their peaks do.
    """
    seed, model = torch.seed(), network()
    print(f"seed {seed}")
    random = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return (1 + 3 * torch.rand(shape, generator=random)) * (1 - 2 * torch.randint(2, shape, generator=random))

    model[0].weight.data = numbers(37, 43)
    x = numbers(24, 43)
    x[::2, :32] *= 2**-70  # a vector far below the other
    narrowest = MacConfig.parse(name).unshifted_range[1].bit_length() + 1
    lost = []
    for bits in (96, narrowest):
        quantized = quantize(model, MacConfig.parse(name, window=bits).full_name)
        with inference(quantized) as differences:
            y = quantized[0](x)
            quantized(x)
        assert all(one.share <= 1 and one.outputs and not one.overflows for one in differences.values())
        lost.append(sum(one.inexact for one in differences.values()))
        layer = integers(quantized, lambda model: model(x), rows=None)["0"]
        np.testing.assert_array_equal(layer.outputs().astype(np.float32), y.numpy())
    assert lost[0] == 0 < lost[1]


@pytest.mark.parametrize(
    "options",
    [{"config": "mxfp4"}, {"config": "nvfp4:R=4"}, {"config": "nvfp4", "four_over_six": True}, {"config": "w4a8fp8"}],
)
def test_onnx_is_refused(options, tmp_path):
    pytest.importorskip("onnx")
    from vsq.golden.nn.onnx.export import to_onnx

    with pytest.raises(
        InputError, match=r"layer '0': .*exponents alone, dual precision, and R or four over six with small"
    ):
        to_onnx(quantize(network(), Scheme(**options), loop), tmp_path / "model.onnx", batch(2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("gamma", ["static", "row"])
@pytest.mark.parametrize("name", ["nvfp4", "mxfp4"])
def test_nan_is_refused_where_something_is_taken_from_the_batch(name, gamma):
    odd, rule = batch().index_fill(1, torch.tensor(3), torch.nan), r"nan: must be finite in float32"
    scheme = Scheme(config=name, input_gamma=gamma)
    if (name, gamma) == ("nvfp4", "static"):
        with pytest.raises(InputError, match=rule):
            quantize(network(), scheme, lambda model: model(odd))
        return
    quantized = quantize(network(), scheme, lambda model: model(odd))
    with pytest.raises(InputError, match=rule):
        quantized(odd)
    with pytest.raises(InputError, match=rule):
        quantize(network(), Scheme(config=name, input_gamma=gamma, weight_codes="gptq"), lambda m: m(odd))


@pytest.mark.parametrize("name", ["nvfp4", "mxfp8-e5m2", "w4a8fp8"])
def test_training_moves_the_integers(name):
    quantized = quantize(network(), name, loop, mode="qat")
    optimizer = torch.optim.SGD(quantized.parameters(), lr=0.05)
    before = quantized[0].quantized_weights().codes.clone()
    target, losses = network()(batch()).detach(), []
    for _ in range(20):
        loss = (quantized(batch()) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not torch.equal(before, quantized[0].quantized_weights().codes)


def test_a_folded_norm_gives_each_channel_a_gamma():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(5, 6, 3, padding=1, groups=1), nn.BatchNorm2d(6), nn.ReLU()).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.linspace(-1, 2, 6))
        model[1].running_var.copy_(torch.linspace(0.5, 3, 6))
        model[1].bias.fill_(0.3)
    images = torch.randn(2, 5, 7, 7)
    plain = quantize(model, "nvfp4", lambda m: m(images), fold=False)
    folded = fold(plain, lambda m: m(images))
    with torch.no_grad():
        torch.testing.assert_close(folded(images), plain(images), rtol=1e-4, atol=1e-5)
    weights = integers(folded, lambda m: m(images))["0"].weights
    assert weights.format.granularity == Granularity.CHANNEL
    assert weights.gamma.shape == (6, 1, 1)


@pytest.mark.parametrize("name", [*NAMES, "e2m1/e2m1/ue5m3/ue5m3", "4/4/-/-"])
def test_folded_networks_come_back(name, tmp_path):
    torch.manual_seed(4)

    def fresh():
        norm = nn.BatchNorm2d(7)
        nn.init.uniform_(norm.weight, -2, 2)
        nn.init.normal_(norm.bias)
        return nn.Sequential(nn.Conv2d(3, 7, 3, bias=False), norm, nn.ReLU(), nn.Flatten(), nn.Linear(63, 4)).eval()

    model, images = fresh(), torch.randn(6, 3, 5, 5)

    def loop(each):
        return each(images)

    scheme = Scheme(config=name, weight_gamma="tensor")
    with torch.no_grad():
        quantized = quantize(model, scheme, loop)
        assert quantized[0].weight_gamma.numel() == 7
        save(quantized, tmp_path)
        again, restored = prepare(fold(fresh(), loop), scheme), prepare(fold(fresh(), loop), scheme)
        again.load_state_dict(quantized.state_dict())
        restore(restored, integers(quantized, loop))
        assert same([each(images) for each in (load(tmp_path, fresh()), again, restored)], [quantized(images)] * 3)
        plain = quantize(fold(model, loop), scheme, loop)  # its one gamma returns where there were more
        again.load_state_dict(plain.state_dict())
        assert same([again(images)], [plain(images)])


@pytest.mark.parametrize("name", ["nvfp4", "nvint4", "mxfp4", "w4a8fp8"])
@pytest.mark.parametrize("options", [{"weight_scales": "mmse"}, {"weight_scales": "hessian"}, {"weight_codes": "gptq"}])
def test_methods_lessen_the_error(name, options):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(96, 24))
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(24, 96) * torch.linspace(0.1, 1, 24)[:, None])
    mixing = torch.randn(96, 96) * torch.linspace(0.05, 1, 96)
    x = torch.randn(400, 96) @ mixing

    def error(scheme):
        weights = quantized_layers(quantize(model, scheme, lambda m: m(x)))["0"].real_weights().flatten(1)
        if options.get("weight_scales") == "mmse":
            return (weights - model[0].weight).square().sum()
        return (x @ (weights - model[0].weight).T).square().sum()

    with torch.no_grad():
        assert error(Scheme(config=name, **options)) < error(Scheme(config=name))


def test_grouped_weights_are_fitted_with_a_gamma_for_each_group():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv1d(8, 6, 3, groups=2))
    x = torch.randn(5, 8, 20)
    layer = quantized_layers(quantize(model, Scheme(config="nvfp4", weight_codes="gptq"), lambda m: m(x)))["0"]
    assert layer.quantized_weights().gamma.shape == (6, 1, 1)
    with torch.no_grad():
        assert (layer(x) - model(x)).norm() < 0.2 * model(x).norm()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": "mxfp4", "float_scales": True}, "float scales: e2m1/e2m1/e8m0/e8m0 has scales of its own"),
        ({"config": "nvfp4", "weight_gamma": "token"}, "weight gamma token: choose channel or tensor"),
        ({"config": "nvfp4", "input_rounding": "ceil"}, "scale rounding ceil: scales ue4m3 are not integers"),
        ({"config": "nvint4", "four_over_six": True}, "four over six: elements 4 with scales ue4m3"),
    ],
)
def test_schemes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Scheme(**options)


def test_defaults_follow_the_scales():
    integer, block = Scheme(config="4/4/4/6"), Scheme(config="nvfp4")
    assert (integer.input_rounding, integer.weight_gamma) == ("ceil", "channel")
    assert (block.input_rounding, block.weight_gamma) == ("nearest", "tensor")
    assert Scheme(config="nvfp4", weight_gamma="channel").weights.granularity == Granularity.CHANNEL
    assert block.calibrated and not Scheme(config="mxfp4").calibrated  # noqa: PT018
