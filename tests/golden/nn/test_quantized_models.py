"""Quantized models: their values, states, calls, training and figures."""

import copy
import io
import math
import warnings

import numpy as np
import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.core import Quantizer

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
nn = torch.nn

from vsq.golden.nn import integer
from vsq.golden.nn.fidelity import fidelity
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    ).eval()


def images(count=4, seed=0):
    return torch.tensor(np.random.default_rng(seed).random((count, 3, 6, 6)), dtype=torch.float32)


def forward(model):
    return model(images())


def test_dynamic_gammas_need_no_calibration():
    scheme = Scheme(config=MacConfig.parse("8/8/8/10"), input_gamma="row")
    model = quantize(network(), scheme)
    torch.testing.assert_close(model(images()), network()(images()), rtol=0.1, atol=0.02)


def test_unsupported_layers_stay_in_float_with_a_warning():
    model = nn.Sequential(nn.PReLU(3), nn.Flatten(), nn.Bilinear(108, 108, 4), nn.Linear(4, 2))
    model.forward = lambda x: model[3](model[2](h := model[1](model[0](x)), h))
    with pytest.warns(UserWarning, match="in float") as caught:
        quantize(model, "4/4/4/6", forward, inplace=True)
    assert [str(warning.message) for warning in caught] == [
        "1 layer stays in float: 1 (2) Bilinear is not supported",
    ]
    assert {warning.filename for warning in caught} == {__file__}
    assert {*quantized_layers(model)} == {"3"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize(nn.Sequential(nn.Bilinear(2, 2, 2), nn.Linear(4, 2)), _dynamic(), skip=["0"])
    with pytest.raises(InputError, match="no Linear"):
        quantize(nn.Sequential(nn.ReLU()), "4/4/4/6", forward)


def _dynamic():
    return Scheme(config=MacConfig.parse("4/4/4/6"), input_gamma="row")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_name_the_tensor(value):
    model = network()
    with torch.no_grad():
        model[2].weight[3, 1] = value
    with pytest.raises(InputError, match=r"^2\.weight\[3, 0, 1\]"):
        quantize(model, "4/4/4/6", forward)
    with pytest.raises(InputError, match=r"^inputs of 0\["):
        quantize(network(), "4/4/4/6", lambda model: model(images() * value))


def test_state_survives_saving_and_loading():
    model = quantize(network(), "4/4/4/6", forward)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = prepare(network(seed=1), "4/4/4/6")
    other.load_state_dict(torch.load(file))
    assert torch.equal(other(images(seed=2)), model(images(seed=2)))
    assert copy.deepcopy(model)(images()).equal(model(images()))


def _reloaded(state):
    """Return a state as a file of flat tensors keeps it."""
    return safetensors.load(safetensors.save({name: tensor.contiguous() for name, tensor in state.items()}))


def test_a_state_fits_the_configuration_that_it_was_saved_with():
    state = _reloaded(quantize(network(), "4/8/6/6", forward).state_dict())
    model = prepare(network(seed=1), "4/8/6/6")
    model.load_state_dict(state)
    assert torch.equal(model(images()), quantize(network(), "4/8/6/6", forward)(images()))
    dynamic = Scheme(config="4/8/6/6", input_gamma="row")
    for other, options, words in (
        ("4/4/6/6", {}, "configuration in the state, 4/8/6/6, and in the model, 4/4/6/6, differ"),
        ("4/8/6/6:R=8", {}, "configuration in the state, 4/8/6/6, and in the model, 4/8/6/6:R=8, differ"),
        ("4/8/6/6", {"mode": "qat"}, "mode in the state, ptq, and in the model, qat, differ"),
        (dynamic, {}, "input gamma in the state, static, and in the model, row, differ"),
    ):
        model = prepare(network(seed=1), other, **options)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with pytest.raises(InputError, match=f"^layer '0': its {words}; prepare the model") as error:
            model.load_state_dict(state)
        assert "\n" not in str(error.value)
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_states_without_configurations_say_so():
    model = quantize(network(), "4/4/4/6", forward)
    older = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("_extra_state")}
    other = prepare(network(seed=1), "4/4/4/6")
    with pytest.raises(InputError, match=r"^layer '0': its configuration is not in the state, which an older") as error:
        other.load_state_dict(older)
    assert str(error.value).endswith("if it is 4/4/4/6, load {**model.state_dict(), **state}")
    other.load_state_dict({**other.state_dict(), **older})
    assert torch.equal(other(images()), model(images()))
    for strict in (True, False):
        with pytest.raises(InputError, match=r"^layer '0': in float in the state, but 4/4/4/6 in the model.*skip='0'$"):
            other.load_state_dict(network().state_dict(), strict=strict)
    training = quantize(network(seed=1), "4/4/4/6", forward, mode="qat")
    training.load_state_dict(network().state_dict(), strict=False)
    broken = model.state_dict() | {"0._extra_state": torch.zeros(3, dtype=torch.uint8)}
    with pytest.raises(InputError, match=r"^layer '0': its configuration in the state is broken"):
        other.load_state_dict(broken)


class ByName(nn.Module):
    """A network whose layers are called by name."""

    def __init__(self):
        super().__init__()
        self.conv, self.up, self.fc = nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3), nn.Linear(72, 5)

    def forward(self, x):
        return self.fc(input=self.up(input=self.conv(input=x)).flatten(1))


def test_layers_are_called_by_name():
    model = ByName()
    quantized = quantize(model, "8/8/8/8", forward)
    assert {*quantized_layers(quantized)} == {"conv", "up", "fc"}
    torch.testing.assert_close(quantized(images()), model(images()), rtol=0.05, atol=0.02)
    exported = integer.integers(quantized, forward, rows=3)
    assert exported["conv"].inputs.codes.shape[0] == 3
    with integer.inference(quantized) as differences:
        torch.testing.assert_close(quantized(images()), model(images()), rtol=0.05, atol=0.02)
    assert differences.keys() == exported.keys()


@pytest.mark.parametrize("text", ["4/4/4/6", "4/4/4/6:R=6"])
@pytest.mark.parametrize("gamma", ["static", "tensor", "row"])
def test_empty_batches_give_empty_outputs(gamma, text):
    layers = [
        (nn.Linear(6, 4), (0, 6)),
        (nn.Linear(6, 4), (2, 0, 6)),
        (nn.Conv2d(4, 6, 3, groups=2), (0, 4, 5, 5)),
        (nn.Conv1d(3, 6, 3, padding=1, padding_mode="circular"), (0, 3, 5)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2), (0, 4, 5, 5)),
    ]
    for layer, shape in layers:
        some = torch.ones(2, *shape[1:]) if shape[0] == 0 else torch.ones(2, 3, 6)
        loops = [some, torch.zeros(shape)]
        scheme = Scheme(config=text, input_gamma=gamma)
        quantized = quantize(layer, scheme, lambda model, loops=loops: [model(x) for x in loops])
        empty = torch.zeros(shape, requires_grad=True)
        y = quantized(empty)
        assert y.shape == layer(empty).shape
        assert y.numel() == 0
        y.sum().backward()  # to zeros, as in the float layer
        assert empty.grad is not None
        torch.testing.assert_close(quantized(some), layer(some), rtol=0.5, atol=0.5)


def test_training_moves_the_integers_until_they_are_frozen():
    model = quantize(network(), "3/4/4/6", forward, mode="qat")
    assert not any(key.endswith("weight_codes") for key in model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    losses = []
    for _ in range(8):
        loss = model(images()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    trained = model(images())
    for layer in quantized_layers(model).values():
        layer.freeze()
    assert torch.equal(model(images()), trained)


@pytest.mark.parametrize("text", ["4/4/4/6", "4/8/6/10:R=8"])
@pytest.mark.parametrize("mode", ["ptq", "qat"])
def test_outputs_may_be_changed_in_place(text, mode):
    """With rounded scale products they were views, which autograd refuses to see changed."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 5), nn.ReLU(inplace=True)
    )
    y = quantize(model, text, forward, mode=mode)(images())
    y.square().sum().backward()
    with torch.no_grad():
        assert torch.equal(quantize(model, text, forward, mode=mode)(images()), y)


def test_shared_layers_stay_shared():
    shared = nn.Linear(8, 8)
    model = quantize(nn.Sequential(shared, nn.ReLU(), shared), _dynamic())
    assert model[0] is model[2]
    assert isinstance(quantize(nn.Linear(8, 8), _dynamic()), nn.Linear)


def test_split_layers_are_quantized_like_any_other():
    float_model = network()
    model = quantize(split_model(copy.deepcopy(float_model)), "2/8/-/-", forward)
    assert {*quantized_layers(model)} >= {"0.lower", "0.middle", "0.upper", "5.lower"}
    plain = quantize(float_model, "2/8/-/-", forward)
    target = float_model(images())
    assert (model(images()) - target).norm() < (plain(images()) - target).norm()


def test_figures_are_those_of_their_definitions():
    x = torch.tensor([[4.0, 0.0, 0.0, 0.0], [0.01, 0.005, 0.0, 0.0], [7.0, 1.0, -3.0, 20.0], [0.0] * 4]).reshape(1, -1)
    quantizer = Quantizer.for_weights(MacConfig.parse("4/4/4/4:V=4"))
    figures = fidelity(x, pytorch.quantize(quantizer, x, gamma=1 / 15 * 10 / 7))
    assert figures.clipped == 1 / 16  # 20, where the largest step is 10/7
    assert figures.zero_scales == 1 / 4
    exact = fidelity(torch.tensor([[7.0, -3.0]]), pytorch.quantize(quantizer, torch.tensor([[105.0, -45.0]]) / 15))
    assert exact.sqnr > 100


@pytest.mark.parametrize("config", ["4/8/-/-", "3/8/6/10"])
def test_scales_of_least_error_have_less_noise(config):
    def noise(weight_scales):
        scheme = Scheme(config=MacConfig.parse(config), weight_scales=weight_scales)
        layers = quantized_layers(quantize(network(), scheme, forward)).values()
        return [-fidelity(layer.magnitudes(), layer.quantized_weights()).sqnr for layer in layers]

    for best, plain in zip(noise("mmse"), noise("max"), strict=True):
        assert best < plain


@pytest.mark.parametrize("calibration", ["percentile", "entropy", "mse"])
def test_calibrations_clip_what_the_maximum_does_not(calibration):
    outlier = images()
    outlier[0, 0, 0, 0] = 30.0
    schemes = [
        Scheme(config=MacConfig.parse("8/4U/-/-"), calibration=name, percentile=99) for name in ("max", calibration)
    ]
    most, less = (quantize(network(), scheme, lambda model: model(outlier)) for scheme in schemes)
    assert less[0].input_gamma < most[0].input_gamma


def test_the_summary_names_every_layer():
    console = Console(file=io.StringIO(), width=200)
    quantize(network(), "4/4/4/6", forward, skip=["2"], console=console)
    lines = console.file.getvalue().splitlines()
    first, second, third = (next(line for line in lines if f"│ {name} " in line) for name in "025")
    assert "4/4/4/6" in first
    assert first.count(" dB") == 2
    assert "float" in second
    assert third.count("%") == 4


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
def test_inputs_that_are_not_real_numbers_are_refused(kind):
    quantized = quantize(nn.Linear(24, 10), "4/4/4/6", lambda model: model(torch.randn(9, 24)))
    with pytest.raises(InputError, match=rf"inputs of layer: of type {kind}; give real numbers"):
        quantized(torch.ones(3, 24, dtype=kind))
