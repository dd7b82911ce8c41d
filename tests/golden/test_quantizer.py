"""The NumPy quantizer against exact rational arithmetic, and its edges."""

import math
import subprocess
import sys
from fractions import Fraction

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Granularity

FLOAT32_MAX = Fraction(float(np.finfo(np.float32).max))

# Values that meet ties, zeros, denormals and both ends of float32, beside arbitrary ones.
SPECIAL = [0.0, 1.0, 0.5, 1.5, 7.0, 3.5, 1e-45, 3e-45, 1e-38, 1e-30, 1e30, float(FLOAT32_MAX), 0.1, 15.0, 2.0**-126]
MAGNITUDES = st.one_of(st.sampled_from(SPECIAL).map(np.float32).map(float), st.floats(0, float(FLOAT32_MAX), width=32))


@st.composite
def quantizers(draw):
    element = draw(st.sampled_from(["2", "3", "4", "8", "16", "1U", "3U", "4U", "16U", "e2m1"]).map(element_format))
    bits = draw(st.sampled_from([None, 1, 2, 4, 6, 16]))
    return Quantizer(
        element=element,
        scale=None if bits is None else IntFormat(bits=bits, signed=False),
        vector_size=draw(st.sampled_from([1, 2, 3, 4, 7])),
        granularity=draw(st.sampled_from(Granularity)),
        order=draw(st.sampled_from(Order)),
        scale_rounding=draw(st.sampled_from(ScaleRounding)),
    )


@st.composite
def tensors(draw, quantizer):
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=5))
    values = draw(hnp.arrays(np.float32, shape, elements=MAGNITUDES.map(np.float32)))
    if quantizer.element.signed:
        values = values * draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 1.0])))
    return values


@st.composite
def cases(draw):
    quantizer = draw(quantizers())
    x = draw(tensors(quantizer))
    gamma = None
    if draw(st.booleans()):
        like = quantizer.gamma(x)
        gamma = draw(hnp.arrays(np.float32, like.shape, elements=MAGNITUDES.map(np.float32)))
    return quantizer, x, gamma


# The oracle: section 4's formulas on Python fractions, with float32 rounding written out -------------------------


def float32(value):
    """Round a fraction to the nearest float32, ties to even, with gradual underflow; inf beyond."""
    if value == 0:
        return Fraction(0)
    exponent = max(-126, math.floor(math.log2(value)) if value < 2**1000 else 1000)
    while Fraction(2) ** (exponent + 1) <= value:
        exponent += 1
    while exponent > -126 and Fraction(2) ** exponent > value:
        exponent -= 1
    ulp = Fraction(2) ** (exponent - 23)
    rounded = round(value / ulp) * ulp
    return rounded if rounded <= FLOAT32_MAX else math.inf


def quotient(x, divisor):
    return float32(x / divisor) if divisor else Fraction(0)


def clip(value, low, high):
    return low if value < low else high if value > high else value


def rounded(value, most, mode=ScaleRounding.NEAREST):
    if value == math.inf:
        return most
    return min(most, math.ceil(value) if mode == ScaleRounding.CEIL else round(value))


def nearest(element, value):
    if element.contiguous or value == math.inf:
        return rounded(value, element.qmax)
    magnitudes = enumerate(code for code in element.values if code >= 0)
    return min(magnitudes, key=lambda item: (abs(item[1] - value), item[0] % 2))[1]


def oracle(quantizer, x, gamma):
    """Return codes, scales and gammas as nested dictionaries keyed by (row, vector[, element])."""
    size, qmax = quantizer.vector_size, quantizer.element.qmax
    lead, length = x.shape[:-1], x.shape[-1]
    share = {
        Granularity.CHANNEL: lambda row: row[0],
        Granularity.TOKEN: lambda row: row,
        Granularity.TENSOR: lambda row: 0,
    }[quantizer.granularity]
    vectors = {
        (row, g): [Fraction(float(v)) for v in x[row][g * size : (g + 1) * size]]
        for row in np.ndindex(lead)
        for g in range(-(-length // size))
    }
    s = {key: float32(max(map(abs, vector)) / qmax) for key, vector in vectors.items()}
    gammas = {}
    for (row, _), value in s.items():
        gammas[share(row)] = max(gammas.get(share(row), Fraction(0)), value)
    if quantizer.scale is not None:
        gammas = {key: float32(value / quantizer.scale.max) for key, value in gammas.items()}
    if gamma is not None:
        gammas = {share(row): Fraction(float(np.broadcast_to(gamma, (*lead, 1))[row][0])) for row, _ in s}
    codes, scales = {}, {}
    for (row, g), vector in vectors.items():
        own = gammas[share(row)]
        step = own
        if quantizer.scale is not None:
            sq = rounded(quotient(s[row, g], own), quantizer.scale.max, quantizer.scale_rounding)
            if quantizer.scale_rounding == ScaleRounding.AT_LEAST_ONE and s[row, g] > 0:
                sq = max(1, sq)
            scales[row, g] = sq
            step = s[row, g] if quantizer.order == Order.PAPER else min(FLOAT32_MAX, float32(sq * own))
        for j, value in enumerate(vector):
            magnitude = nearest(quantizer.element, quotient(abs(value), step))
            codes[row, g, j] = magnitude if value >= 0 else -magnitude
    return codes, scales, {row: gammas[share(row)] for row, _ in s}


@given(cases())
@settings(max_examples=200, deadline=None)
def test_integers_equal_exact_arithmetic(case):
    quantizer, x, gamma = case
    result = quantizer.quantize(x, gamma=gamma)
    codes, scales, gammas = oracle(quantizer, x, gamma)
    assert result.codes.shape == (*x.shape[:-1], -(-x.shape[-1] // quantizer.vector_size), quantizer.vector_size)
    expected = np.zeros_like(result.codes)
    for (row, g, j), code in codes.items():
        expected[(*row, g, j)] = code
    np.testing.assert_array_equal(result.codes, expected)
    if quantizer.scale is None:
        assert result.scales is None
    else:
        assert {(row, g): int(result.scales[(*row, g)]) for row, g in scales} == scales
    wide = np.broadcast_to(result.gamma, (*x.shape[:-1], 1))
    assert {row: Fraction(float(wide[row][0])) for row in gammas} == gammas


@given(cases())
@settings(max_examples=100, deadline=None)
def test_result_is_within_its_formats_and_reproduced_by_its_gamma(case):
    quantizer, x, gamma = case
    result = quantizer.quantize(x, gamma=gamma)
    assert result.codes.dtype == np.int32
    assert result.codes.min() >= quantizer.element.qmin
    assert result.codes.max() <= quantizer.element.qmax
    if result.scales is not None:
        assert result.scales.dtype == np.int32
        quantizer.scale.check(result.scales, "scales")
    assert result.dequantize().shape == x.shape
    assert result.dequantize().dtype == np.float32
    assert quantizer.quantize(x, gamma=result.gamma).codes.tolist() == result.codes.tolist()


def test_worked_example():
    """Vectors with maxima 14 and 4, 4-bit elements, 2-bit scales: s = 2 and 4/7, gamma = 2/3, sq = 3 and 1."""
    quantizer = Quantizer.for_weights(MacConfig.parse("4/4/2/2:V=2"))
    result = quantizer.quantize([[14.0, -5.0, 4.0, 0.5]])
    assert result.scales.tolist() == [[3, 1]]
    assert result.codes.tolist() == [[[7, -2], [6, 1]]]  # -2.5 goes to the even -2; 4/(2/3) = 6; 0.5/(2/3) = 0.75
    paper = Quantizer.for_weights(MacConfig.parse("4/4/2/2:V=2"), order="paper").quantize([[14.0, -5.0, 4.0, 0.5]])
    assert paper.codes.tolist() == [[[7, -2], [7, 1]]]  # 4/(4/7) = 7


@pytest.mark.parametrize("scale_rounding", ScaleRounding)
def test_small_vectors_survive_as_named(scale_rounding):
    x = np.ones((1, 32), np.float32)
    x[0, 16:] = 0.01  # a hundredth of the other vector: s / gamma = 0.15
    x[0, 20] = 0.0
    quantizer = Quantizer.for_activations(MacConfig.parse("4/4U/4/4"), scale_rounding=scale_rounding)
    result = quantizer.quantize(x)
    survives = scale_rounding != ScaleRounding.NEAREST
    assert result.scales.tolist() == [[15, int(survives)]]
    assert bool(result.codes[0, 1].any()) == survives


def test_ceil_never_clips():
    x = np.random.default_rng(1).standard_normal((64, 160)).astype(np.float32)
    result = Quantizer.for_weights(MacConfig.parse("4/4/6/6"), scale_rounding="ceil").quantize(x)
    step = (result.scales * result.gamma)[..., None]
    error = np.abs(x.reshape(result.codes.shape).astype(np.float64) - result.codes * step.astype(np.float64))
    assert (error <= step * (0.5 + 1e-5)).all()


def test_one_level_is_the_per_channel_baseline():
    x = np.array([[127.0, -63.5, 1.5], [0.0, 0.0, 0.0], [-1e-3, 5e-4, 0.0]], np.float32)
    result = Quantizer.for_weights(MacConfig.parse("8/8/-/-:V=2")).quantize(x)
    assert result.scales is None
    assert result.codes[:, :, 0].tolist() == [[127, 2], [0, 0], [-127, 0]]
    assert result.codes[:, :, 1].tolist() == [[-64, 0], [0, 0], [64, 0]]
    assert result.gamma[0, 0] == 1.0


def test_calibrating_batches_is_calibrating_all():
    x = np.abs(np.random.default_rng(2).standard_normal((8, 40)).astype(np.float32))
    quantizer = Quantizer.for_activations(MacConfig.parse("4/4U/4/6"))
    assert max(quantizer.gamma(x[:3]), quantizer.gamma(x[3:])) == quantizer.gamma(x)


def test_operand_flattens_the_reduction():
    x = np.random.default_rng(3).standard_normal((3, 4, 5, 20)).astype(np.float32)
    result = Quantizer.for_weights(MacConfig.parse("4/4/4/4:V=8")).quantize(x)
    codes, scales = result.operand()
    assert codes.shape == (3, 60, 8)
    assert scales.shape == (3, 60)
    assert codes[1, (2 * 5 + 4) * 3 + 1].tolist() == result.codes[1, 2, 4, 1].tolist()
    assert scales[1, (2 * 5 + 4) * 3 + 1] == result.scales[1, 2, 4, 1]


@pytest.mark.parametrize(
    ("config", "x", "gamma", "words"),
    [
        ("4/4/4/4", [[1.0, math.nan]], None, ["features[0, 1]", "nan", "finite"]),
        ("4/4/4/4", [[1.0], [-math.inf]], None, ["features[1, 0]", "-inf", "finite"]),
        ("4/4/4/4", [[1e39]], None, ["features[0, 0]", "inf", "float32"]),
        ("4/4U/4/4", [[1.0, -0.5]], None, ["features[0, 1]", "-0.5", "4U", "ReLU"]),
        ("4/4/4/4", [1.0, 2.0], None, ["features", "(2,)", "two axes"]),
        ("4/4/4/4", np.zeros((3, 0)), None, ["features", "(3, 0)", "empty"]),
        ("4/4/4/4", [["a"]], None, ["features", "real numbers"]),
        ("4/4/4/4", [[1.0]], [1.0, 2.0], ["gamma of features", "(2,)", "tensor"]),
        ("4/4/4/4", [[1.0]], [math.nan], ["gamma of features[0, 0]", "nan"]),
        ("4/4/4/4", [[1.0]], -1.0, ["gamma of features", "-1.0", "not negative"]),
    ],
)
def test_bad_tensors_are_refused(config, x, gamma, words):
    with pytest.raises(InputError) as error:
        Quantizer.for_activations(MacConfig.parse(config)).quantize(x, gamma=gamma, name="features")
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"order": "backwards"}, "requantized, paper"),
        ({"scale_rounding": "floor"}, "nearest, ceil, at_least_one"),
        ({"granularity": "vector"}, "channel, token, tensor"),
    ],
)
def test_unknown_options_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        Quantizer.for_weights(MacConfig.parse("4/4/4/4"), **options)


def test_numpy_side_does_not_import_torch():
    code = "import sys, vsq.golden.quantizer.core; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
