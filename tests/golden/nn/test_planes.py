"""Sums of planes as layers for one accumulator: their integers against the planes' own, and on the element's model."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import scale_factor
from vsq.golden.model.mapping import fit_params, gather, plan
from vsq.golden.model.pe import simulate
from vsq.golden.model.ppu import quantize as quantize_outputs
from vsq.golden.model.ppu import rescale
from vsq.golden.nn.planes.dual import dual_model
from vsq.golden.nn.planes.integers import element_of_planes, integer_sum, share_gammas
from vsq.golden.nn.planes.splitquant import split_layer, split_model
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme


@pytest.fixture
def rng(seeded_without_gradients):
    return np.random.default_rng(int(torch.randint(2**31, ())))


def layer_and_inputs(rng, kind):
    """A float layer whose channels are no multiple of any V but 1, and inputs from 0 on."""
    channels, outputs, count = 2 * int(rng.integers(2, 9)) + 1, int(rng.integers(2, 6)), int(rng.integers(1, 4))
    if kind == "linear":
        return nn.Linear(channels, outputs), torch.rand(count, channels)
    kernel = int(rng.integers(1, 4))
    maps = torch.rand(count, channels, kernel + 1, kernel + 2)
    return nn.Conv2d(channels, outputs, kernel, bias=bool(rng.integers(2))), maps


def summed(rng, kind, method):
    """A sum of quantized planes, its inputs, and the element of its formats."""
    bits, scales = int(rng.integers(2, 5)), int(rng.integers(5, 9))
    activations = str(rng.choice(["8U/{}/-", "5/{}/4", "6U/{}/4"]))
    text = f"{bits}/{activations.format(scales)}:V={rng.choice([2, 4])}"
    print(kind, method, text)
    layer, x = layer_and_inputs(rng, kind)
    config = PeConfig.parse(f"{text}@weight_depth=256,activation_depth=1024")
    if method == "split":
        config, scheme, model = element_of_planes(config), config.mac, split_model(nn.Sequential(layer))
    else:
        scheme = Scheme(config=config.mac, weight_scales="mmse")
        model = dual_model(nn.Sequential(layer), scheme, 0.0)
    return quantize(model, scheme, lambda m: m(x))[0], x, config


def torch_accumulators(config, planes, rows):
    """The planes' own accumulators, computed in PyTorch from their integers, and added up with their signs: [M, N]."""
    total = 0
    for plane in planes:
        (w, sw), (x, sx) = plane.quantized_weights().operand(), plane.quantized_inputs(rows).operand()
        dots = torch.einsum("ngv,mgv->mng", w.long(), x.long())
        _, factors = scale_factor(config.mac, sw[None].long(), 1 if sx is None else sx[:, None].long())
        total = total + plane.sign * (dots * factors).sum(dim=2)
    return total.numpy()


@pytest.mark.parametrize("method", ["split", "dual"])
@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_one_accumulator_gives_the_sum_of_the_planes(rng, kind, method):
    layer, x, config = summed(rng, kind, method)
    planes = [*share_gammas(layer).children()]
    rows = planes[0].rows(x)
    expected = torch_accumulators(config, planes, rows)
    integers = integer_sum(layer, rows)
    assert integers.result.acc.tolist() == expected.tolist()
    assert not integers.result.overflow.any()
    outputs = planes[0].output(torch.from_numpy(integers.outputs()), x.double())
    torch.testing.assert_close(outputs.float(), layer(x), rtol=1e-4, atol=1e-4)

    weights, inputs = integers.weights.operand(), integers.inputs.operand()
    raw = gather(config, simulate(config, plan(config, weights, inputs)), *expected.shape)
    assert raw.acc.tolist() == expected.tolist()
    unit = np.abs(expected).max() / config.z_range[1] + 1e-9
    params = fit_params(config, np.full(expected.shape[1], 1 / unit), rng.integers(-3, 4, expected.shape[1]))
    output = gather(config, simulate(config, plan(config, weights, inputs, params=params)), *expected.shape)
    z = rescale(config, expected, params, relu=False)
    codes, scales = quantize_outputs(
        config, np.pad(z, ((0, 0), (0, -z.shape[1] % config.mac.vector_size))).reshape(*output.codes.shape)
    )
    assert output.codes.tolist() == codes.tolist()
    assert scales is None or output.scales.tolist() == scales.tolist()


def test_scales_count_units_of_the_largest_gamma(rng):
    """Its plane keeps all integers; another one's scales are their real values over it, rounded."""
    layer, _, _ = summed(rng, "linear", "split")
    before = [plane.quantized_weights() for plane in copy.deepcopy(layer).children()]
    after = [plane.quantized_weights() for plane in share_gammas(layer).children()]
    gamma = torch.stack([weight.gamma for weight in before]).amax(dim=0)
    for own, shared in zip(before, after, strict=True):
        assert torch.equal(shared.gamma, gamma)
        real = own.scales * own.gamma.double()
        assert (shared.scales - (real / gamma)).abs().max() <= 0.5 + 1e-6
        kept = (own.gamma == gamma)[:, 0, 0]
        assert torch.equal(shared.codes[kept], own.codes[kept])
        assert torch.equal(shared.scales[kept], own.scales[kept])


def test_the_element_has_a_sign_and_room_for_three_planes():
    assert str(element_of_planes(PeConfig.parse("2/8U/4/-"))) == "3/8U/4/-@weight_depth=128"
    deep = PeConfig.parse("4/4/4/6:max_vectors=9@weight_depth=64")
    assert str(element_of_planes(deep)) == "5/4/4/6:max_vectors=9@weight_depth=256"


def quantized(layer, text="2/8U/4/-:V=4", **options):
    return quantize(nn.Sequential(layer), Scheme.of(text), lambda m: m(torch.rand(3, 9)), **options)


def vanishing():
    """A plane of weights a thousand times smaller than the others'."""
    layer = nn.Linear(9, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -1.0, 0.001, 0.002, -0.001, 0.001, 0.99, -0.98, 0.0]])
    return share_gammas(quantized(split_layer(layer)))


REFUSED = [
    (lambda: element_of_planes(PeConfig.parse("2/8U/-/-")), "and there are none; give scale bits, as in 2/8U/4/-"),
    (lambda: element_of_planes(PeConfig.parse("e2m1/8U/4/-")), "choose an integer format of weights"),
    (lambda: share_gammas(quantized(split_layer(nn.Linear(9, 2)), "2/8U/-/-")), "give scale bits"),
    (vanishing, r"0\.middle: with scales 4 it vanishes beside the sum's other planes; give weights finer"),
    (lambda: share_gammas(split_layer(nn.Linear(9, 2))), "Linear is not quantized"),
    (lambda: integer_sum(quantized(split_layer(nn.Linear(9, 2)))[0]), "call share_gammas first"),
    (
        lambda: share_gammas(quantized(split_layer(nn.Linear(9, 2)), Scheme(config="2/8U/4/-", weight_codes="gptq"))),
        "codes by gptq fit its own gamma",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_one_accumulator_cannot_compute_is_refused(make, message):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_planes_of_other_inputs_are_refused():
    layer = quantized(split_layer(nn.Linear(9, 2)))[0]
    layer.upper.input_gamma.mul_(2)
    with pytest.raises(InputError, match=r"0\.upper: its formats or inputs are not those of 0\.lower"):
        share_gammas(layer)
