"""Integers of whole models: against plain loops, the float forward pass, and through files."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import layers as files
from vsq.golden.model import datapath

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn import integer
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme

HEAD = [Rule(pattern="5", scheme=Scheme(config=MacConfig.parse("8/8/-/10:V=3"), input_gamma="row"))]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(20, 8, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 5),
    ).eval()  # fmt: skip


def images(count=4, seed=0):
    return torch.tensor(np.random.default_rng(seed).random((count, 3, 6, 6)), dtype=torch.float32)


def forward(model):
    return model(images())


def expected(layer, m, n):
    """Return one output by plain loops over Python integers."""
    config = layer.config
    (w, sw), (a, sa) = layer.weights.operand(), layer.inputs.operand()
    acc = 0
    for g in range(w.shape[1]):
        d = sum(x * y for x, y in zip(w[n, g].tolist(), a[m, g].tolist(), strict=True))
        p = (1 if sw is None else int(sw[n, g])) * (1 if sa is None else int(sa[m, g]))
        if config.scale_product_bits:
            p = min(2**config.scale_product_bits - 1, (p + 2 ** (config.scale_shift - 1)) >> config.scale_shift)
        acc += d * p
    gammas = float(layer.weights.gamma.reshape(-1)[n]) * float(
        layer.inputs.gamma.reshape(-1)[m % layer.inputs.gamma.size]
    )
    return acc, layer.sign * acc * 2.0**config.scale_shift * gammas + float(layer.bias[n])


@pytest.mark.parametrize("text", ["4/4U/4/6", "4/4/6/6:R=5", "8/8/-/-", "4/e2m1/4/6"])
def test_a_model_runs_in_integers(text):
    model = quantize(network(), text, forward, rules=HEAD)
    x = images(seed=5)
    with integer.inference(model) as differences:
        y = model(x)
    assert differences.keys() == quantized_layers(model).keys()
    for difference in differences.values():
        assert difference.outputs > 0
        assert difference.overflows == 0
        assert 0 < difference.share <= 1
    torch.testing.assert_close(y, model(x), rtol=0.05, atol=0.02)

    exported = integer.integers(model, lambda model: model(x), rows=7)
    for name, layer in exported.items():
        assert len(layer.inputs.codes) == (4 if name == "5" else 7)
        outputs = layer.outputs()
        for m, n in ((0, 0), (3, 4), (2, 1)):
            acc, real = expected(layer, m, n)
            assert layer.result.acc[m, n] == acc
            assert outputs[m, n] == pytest.approx(real, rel=1e-12)
    first = quantized_layers(model)["0"](x)
    np.testing.assert_allclose(exported["0"].outputs(), first.movedim(1, -1).reshape(-1, 20)[:7].detach(), atol=1e-5)


def grouped():
    """Return a network of a grouped, a depthwise and a grouped transposed convolution."""
    return nn.Sequential(
        nn.Conv2d(6, 9, 3, groups=3, padding=1), nn.ReLU(), nn.Conv2d(9, 18, 2, groups=9, bias=False), nn.ReLU(),
        nn.ConvTranspose2d(18, 4, 2, groups=2, stride=2),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("gamma", ["static", "row"])
@pytest.mark.parametrize("text", ["4/4/4/6", "4/8/6/10:R=8,V=4"])
def test_groups_are_matrices_side_by_side(tmp_path, text, gamma, seeded_without_gradients):
    x = torch.randn(3, 6, 5, 4)
    model = quantize(grouped(), Scheme(config=text, input_gamma=gamma), lambda model: model(x))
    with integer.inference(model) as differences:
        y = model(x)
    assert differences.keys() == {"0", "2", "4"}
    assert all(0 < one.share <= 1 and one.outputs > 0 for one in differences.values())
    torch.testing.assert_close(y, model(x), rtol=1e-3, atol=1e-3)

    exported = integer.integers(model, lambda model: model(x), rows=5)
    files.save(tmp_path / "groups.npz", exported)
    for layer in files.load(tmp_path / "groups.npz").values():
        size = len(layer.weights.codes) // layer.groups
        assert len(layer.inputs.codes) == 5 * layer.groups > 5
        results = datapath.mac(layer.config, **vars(layer.beats())).acc.reshape(layer.groups, 5, size)
        np.testing.assert_array_equal(results.swapaxes(0, 1).reshape(5, -1), layer.result.acc)
        weights, rows = (side.dequantize().reshape(len(side.codes), -1) for side in (layer.weights, layer.inputs))
        if "R=" not in text:
            wide = [rows[g :: layer.groups].astype(float) @ weights[g * size : (g + 1) * size].astype(float).T
                    for g in range(layer.groups)]  # fmt: skip
            bias = 0 if layer.bias is None else layer.bias
            np.testing.assert_allclose(layer.outputs(), np.concatenate(wide, axis=1) + bias, rtol=1e-5, atol=1e-5)
    fresh = prepare(grouped(), Scheme(config=text, input_gamma=gamma))
    integer.restore(fresh, exported)
    assert torch.equal(fresh(x), model(x))


def test_the_difference_is_below_one_step_of_an_accumulator():
    """So one wrong product, in either arithmetic, would show."""
    model = quantize(network(), "4/4/4/6", forward)
    with integer.inference(model) as differences:
        model(images())
    for name, layer in integer.integers(model, forward).items():
        assert 0 < differences[name].largest < (layer.weights.gamma.min() * layer.inputs.gamma.min()).item() / 2


@pytest.mark.parametrize(
    ("text", "autocast", "kind"),
    [
        ("4/4/4/6", True, torch.float32),
        ("4/4U/4/6:R=6", True, torch.float32),
        ("8/8/-/-", True, torch.bfloat16),
        ("4/8U/6/10", False, torch.bfloat16),
    ],
)
def test_the_bound_holds_under_autocast_and_for_other_types(text, autocast, kind):
    """Of Linear and convolution layers, whose inputs float layers between them may have rounded to bfloat16."""
    torch.manual_seed(2)
    model = nn.Sequential(*network(), nn.ReLU(), nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6)).eval().to(kind)
    model = quantize(model, text, lambda model: model(images().to(kind)), skip=["7"])
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), integer.inference(model) as differences:
        y = model(images(seed=5).to(kind))
    assert y.isfinite().all()
    assert differences.keys() == {"0", "2", "5", "9"}
    assert max(difference.share for difference in differences.values()) <= 1


def test_overflowing_accumulators_are_counted():
    model = quantize(network(), "4/4U/4/6:acc=10", forward)
    with integer.inference(model) as differences:
        model(images())
    assert sum(difference.overflows for difference in differences.values()) > 0
    assert all(difference.share <= 1 for difference in differences.values())


def test_planes_of_one_sign_run_too():
    model = quantize(split_model(network()), "2/8/4/6", forward)
    signs = {layer.sign for layer in quantized_layers(model).values()}
    assert signs == {-1, 1}
    with integer.inference(model) as differences:
        model(images())
    assert max(difference.share for difference in differences.values()) <= 1


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_files_restore_the_model(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    model = quantize(network(), "4/4/4/6:R=6", forward, rules=HEAD)
    exported = integer.integers(model, forward)
    files.save(path, exported)
    read = files.load(path)
    for name, layer in exported.items():
        other = read[name]
        assert other.config == layer.config
        np.testing.assert_array_equal(other.result.acc, layer.result.acc)
        assert other.outputs().tobytes() == layer.outputs().tobytes()
        assert len(other.beats()) == layer.result.acc.size * layer.weights.operand()[0].shape[1]
    fresh = prepare(network(seed=1), "4/4/4/6:R=6", rules=HEAD)
    integer.restore(fresh, read)
    assert torch.equal(fresh(images(seed=3)), model(images(seed=3)))


def test_streams_give_the_layers_results():
    layers = integer.integers(quantize(network(), "4/4/4/6:R=6", forward, rules=HEAD), forward, rows=2)
    streams = files.streams(layers)
    assert [str(config) for config in streams] == ["4/4/4/6", "8/8/-/10"]
    results = {config: datapath.mac(config, **vars(beats)).acc for config, beats in streams.items()}
    for config, acc in results.items():
        expected = [layer.result.acc.ravel() for layer in layers.values() if layer.config == config]
        np.testing.assert_array_equal(acc, np.concatenate(expected))
    assert len(files.streams(layers, "[02]")) == 1
    with pytest.raises(InputError, match=r"layer '55'.*did you mean 5"):
        files.streams(layers, "55")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: prepare(network(), "4/4/4/6"), ["'5'", "configuration", "4/4/4/6", "8/8/-/10:V=3"]),
        (lambda: prepare(network()[:4], "4/4/4/6"), ["'5'", "in the file but not in the model"]),
        (lambda: _narrower(), ["'0'", "weights", "(16, 9, 3)", "(20, 9, 3)"]),
    ],
)
def test_other_models_are_refused(make, words):
    exported = integer.integers(quantize(network(), "4/4/4/6", forward, rules=HEAD))
    with pytest.raises(InputError) as error:
        integer.restore(make(), exported)
    for word in words:
        assert word in str(error.value)


def _narrower():
    model = network()
    model[0], model[2] = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 2)
    return prepare(model, "4/4/4/6", rules=HEAD)


def test_what_has_no_integers_is_refused(tmp_path):
    model = quantize(network(), Scheme(config=MacConfig.parse("4/4/-/-"), float_scales=True), forward)
    with pytest.raises(InputError, match=r"layer '0'.*fp/fp.*float scales"):
        integer.integers(model)
    model = quantize(network(), "4/4/4/6", forward)
    with pytest.raises(InputError, match=r"without inputs.*forward_loop"):
        integer.integers(model)["0"].result  # noqa: B018 - the property raises
    path = tmp_path / "weights.npz"
    files.save(path, integer.integers(model))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"weights\.npz"):
        files.load(path)


def test_a_float_model_has_no_integers(tmp_path):
    with pytest.raises(InputError, match="no layer is quantized"):
        integer.export(nn.Sequential(nn.Linear(20, 7)), tmp_path / "float.npz")
    assert not list(tmp_path.iterdir())
