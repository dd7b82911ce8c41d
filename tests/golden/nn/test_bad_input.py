"""Bad arguments and inputs of the public functions on networks: one line that names the value, and nothing done."""

import numpy as np
import pytest

import vsq
from vsq.golden.contract.errors import InputError
from vsq.golden.io import layers as files

torch = pytest.importorskip("torch")

from torch import nn

from vsq.golden.nn.integer import inference, restore
from vsq.golden.nn.quantize import prepare, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme

CONFIG = "4/4/4/6"
MODEL, LOOP = "model of type NoneType: must be a torch.nn.Module", "forward_loop of type int: must be a function"
PATH, FLAG = "of type NoneType: must be a text or a pathlib.Path", "of type str: must be True or False"


@pytest.fixture(autouse=True)
def _seeded():
    seed = int(np.random.SeedSequence().entropy) % 2**63
    print(f"seed {seed}")
    torch.manual_seed(seed)


def network():
    return nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 3))


def loop(model):
    return model(torch.randn(9, 24))


def quantized(**options):
    return vsq.quantize(network(), Scheme(config=CONFIG, **options), loop)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: vsq.fold(None, loop), MODEL),
        (lambda _: vsq.fold(network(), 3), LOOP),
        (lambda _: vsq.fold(network(), loop, inplace="yes"), f"inplace {FLAG}"),
        (lambda _: vsq.quantize(network(), CONFIG, loop, inplace="yes"), f"inplace {FLAG}"),
        (lambda _: vsq.quantize(network(), CONFIG, loop, fold="yes"), f"fold {FLAG}"),
        (lambda _: vsq.integers(None), MODEL),
        (lambda _: vsq.integers(quantized(), 3), LOOP),
        (lambda _: vsq.integers(quantized(), loop, rows="a"), "'a' rows: at least 1 is recorded"),
        (lambda _: vsq.export(quantized(), None, loop), f"path {PATH}"),
        (lambda path: vsq.export(quantized(), path / "model.npz", 3), LOOP),
        (lambda path: vsq.save(None, path / "model"), MODEL),
        (lambda _: vsq.save(quantized(), None), f"folder {PATH}"),
        (lambda _: vsq.load(None, network()), f"folder {PATH}"),
        (lambda path: vsq.load(path, None), MODEL),
        (lambda _: inference(None).__enter__(), MODEL),
        (lambda _: inference(network()).__enter__(), "model Sequential: no layer is quantized; call quantize first"),
        (lambda _: Scheme(config=CONFIG, bias_correction="no"), f"bias_correction {FLAG}"),
        (lambda _: Scheme(config="4/4/-/-", float_scales="no"), f"float_scales {FLAG}"),
        (lambda _: Scheme(config=CONFIG, percentile="a"), "percentile 'a': must be above 0 and at most 100"),
        (lambda _: Scheme(config=CONFIG, percentile=101), "percentile 101: must be above 0 and at most 100"),
        (lambda _: Scheme(config=CONFIG, smoothing=True), "smoothing True: must be 0 to 1"),
        (lambda _: vsq.quantize(network(), CONFIG, loop, skip="*"), "model Sequential: rules and skip leave"),
        (lambda _: prepare(network(), CONFIG, rules=Rule(scheme=None)), "model Sequential: rules and skip leave"),
        (lambda _: vsq.quantize(network().to("meta"), CONFIG, loop), "parameter '0.weight': is on the device meta"),
        (lambda _: prepare(network().to("meta"), CONFIG), "parameter '0.weight': is on the device meta"),
    ],
)  # fmt: skip
def test_arguments_of_another_type(call, message, tmp_path):
    with pytest.raises(InputError, match=f"^{message}"):
        call(tmp_path)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("inputs", [None, "text", {"x": None}])
def test_onnx_needs_an_example_with_a_tensor(inputs, tmp_path):
    pytest.importorskip("onnx")
    for path, message in ((tmp_path / "model.onnx", "inputs of type .* has no tensor"), (None, f"path {PATH}")):
        with pytest.raises(InputError, match=message):
            vsq.to_onnx(quantized(), path, inputs)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("layer", "axis", "shape"),
    [
        (nn.Linear(24, 10), -1, (9, 24)),
        (nn.Conv1d(24, 10, 3), -2, (2, 24, 5)),
        (nn.Conv2d(24, 10, 3, groups=2), -3, (2, 24, 5, 5)),
        (nn.ConvTranspose2d(24, 10, 2), -3, (24, 5, 5)),
    ],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_inputs_of_another_type_or_shape_name_the_layer(layer, axis, shape, smoothing):
    model = nn.Sequential(nn.Identity(), layer)
    layer = vsq.quantize(model, Scheme(config=CONFIG, smoothing=smoothing), lambda m: m(torch.randn(shape)))[1]
    for size in (7, 48):
        wrong = list(shape)
        wrong[axis] = size
        message = (
            rf"inputs of 1: shape \({', '.join(map(str, wrong))}\) has not the layer's 24 channels along axis {axis}"
        )
        with pytest.raises(InputError, match=message):
            layer(torch.randn(wrong))
    for x in (None, "text"):
        with pytest.raises(InputError, match=f"inputs of 1: of type {type(x).__name__}; give a tensor"):
            layer(x)
    with pytest.raises(InputError, match="inputs of 1: of type NoneType; give a tensor"):
        layer()


def test_a_smoothed_layer_takes_its_input_by_keyword():
    def of_parts(model):  # which is given the normalization's output, so that the multiplier stays
        return model[1](model[0](torch.randn(9, 24)))

    model = vsq.quantize(network(), Scheme(config=CONFIG, smoothing=0.5), of_parts, skip="3")
    x, layer = torch.randn(5, 24), quantized_layers(model)["1"]
    assert layer.input_multiplier is not None
    assert torch.equal(layer(input=x), layer(x))


def test_integers_of_smoothed_layers_are_not_restored_into_others(tmp_path):
    smoothed = quantized(smoothing=0.5)
    exported = vsq.export(smoothed, tmp_path / "smoothed.npz")
    for layers in (exported, files.load(tmp_path / "smoothed.npz")):
        with pytest.raises(InputError, match="layer '1': multipliers of smoothed inputs are not among the integers"):
            restore(prepare(network(), CONFIG), layers)
    restore(prepare(network(), CONFIG), vsq.integers(quantized()))


@pytest.mark.parametrize("input_gamma", ["static", "row"])
def test_empty_batches_fit_nothing(input_gamma):
    methods = {"weight_codes": "gptq", "bias_correction": True, "smoothing": 0.5, "feedback": 0.3}
    chosen, model, data = Scheme(config=CONFIG, input_gamma=input_gamma, **methods), network(), torch.randn(9, 24)
    full = vsq.quantize(model, chosen, lambda m: m(data))
    some = vsq.quantize(model, chosen, lambda m: (m(data[:0]), m(data), m(data[:0])))
    assert torch.equal(some(data), full(data))

    if input_gamma == "row":  # without data nothing is fitted, as in a layer that never runs
        none = vsq.quantize(model, chosen, lambda m: m(data[:0]))
        plain = vsq.quantize(model, Scheme(config=CONFIG, input_gamma=input_gamma))
        assert torch.equal(none(data), plain(data))
