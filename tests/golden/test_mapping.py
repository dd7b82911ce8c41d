"""Layers as commands: the model's outputs put together equal plain matrix products and convolutions."""

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand, matmul
from vsq.golden.model.mapping import accumulator_range, fit_params, gather, plan, unfold
from vsq.golden.model.pe import ElementModel
from vsq.golden.model.ppu import LaneParams, quantize, rescale


def operands(config, rows, channels, groups, seed=0):
    """Random weights, then random activations."""
    rng, mac = np.random.default_rng(seed), config.mac
    out = []
    for count, fmt, scale in (
        (channels, mac.weight, mac.weight_scale),
        (rows, mac.activation, mac.activation_scale),
    ):
        codes = rng.integers(fmt.min, fmt.max, (count, groups, mac.vector_size), endpoint=True)
        out.append(
            BlockOperand(codes, None if scale is None else rng.integers(0, scale.max, (count, groups), endpoint=True))
        )
    return out


def some_params(config, channels, seed=1):
    rng = np.random.default_rng(seed)
    return LaneParams(
        rng.integers(1, 1 << config.multiplier_bits, channels),
        rng.integers(10, 20, channels),
        rng.integers(-20, 20, channels),
    )


def compute(config, weights, activations, **options):
    streams = plan(config, weights, activations, **options)
    results = ElementModel(config).run(streams)
    assert not any(result.illegal for result in results)
    return streams, gather(config, results, len(activations.codes), len(weights.codes))


# rows in one tile and in several, channels that fill the lanes and not
SHAPES = [(5, 8, 3), (7, 10, 3), (23, 3, 4), (40, 17, 1)]


@pytest.mark.parametrize(("rows", "channels", "groups"), SHAPES)
@pytest.mark.parametrize("text", ["4/4/4/6:V=4,R=6@lanes=8", "8/8U/-/-:V=4@lanes=4"])
def test_layers_equal_the_whole_product(text, rows, channels, groups):
    config = PeConfig.parse(text, weight_depth=4, activation_depth=32)
    weights, activations = operands(config, rows, channels, groups)
    expected = matmul(config.mac, weights, activations)
    _, raw = compute(config, weights, activations)
    assert raw.acc.tolist() == expected.acc.tolist()
    assert raw.overflow.tolist() == expected.overflow.tolist()
    assert raw.codes is None

    params = some_params(config, channels)
    _, output = compute(config, weights, activations, params=params, relu=True)
    z = rescale(config, expected.acc, params, relu=True)
    z = np.pad(z, ((0, 0), (0, -channels % 4))).reshape(rows, -1, 4)
    codes, output_scales = quantize(config, z)
    assert output.codes.tolist() == codes.tolist()
    if output_scales is not None:
        assert output.scales.tolist() == output_scales.tolist()
    assert output.acc is None


def test_loads_are_shared_where_they_can_be():
    config = PeConfig.parse("4/4/4/6:V=4@lanes=4,activation_depth=32")
    for rows, commands, loads in [(10, 2, [(1, 1), (1, 0)]), (11, 4, [(1, 1), (0, 1), (1, 1), (0, 1)])]:
        streams = plan(config, *operands(config, rows, 8, 3))
        assert len(streams.commands) == commands
        assert [(c.load_weights, c.load_activations) for c in streams.commands] == loads


@pytest.mark.parametrize(("kernel", "padding", "stride"), [(1, 0, 1), (3, 1, 1), (3, 0, 2), (2, 0, 2), (5, 2, 3)])
def test_convolutions_equal_plain_loops(kernel, padding, stride):
    config = PeConfig.parse("4/4/4/6:V=4@lanes=4,weight_depth=64,activation_depth=64")
    rng = np.random.default_rng(4)
    batch, height, width, groups, channels = 2, 5, 6, 2, 3
    codes = rng.integers(-7, 8, (batch, height, width, groups, 4))
    scales = rng.integers(0, 64, (batch, height, width, groups))
    rows = unfold(BlockOperand(codes, scales), kernel=kernel, padding=padding, stride=stride)
    weights = rng.integers(-7, 8, (channels, kernel * kernel * groups, 4))
    weight_scales = rng.integers(0, 16, weights.shape[:2])
    _, output = compute(config, BlockOperand(weights, weight_scales), rows)

    out_height, out_width = (1 + (size + 2 * padding - kernel) // stride for size in (height, width))
    real = codes * scales[..., None]
    kernels = (weights * weight_scales[..., None]).reshape(channels, kernel, kernel, groups, 4)
    expected = np.zeros((batch, out_height, out_width, channels), int)
    for b, y, x, n, ky, kx in np.ndindex(*expected.shape, kernel, kernel):
        row, column = y * stride + ky - padding, x * stride + kx - padding
        if 0 <= row < height and 0 <= column < width:
            expected[b, y, x, n] += (real[b, row, column] * kernels[n, ky, kx]).sum()
    assert output.acc.reshape(expected.shape).tolist() == expected.tolist()


def test_accumulator_range_is_reached():
    config = PeConfig.parse("4/4/4/6:V=4,R=6")
    weights, _ = operands(config, 1, 1, 3)
    low, high = accumulator_range(config, weights)
    codes = weights.codes[0]
    extremes = BlockOperand(np.where(np.stack([codes > 0, codes < 0]), -8, 7), np.full((2, 3), 63))
    assert matmul(config.mac, weights, extremes).acc[:, 0].tolist() == [low, high]


def test_fitted_parameters_are_the_nearest():
    config = PeConfig.parse("4/4/4/6")
    factors = np.array([0.0, 1.0, 0.3, 3000.7, 2.0**-20 * 1.2345, 0.99999999, 4095.4])
    params = fit_params(config, factors, np.array([0.4, -0.6, 100, -100, 7.5, 8.5, 0]))
    real = params.multiplier * 2.0 ** -params.shift.astype(float)
    assert np.all(np.abs(real - factors) <= factors * 2.0**-12)
    assert params.multiplier.max() < 4096
    assert params.bias.tolist() == [0, -1, 100, -100, 8, 8, 0]


def test_a_factor_below_the_largest_shift_loses_only_precision():
    config = PeConfig.parse("4/4/4/6")
    most = (1 << config.shift_bits) - 1
    params = fit_params(config, np.array([2.0 ** (3 - most)]), np.zeros(1))
    assert (params.multiplier.tolist(), params.shift.tolist()) == ([8], [most])


def _layer(groups=3, codes=None, **options):
    config = PeConfig.parse("4/4/4/6:V=4@weight_depth=8,activation_depth=4")
    weights, activations = operands(config, 2, 4, groups)
    return (config, weights if codes is None else weights._replace(codes=codes), activations), options


REFUSED = [
    (lambda: _layer(groups=9), "9 vectors a row: the weight buffer holds 8; give weight_depth=16"),
    (lambda: _layer(groups=5), "5 vectors a row: the activation buffer holds 4; give activation_depth=8"),
    (lambda: _layer(relu=True), "give output parameters too"),
    (lambda: _layer(params=some_params(PeConfig.parse("4/4/4/6"), 3)), "3 output parameters for 4 channels"),
    (lambda: _layer(codes=np.zeros((4, 2, 4), int)), "the same G and V are needed"),
    (lambda: _layer(codes=np.zeros((0, 3, 4), int)), "at least one of each"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_layers_that_do_not_fit_are_refused(make, message):
    operands, options = make()
    with pytest.raises(InputError, match=message) as caught:
        plan(*operands, **options)
    assert "\n" not in str(caught.value)


def test_zero_rows_are_refused():
    (config, weights, activations), _ = _layer()
    with pytest.raises(InputError, match="0 rows of 3 vectors"):
        plan(config, weights, activations.map(lambda array: array[:0]))


def test_an_accumulator_that_could_overflow_is_refused():
    config = PeConfig.parse("4/4/4/6:V=4,acc=12")
    weights = BlockOperand(np.full((4, 3, 4), 7), np.full((4, 3), 15))
    with pytest.raises(InputError, match="3 vectors: accumulators from -635040 to 555660 may pass their 12 bits"):
        plan(config, weights, BlockOperand(weights.codes[:1], np.ones((1, 3), int)))


def test_parameters_without_post_processing_are_refused():
    (_, *sides), _ = _layer()
    config = PeConfig.parse("4/4/4/6:V=4@ppu=off")
    params = LaneParams(*(np.zeros(4, int) for _ in range(3)))
    with pytest.raises(InputError, match="has no post-processing"):
        plan(config, *sides, params=params)


def test_bad_factors_and_windows_are_refused():
    config = PeConfig.parse("4/4/4/6")
    for factor in (-0.1, float("nan"), float("inf"), 4096.0):
        with pytest.raises(InputError, match=r"factor\[1\]"):
            fit_params(config, np.array([1.0, factor]), np.zeros(2))
    with pytest.raises(InputError, match=r"bias\[0\] = 2000"):
        fit_params(config, np.ones(1), np.array([2000.0]))
    with pytest.raises(InputError, match="kernel 5: larger than the 2x4 map"):
        unfold(BlockOperand(np.zeros((1, 2, 4, 1, 4), int), None), kernel=5, padding=1)
