import itertools
import secrets

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.methods.mixed import Sensitivities
from vsq.golden.nn.quantize import quantize, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme

SCHEMES = ("2/8/4/6", "4/8/4/6", "8/8/4/6")


@pytest.fixture
def rng():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 24), nn.ReLU(), nn.Linear(24, 24), nn.BatchNorm1d(24))
        self.heads = nn.ModuleDict({"a": nn.Linear(24, 3), "b": nn.Linear(24, 5)})

    def forward(self, x):
        y = self.body(x)
        return {"a": self.heads["a"](y), "rest": (self.heads["b"](y), torch.arange(3))}


def test_the_choice_is_the_best_of_all(rng):
    """Against every combination."""
    for _ in range(20):
        layers, schemes = int(rng.integers(1, 6)), tuple(map(Scheme.of, SCHEMES))
        losses, sizes = rng.random((layers, 3)), rng.integers(1, 100, size=layers)
        found = Sensitivities(tuple(map(str, range(layers))), schemes, losses, sizes, 3 * sizes)
        budget = float(rng.uniform(2, 9))
        mix = found.choose(budget)
        allowed = [
            sum(losses[layer, c] for layer, c in enumerate(choice))
            for choice in itertools.product(range(3), repeat=layers)
            if sum(sizes[layer] * found.bits[c] for layer, c in enumerate(choice)) <= budget * sizes.sum() * (1 + 1e-9)
        ]
        assert mix.loss == pytest.approx(min(allowed))
        assert mix.bits <= budget * (1 + 1e-6)
        with pytest.raises(InputError, match=r"bits 1\.9: the narrowest configuration has 2"):
            found.choose(1.9)
        same = found.choose_by_cost(budget / 2, found.bits / 2)  # each weight is multiplied as often as any other
        assert (same.schemes, same.bits, 2 * same.average) == (mix.schemes, mix.bits, pytest.approx(mix.average))
        with pytest.raises(InputError, match=r"cost 0\.9: the narrowest configuration has 1"):
            found.choose_by_cost(0.9, found.bits / 2)


def test_losses_are_those_of_layers_alone(rng):
    model, x = TwoOutputs().eval(), torch.randn(40, 20)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.body.train()
    found = Sensitivities.of(model, SCHEMES, lambda m: m(x))
    assert model.body.training
    model.eval()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert found.layers == ("body.0", "body.2", "heads.a", "heads.b")
    assert found.sizes.tolist() == [480, 576, 72, 120]
    with torch.no_grad():
        wanted = model(x)
        layer, scheme = int(rng.integers(4)), int(rng.integers(3))
        rules = [Rule(pattern=found.layers[layer], scheme=SCHEMES[scheme]), Rule(scheme=None)]
        alone = quantize(model, SCHEMES[0], lambda m: m(x), rules=rules)
        assert [*quantized_layers(alone)] == [found.layers[layer]]
        got = alone(x)
    error = (got["a"] - wanted["a"]).square().sum() + (got["rest"][0] - wanted["rest"][0]).square().sum()
    norm = wanted["a"].square().sum() + wanted["rest"][0].square().sum()
    assert found.losses[layer, scheme] == pytest.approx(float(error / norm), rel=1e-4)
    assert (found.losses[:, 0] > found.losses[:, 2]).all()


def test_the_rules_quantize_each_layer_as_chosen():
    model, x = TwoOutputs().eval(), torch.randn(40, 20)
    mix = Sensitivities.of(model, SCHEMES, lambda m: m(x)).choose(5)
    quantized = quantize(model, SCHEMES[0], lambda m: m(x), rules=mix.rules)
    assert {name: layer.scheme for name, layer in quantized_layers(quantized).items()} == {**mix.schemes}
    with pytest.raises(InputError, match="got no configuration"):
        Sensitivities.of(model, [], lambda m: m(x))


def test_work_is_counted_in_positions():
    model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(6, 2, 2, stride=2), nn.Flatten())
    model.append(nn.Linear(2 * 8 * 8, 5))
    found = Sensitivities.of(model, ["4/4/4/6"], lambda m: m(torch.ones(3, 4, 9, 9)))
    assert found.work.tolist() == [3 * 16 * 6 * 4 * 9, 3 * 64 * 2 * 6 * 4, 3 * 128 * 5]
