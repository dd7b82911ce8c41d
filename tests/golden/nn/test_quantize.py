"""Whole models: rules, calibration, summary, state, and what is refused."""

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
nn = torch.nn

from vsq.golden.nn.fidelity import fidelity
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.nn.scheme import Rule, Scheme
from vsq.golden.quantizer import pytorch


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    ).eval()


def images(count=4, seed=0):
    return torch.tensor(np.random.default_rng(seed).random((count, 3, 6, 6)), dtype=torch.float32)


def forward(model):
    return model(images())


def test_configurations_follow_the_first_rule_that_matches():
    eight, wide = Scheme(config=MacConfig.parse("8/8/-/-")), Scheme(config=MacConfig.parse("6/6/4/4"))
    rules = [Rule(pattern="[05]", scheme=eight), Rule(kind=nn.Linear, scheme=wide), Rule(pattern="2", scheme=wide)]
    model = quantize(network(), "4/4/4/6", forward, rules=rules)
    assert {name: str(layer.scheme) for name, layer in quantized_layers(model).items()} == {
        "0": "8/8/-/-",
        "2": "6/6/4/4",
        "5": "8/8/-/-",
    }
    assert {*quantized_layers(quantize(network(), "headline-u", forward, skip=["0"]))} == {"2", "5"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip": ["conv*"]}, ["'conv*'", "matches no layer"]),
        ({"skip": ["00"]}, ["'00'", "did you mean 0"]),
        ({"rules": [Rule(kind=nn.Conv1d, scheme=None)]}, ["Conv1d"]),
        ({"mode": "qta"}, ["'qta'", "ptq, qat"]),
    ],
)
def test_what_matches_nothing_is_refused(options, words):
    with pytest.raises(InputError) as error:
        quantize(network(), "4/4/4/6", forward, **options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_every_layer_must_run_in_calibration():
    with pytest.raises(InputError, match=r"inputs of 0: the calibration loop never ran"):
        quantize(network(), "4/4/4/6", lambda model: None)
    with pytest.raises(InputError, match=r"inputs of 5: the calibration loop never ran"):
        quantize(network(), "4/4/4/6", lambda model: model[:4](images()))
    with pytest.raises(InputError, match=r"'0'.*give a forward_loop"):
        quantize(network(), "4/4/4/6")


def interrupted(model):
    forward(model)
    raise KeyboardInterrupt


def broken(model):
    forward(model)
    raise ZeroDivisionError


def bad_weight(model):
    model[5].weight.data[0, 0] = math.nan
    return model


@pytest.mark.parametrize(
    ("change", "loop", "options", "error"),
    [
        (lambda model: model, forward, {"rules": [Rule(pattern="none", scheme=None)]}, InputError),
        (lambda model: model, forward, {"skip": ["7"]}, InputError),
        (lambda model: model, forward, {"mode": "qta"}, InputError),
        (bad_weight, forward, {}, InputError),
        (lambda model: model, None, {}, InputError),
        (lambda model: model, lambda model: model[:4](images()), {}, InputError),
        (lambda model: model, lambda model: model(images() * math.nan), {}, InputError),
        (lambda model: model, lambda model: model(-images()), {"config": "4/4U/4/6"}, InputError),
        (lambda model: model, broken, {}, ZeroDivisionError),
        (lambda model: model, interrupted, {}, KeyboardInterrupt),
        (lambda model: model, forward, {"console": "no console"}, AttributeError),
    ],
)
def test_what_fails_leaves_the_model_as_it_was(change, loop, options, error):
    model = change(network())
    modules, hooks = list(model.named_modules()), [len(module._forward_pre_hooks) for module in model.modules()]
    weights = {name: (value, value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    with pytest.raises(error):
        quantize(model, **{"config": "4/4/4/6", "forward_loop": loop, "inplace": True, **options})
    assert list(model.named_modules()) == modules
    assert [len(module._forward_pre_hooks) for module in model.modules()] == hooks
    after = model.state_dict(keep_vars=True)
    assert after.keys() == weights.keys()
    for name, (value, copied) in weights.items():
        assert after[name] is value
        torch.testing.assert_close(value, copied, rtol=0, atol=0, equal_nan=True)
    if change is not bad_weight:
        assert {*quantized_layers(quantize(model, "4/4/4/6", forward))} == {"0", "2", "5"}


def test_the_model_is_copied_unless_it_may_change():
    model = network()
    modules, before = list(model.named_modules()), model(images())
    quantized = quantize(model, "4/4/4/6", forward)
    assert list(model.named_modules()) == modules
    assert torch.equal(model(images()), before)
    assert not {*map(id, model.parameters())} & {*map(id, quantized.parameters())}
    weights = {*map(id, model.parameters())}
    changed = quantize(model, "4/4/4/6", forward, inplace=True)
    assert changed is model
    assert weights == {*map(id, changed.parameters())}
    assert torch.equal(changed(images()), quantized(images()))


def test_a_model_that_cannot_be_copied():
    model = network()
    model.computed = model[0].weight * 2
    with pytest.raises(InputError, match=r"^model Sequential: it cannot be copied \(.*\); give inplace=True$"):
        quantize(model, "4/4/4/6", forward)
    quantize(model, "4/4/4/6", forward, inplace=True)


def test_a_second_call_says_that_the_model_is_quantized():
    model = quantize(network(), "4/4/4/6", forward)
    before = model(images())
    with pytest.raises(InputError, match=r"^model Sequential: quantized already \(layer '0': 4/4/4/6\).*float model$"):
        quantize(model, "8/8/-/-", forward)
    assert torch.equal(model(images()), before)
    partly = quantize(network(), "4/4/4/6", forward, skip=["5"])
    quantize(partly, "8/8/-/-", forward, inplace=True)  # the rest
    schemes = {name: str(layer.scheme) for name, layer in quantized_layers(partly).items()}
    assert schemes == {"0": "4/4/4/6", "2": "4/4/4/6", "5": "8/8/-/-"}


def test_a_loop_may_switch_the_model():
    model = quantize(network(), "4/4/4/6", lambda model: model.train()(images()))
    assert all(module.training for module in model.modules())


def test_dynamic_gammas_need_no_calibration():
    scheme = Scheme(config=MacConfig.parse("8/8/8/10"), input_gamma="row")
    model = quantize(network(), scheme)
    torch.testing.assert_close(model(images()), network()(images()), rtol=0.1, atol=0.02)


def test_unsupported_layers_stay_in_float_with_a_warning():
    model = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Flatten(), nn.Bilinear(96, 96, 4), nn.Linear(4, 2))
    model.forward = lambda x: model[3](model[2](h := model[1](model[0](x)), h))
    with pytest.warns(UserWarning, match="stays in float") as caught:
        quantize(model, "4/4/4/6", forward, inplace=True)
    assert [str(warning.message) for warning in caught] == [
        "layer '0' stays in float: Conv2d with 3 groups is not supported",
        "layer '2' stays in float: type Bilinear is not supported",
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
