"""Scales of least squared error against brute force, and the gains over the maximum on Gaussian data."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Granularity

torch = pytest.importorskip("torch")

from vsq.golden.nn import mmse
from vsq.golden.quantizer import pytorch

PER_CHANNEL = Quantizer.for_weights(MacConfig.parse("4/4/-/-"))


def combined(planes):
    """Return the tensor that planes approximate together."""
    return sum(plane.dequantize() for plane in planes)


def gaussian(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def squared_error(x, approximation):
    return (x.double() - approximation.double()).square().sum(dim=-1)


def by_maximum(quantizer, x):
    return squared_error(x, pytorch.quantize(quantizer, x).dequantize())


def by_mmse(quantizer, x):
    return squared_error(x, mmse.quantize(quantizer, x).dequantize())


def brute_force(x, qmax, factors):
    """Return the least squared error of each row over ``factors`` of absmax / qmax, in float64."""
    x = x.double().numpy()
    alpha = np.abs(x).max(axis=1) / qmax
    errors = [
        np.square(x - step * np.clip(np.rint(x / step), -qmax, qmax)).sum(axis=1)
        for step in (factor * alpha[:, None] for factor in factors)
    ]
    return np.min(errors, axis=0)


@pytest.mark.parametrize("bits", ["2", "3", "4"])
@pytest.mark.parametrize("size", [16, 300])
def test_close_to_the_best_of_a_thousand_scales(bits, size):
    x = gaussian(60, size)
    quantizer = Quantizer(element=element_format(bits), scale=None, vector_size=16, granularity="channel")
    ours = by_mmse(quantizer, x)
    best = brute_force(x, quantizer.element.qmax, np.linspace(0.05, 1.5, 1000))
    assert (ours <= by_maximum(quantizer, x) * (1 + 1e-6)).all()
    assert ours.sum() <= 1.02 * best.sum()


@pytest.mark.parametrize(("size", "rows", "ratio"), [(16, 2000, 0.854), (1024, 60, 0.63), (36864, 4, 0.40)])
def test_gain_over_the_maximum_on_gaussian_data(size, rows, ratio):
    """Choukroun et al. at 4 bits: the longer the vector, the more there is to gain."""
    x = gaussian(rows, size)
    assert by_mmse(PER_CHANNEL, x).sum() / by_maximum(PER_CHANNEL, x).sum() == pytest.approx(ratio, abs=0.02)


def test_the_grid_finds_what_golden_section_alone_misses():
    """On short vectors the error has many minima; a two-point grid is golden section over the whole interval."""
    x = gaussian(1000, 16)
    alone = squared_error(x, mmse.quantize(PER_CHANNEL, x, points=2, sections=20).dequantize()).sum()
    assert by_mmse(PER_CHANNEL, x).sum() < 0.995 * alone


def test_better_sqnr_than_the_maximum_per_channel_and_per_vector():
    x = gaussian(64, 512) * torch.linspace(0.1, 3, 64)[:, None]
    for config in ("4/4/-/-", "4/4/6/6"):
        quantizer = Quantizer.for_weights(MacConfig.parse(config))
        assert by_mmse(quantizer, x).sum() < 0.97 * by_maximum(quantizer, x).sum()


def test_codes_are_computed_anew_with_the_rounded_scales():
    """After the second level Q is clip(round(x / (sq*gamma))), not what was best for the unrounded alpha."""
    x = gaussian(8, 64)
    result = mmse.quantize(Quantizer.for_weights(MacConfig.parse("4/4/3/3")), x)
    step = (result.scales.float() * result.gamma).numpy()[..., None]
    vectors = x.numpy().reshape(8, 4, 16)
    expected = np.clip(np.rint(np.divide(vectors, step, out=np.zeros_like(vectors), where=step > 0)), -7, 7)
    np.testing.assert_array_equal(result.codes.numpy(), expected)
    assert result.scales.max() == 7


@pytest.mark.parametrize(
    ("config", "most"), [("4/4/2/2", 0.778), ("4/4/3/3", 0.92), ("4/4/4/4", 0.898), ("8/8/6/6", 0.629)]
)
def test_integer_scales_are_chosen_by_their_error(config, most):
    """Rounding the best real scales gives 1.10, 1.01, 0.92 and 0.81 of the maximum's error on these rows."""
    x = gaussian(500, 512)
    quantizer = Quantizer.for_weights(MacConfig.parse(config))
    assert by_mmse(quantizer, x).sum() <= most * by_maximum(quantizer, x).sum()


def brute_force_scales(quantizer, vectors, step, importance):
    """Return the least weighted squared error of each vector over all integer scales, in float64."""
    errors = []
    for scale in range(quantizer.scale.max + 1):
        rounded = quantizer.element.nearest(vectors / (scale * step or np.inf)) * scale * step
        errors.append((importance * np.square(vectors - rounded)).sum(axis=-1))
    return np.min(errors, axis=0)


@pytest.mark.parametrize("element", ["2", "4", "3U", "8", "e2m1"])
@pytest.mark.parametrize("bits", [1, 3, 5])
def test_integer_scales_are_the_best_of_all(element, bits):
    """Scales beyond 1.5 times that of absmax are not tried, and are better now and then."""
    scale = IntFormat(bits=bits, signed=False)
    quantizer = Quantizer(element=element_format(element), scale=scale, vector_size=16, granularity="tensor")
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    x = gaussian(20, 64, seed=seed)
    x = x.abs() if element.endswith("U") else x
    importance = torch.rand(64) + 0.1
    result = mmse.quantize(quantizer, x, importance=importance)
    weights = importance.double().reshape(4, 16).numpy()
    ours = (
        weights
        * np.square(x.double().reshape(20, 4, 16).numpy() - result.dequantize().reshape(20, 4, 16).double().numpy())
    ).sum(axis=-1)
    best = brute_force_scales(quantizer, x.double().reshape(20, 4, 16).numpy(), float(result.gamma), weights)
    assert (ours >= best * (1 - 1e-3) - 1e-9).all()
    assert ours.sum() <= 1.05 * best.sum()


@pytest.mark.parametrize("config", ["2/4/1/1", "3/4/2/2", "4/4/8/8", "4/4/4/4:V=7", "e2m1/4/4/4", "8/8/6/6"])
@pytest.mark.parametrize("rounding", ScaleRounding)
def test_never_worse_than_the_maximum(config, rounding):
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    x = gaussian(30, 3, 41, seed=seed) ** 3
    quantizer = Quantizer.for_weights(MacConfig.parse(config), scale_rounding=rounding)
    ours, plain = by_mmse(quantizer, x).sum(dim=1), by_maximum(quantizer, x).sum(dim=1)
    assert (ours <= plain * (1 + 1e-6)).all()


def test_importance_moves_the_error_to_where_it_matters_less():
    x, importance = gaussian(100, 256), torch.tensor([10.0, *[0.1] * 7]).repeat(32)
    for config in ("4/4/-/-", "4/4/2/2"):
        quantizer = Quantizer.for_weights(MacConfig.parse(config))
        weighted, even = (
            (importance * (x - mmse.quantize(quantizer, x, importance=given).dequantize()).square()).sum()
            for given in (importance, None)
        )
        assert weighted < 0.95 * even


def test_tensors_of_codes_are_met_exactly():
    """x = alpha*Q with |Q| up to 6 of 7: the maximum cannot represent it, alpha can."""
    codes = np.random.default_rng(3).integers(-6, 7, (50, 64))
    codes[:, 0] = 6
    x = torch.tensor(codes * 0.37, dtype=torch.float32)
    assert (by_mmse(PER_CHANNEL, x) < 0.01 * by_maximum(PER_CHANNEL, x)).all()
    np.testing.assert_array_equal(mmse.quantize(PER_CHANNEL, x).codes.reshape(50, 64).numpy(), codes)


def test_dual_needs_the_nested_search():
    """Two planes at V = 1024: 0.004 of the maximum's error, where a second plane on the best single one leaves 0.03."""
    x = gaussian(16, 1024)
    single = mmse.quantize(PER_CHANNEL, x).dequantize()
    greedy = single + mmse.quantize(PER_CHANNEL, x - single).dequantize()
    nested = combined(mmse.dual(PER_CHANNEL, x))
    maximum = by_maximum(PER_CHANNEL, x).sum()
    assert squared_error(x, nested).sum() < 0.0045 * maximum
    assert squared_error(x, greedy).sum() > 0.02 * maximum


def test_only_poorly_approximated_tensors_take_two_planes():
    x = gaussian(8, 256)
    share = (by_mmse(PER_CHANNEL, x).sum() / x.square().sum()).item()
    assert len(mmse.approximate(PER_CHANNEL, x, 1.01 * share)) == 1
    first, second = mmse.approximate(PER_CHANNEL, x, 0.99 * share)
    assert first.codes.shape == second.codes.shape
    assert squared_error(x, combined([first, second])).sum() < 0.02 * by_mmse(PER_CHANNEL, x).sum()


@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("scale", [None, IntFormat(bits=4, signed=False)])
def test_every_granularity_and_magnitude(granularity, scale):
    """Powers of two change the gammas only; a row of zeros stays zero."""
    quantizer = Quantizer(element=element_format("4"), scale=scale, vector_size=16, granularity=granularity)
    x = gaussian(3, 2, 40)
    x[1, 0] = 0
    plain = mmse.quantize(quantizer, x)
    assert not plain.codes[1, 0].any()
    for factor in (2.0**-90, 2.0**90):
        scaled = mmse.quantize(quantizer, x * factor)
        assert torch.equal(scaled.codes, plain.codes)
        assert torch.equal(scaled.gamma, plain.gamma * factor)
        assert combined(mmse.approximate(quantizer, x * factor, 0.0)).isfinite().all()


def test_bad_input_names_the_tensor():
    with pytest.raises(InputError, match=r"^weight\[0, 1\] = nan"):
        mmse.quantize(PER_CHANNEL, torch.tensor([[1.0, float("nan")]]), name="weight")
    with pytest.raises(InputError, match=r"^vector scales of x: shape \(3,\)"):
        pytorch.quantize(
            Quantizer.for_weights(MacConfig.parse("4/4/4/4")), gaussian(2, 32), name="x", vector_scales=torch.ones(3)
        )


def test_the_grid_holds_one_and_its_ends():
    factors = mmse.grid(12)
    assert factors == sorted(factors)
    assert factors.count(1.0) == 1
    assert factors[0] == pytest.approx(mmse.LOWEST)
    assert factors[-1] == mmse.HIGHEST
