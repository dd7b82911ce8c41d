"""Quantizing whole models: rules, calibration, copies, and what is refused."""

import math

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
nn = torch.nn

from vsq.golden.nn.quantize import quantize, quantized_layers
from vsq.golden.nn.rules import Rule
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


def test_a_layer_that_never_runs_stays_in_float_or_is_refused():
    def without_the_last(model):
        return model[:4](images())

    with pytest.warns(UserWarning, match="in float") as caught:
        model = quantize(network(), "4/4/4/6", without_the_last)
    assert [str(warning.message) for warning in caught] == ["1 layer stays in float: 1 (5) never ran in calibration"]
    assert {*quantized_layers(model)} == {"0", "2"}
    model(images())
    with pytest.raises(InputError, match=r"inputs of 5: the calibration loop never ran.*, or give unused='float'$"):
        quantize(network(), "4/4/4/6", without_the_last, unused="error")
    with pytest.raises(InputError, match=r"inputs of 0: the calibration loop never ran the layer; run the whole"):
        quantize(network(), "4/4/4/6", lambda model: None)
    with pytest.raises(InputError, match="unused 'none': choose one of float, error"):
        quantize(network(), "4/4/4/6", without_the_last, unused="none")
    assert {
        *quantized_layers(
            quantize(network(), Scheme(config=MacConfig.parse("4/4/4/6"), input_gamma="row"), without_the_last)
        )
    } == {"0", "2", "5"}


def test_calibration_needs_a_loop():
    with pytest.raises(InputError, match=r"'0'.*give a forward_loop"):
        quantize(network(), "4/4/4/6")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, "4/4/4/6"), "model of type NoneType: must be a torch.nn.Module"),
        ((network(), "4/4/4/6", images()), "forward_loop of type Tensor: must be a function of the model; write for "),
        ((network(), 4), "configuration 4: give a text such as"),
        ((network(), None), "configuration None: give a text such as"),
    ],
)
def test_arguments_of_other_types_are_refused(arguments, words):
    with pytest.raises(InputError, match=f"^{words}") as error:
        quantize(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip": 5}, "skip 5: must be of type str"),
        ({"skip": [nn.Linear]}, "skip <class.*>: must be of type str"),
        ({"rules": "4/4/4/6"}, "rules '4/4/4/6': must be of type Rule"),
        ({"rules": [("5", None)]}, "rules .'5', None.: must be of type Rule"),
        ({"console": "no console"}, "console of type str: must be a rich"),
    ],
)
def test_options_of_other_types_are_refused(options, words):
    with pytest.raises(InputError, match=f"^{words}"):
        quantize(network(), "4/4/4/6", forward, **options)


def test_a_single_pattern_or_rule_needs_no_list():
    def names(**options):
        return {
            name: str(layer.scheme)
            for name, layer in quantized_layers(quantize(deep, "4/4/4/6", forward, **options)).items()
        }

    deep = nn.Sequential(network())
    deep.add_module("head", nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)))
    inner = {f"0.{name}": "4/4/4/6" for name in "025"}
    assert names(skip="head") == inner
    assert names(rules=Rule(pattern="head", scheme=None)) == inner
    assert names(rules=Rule(pattern="head", scheme="4/8/6/10"))["head.1"] == "4/8/6/10"
    assert names(rules=Rule(pattern="0.*", scheme=MacConfig.parse("8/8/-/-")))["0.5"] == "8/8/-/-"
    assert Scheme(config="4/4/4/6") == Scheme(config=MacConfig.parse("4/4/4/6"))
    for wrong in ({"scheme": 4}, {"scheme": None, "pattern": 4}, {"scheme": None, "kind": "Linear"}):
        with pytest.raises(InputError):
            Rule(**wrong)
    with pytest.raises(InputError, match="'4/4'"):
        Rule(scheme="4/4")


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
        (lambda model: model, lambda model: model[:4](images()), {"unused": "error"}, InputError),
        (lambda model: model, lambda model: model(images() * math.nan), {}, InputError),
        (lambda model: model, lambda model: model(-images()), {"config": "4/4U/4/6"}, InputError),
        (lambda model: model, broken, {}, ZeroDivisionError),
        (lambda model: model, interrupted, {}, KeyboardInterrupt),
        (lambda model: model, forward, {"console": "no console"}, InputError),
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


def test_calibration_leaves_the_model_in_its_modes_and_statistics():
    """In training mode batches would move BatchNorm's statistics, and dropout would zero what is calibrated."""
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.9), nn.Linear(8, 8)).train()
    model[1].eval()
    seen = []
    model[3].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    quantized = quantize(model, "4/4/4/6", lambda model: model(torch.ones(4, 8)), fold=False)
    assert [module.training for module in quantized.modules()] == [True, True, False, True, True]
    assert quantized[1].running_mean.eq(0).all()
    assert quantized[1].num_batches_tracked == 0
    assert all(x.ne(0).all() for x in seen)
    switched = quantize(network(), "4/4/4/6", lambda model: model.train()(images()))
    assert not any(module.training for module in switched.modules())
