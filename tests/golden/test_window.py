"""Windows of P bits on a sum, against fractions: terms, flags, saturation; float32 at read-out."""

import itertools
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.model.datapath import BlockOperand, State, accumulator_unit, mac, matmul
from vsq.golden.model.readout import FloatRounding, exact_sums, least_offsets, to_float32

CONFIGS = [
    "e2m1/e2m1/e8m0/e8m0:V=2,window=10",
    "e2m1/3U/e8m0/-:V=3,window=48",
    "4/e4m3/ue4m3/e8m0:V=2,window=40",
    "e2m1/e2m1/ue4m3/ue4m3:V=2,window=24",
    "4/4/ue4m3/6:V=2,R=5,window=30",
    "e5m2/e5m2/e8m0/e8m0:V=1,window=80",
    "1U/2U/-/e8m0:V=1,window=4",
]


def real(fmt, code):
    """Return the number that a scale's code stands for, in units of the format, but 1 for the least e8m0."""
    return Fraction(1) if fmt is None else Fraction(2) ** code if isinstance(fmt, E8M0) else Fraction(code)


def factor(config, sw, sa):
    """Return the scale factor as a fraction; R is for a ue4m3 scale beside an integer here."""
    if config.scale_product_bits is None:
        return real(config.weight_scale, sw) * real(config.activation_scale, sa)
    exponent = max(int(config.weight_scale.encode(np.array(sw))) >> 3, 1) - 1
    product = Fraction(sw * sa, 2**exponent)
    rounded = floor(product / 2 ** (4 + config.activation_scale.bits - config.scale_product_bits) + Fraction(1, 2))
    return min(2**config.scale_product_bits - 1, rounded) * Fraction(2) ** exponent


def oracle(config, beats):
    """Yield accumulator, overflow, inexact and the exact sum of every beat, in plain fractions."""
    half = 2 ** (config.window - 1)
    acc, overflow, inexact, exact = 0, False, False, Fraction(0)
    for w, a, sw, sa, first, offset in beats:
        if first:
            acc, overflow, inexact, exact = 0, False, False, Fraction(0)
        term = sum(map(int.__mul__, w, a)) * factor(config, sw, sa) / Fraction(2) ** offset
        exact += term * Fraction(2) ** offset
        total = acc + floor(term)
        acc = min(max(total, -half), half - 1)
        overflow, inexact = overflow or acc != total, inexact or floor(term) != term
        yield acc, overflow, inexact, exact


@st.composite
def streams(draw):
    config = MacConfig.parse(draw(st.sampled_from(CONFIGS)))
    rng, count = np.random.default_rng(draw(st.integers(0, 1 << 32))), draw(st.integers(1, 12))
    near = int(rng.integers(config.exponent_max + 1))
    offsets = np.clip(near + rng.integers(-3, 4, count), 0, (1 << config.offset_bits) - 1)
    if draw(st.booleans()):
        offsets[:] = offsets[0]
    shape = (count, config.vector_size)
    w, a = (fmt.sample(rng, shape) * rng.integers(2, size=shape) for fmt in (config.weight, config.activation))
    span = config.window + 8

    def scales(fmt):
        if fmt is None or not isinstance(fmt, E8M0):
            return None if fmt is None else fmt.sample(rng, count)
        middle = near // sum(isinstance(scale, E8M0) for scale in config.scales)
        return np.clip(middle + rng.integers(-span, span, count) // 2, fmt.min, fmt.max)

    return config, w, a, *map(scales, config.scales), rng.random(count) < 0.3, rng.random(count) < 0.7, offsets


@settings(max_examples=300)
@given(streams())
def test_a_window_is_its_formula(stream):
    config, w, a, sw, sa, first, last, offsets = stream
    ones = [1] * len(w)
    columns = (w, a, ones if sw is None else sw, ones if sa is None else sa, first, offsets)
    rows = list(
        zip(*(column.tolist() if isinstance(column, np.ndarray) else column for column in columns), strict=True)
    )
    wanted = list(oracle(config, rows))
    result = mac(config, w, a, sw, sa, first, last, offsets, trace=True)
    found = zip(result.trace.acc.tolist(), result.trace.overflow.tolist(), result.trace.inexact.tolist(), strict=True)
    assert list(found) == [each[:3] for each in wanted]
    assert result.acc.tolist() == [each[0] for each, out in zip(wanted, last, strict=True) if out]
    assert result.inexact.tolist() == [each[2] for each, out in zip(wanted, last, strict=True) if out]
    assert result.state == State(*wanted[-1][:3])
    if len(set(offsets.tolist())) == 1:  # while no flag is up, the window is exact
        for acc, overflow, inexact, exact in wanted:
            assert overflow or inexact or acc * Fraction(2) ** int(offsets[0]) == exact
    half = len(w) // 2  # a stream in two parts, the state between them
    cut = [
        None if column is None else (column[:half], column[half:]) for column in (w, a, sw, sa, first, last, offsets)
    ]
    state = mac(config, *(column and column[0] for column in cut)).state
    assert mac(config, *(column and column[1] for column in cut), state=state).state == result.state


@pytest.mark.parametrize("text", CONFIGS)
def test_a_layer_is_the_stream_of_its_vectors(text):
    config, rng = MacConfig.parse(text), np.random.default_rng(5)
    m, n, groups = 3, 2, 4

    def operand(fmt, scale, rows):
        narrow = None if scale is None else scale.sample(rng, (rows, groups)) // (8 if isinstance(scale, E8M0) else 1)
        return BlockOperand(fmt.sample(rng, (rows, groups, config.vector_size)), narrow)

    weights = operand(config.weight, config.weight_scale, n)
    inputs = operand(config.activation, config.activation_scale, m)
    least = least_offsets(config, weights, inputs)
    sums, exponent = exact_sums(config, weights, inputs)
    assert np.isclose(float(accumulator_unit(config, 1, 1)[0, 0]), 2.0**exponent, rtol=0)
    for offsets in (least, np.maximum(least - 6, 0), least[:, :1], 3):
        result = matmul(config, weights, inputs, offsets)
        whole = np.broadcast_to(offsets, (m, n))
        for row, column in itertools.product(range(m), range(n)):
            columns = (weights.codes[column], inputs.codes[row])
            scales = (
                part.scales if part.scales is None else part.scales[at]
                for part, at in ((weights, column), (inputs, row))
            )
            marks = np.arange(groups) == 0, np.arange(groups) == groups - 1
            one = mac(config, *columns, *scales, *marks, np.full(groups, whole[row, column]))
            found = [result.acc[row, column], result.overflow[row, column], result.inexact[row, column]]
            assert [*one.acc, *one.overflow, *one.inexact] == found
            if not one.overflow and not one.inexact:
                assert int(one.acc[0]) << int(whole[row, column]) == sums[row, column]
    assert not matmul(config, weights, inputs, least).overflow.any()


@pytest.mark.parametrize("text", [text for text in CONFIGS if "window=30" not in text])  # which holds all sums
def test_least_offsets_are_least(text):
    config = MacConfig.parse(text)
    w, a = (np.full((1, 3, config.vector_size), fmt.max) for fmt in (config.weight, config.activation))
    scales = [None if fmt is None else np.full((1, 3), fmt.max) for fmt in config.scales]
    weights, inputs = BlockOperand(w, scales[0]), BlockOperand(a, scales[1])
    [[offset]] = least_offsets(config, weights, inputs)
    assert not matmul(config, weights, inputs, offset).overflow.any()
    assert matmul(config, weights, inputs, offset - 2).overflow.all()


def fraction32(x):
    return Fraction(float(x))


@given(st.integers(-(1 << 60), 1 << 60), st.integers(0, 90), st.integers(-220, 130))
def test_float32_is_the_nearest_or_the_next_towards_zero(number, shift, exponent):
    number <<= shift % 40 if shift > 50 else 0
    exact, top = Fraction(number) * Fraction(2) ** exponent, fraction32(np.finfo(np.float32).max)
    nearest, cut = (to_float32(np.array([number], object), exponent, mode)[0] for mode in FloatRounding)
    assert np.signbit(nearest) == np.signbit(cut) == (number < 0)
    assert abs(fraction32(cut)) <= abs(exact)
    if abs(fraction32(cut)) == top:
        assert abs(exact) >= top
        assert np.isinf(nearest) == (abs(exact) >= top + Fraction(2) ** 103)
        return
    away = np.nextafter(cut, np.float32(-np.inf if number < 0 else np.inf))
    assert abs(fraction32(cut)) == abs(exact) or abs(exact) < abs(fraction32(away))
    gaps = abs(exact - fraction32(cut)), abs(fraction32(away) - exact)
    even = cut if int(cut.view(np.uint32)) % 2 == 0 else away
    assert nearest == (cut if gaps[0] < gaps[1] else away if gaps[1] < gaps[0] else even)


def test_float32_of_what_float64_holds_is_the_cast():
    numbers = np.random.default_rng(2).integers(-(1 << 53), 1 << 53, 2000)
    exponents = np.random.default_rng(3).integers(-210, 80, 2000)
    with np.errstate(over="ignore"):
        wanted = np.ldexp(numbers.astype(np.float64), exponents).astype(np.float32)
    assert to_float32(numbers, exponents, FloatRounding.RNE).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "e2m1/e2m1/e8m0/e8m0:V=32,window=13",
            "window = 13: one term of .*, V = 32 has 14 bits before its shift; give at least 14",
        ),
        ("mxfp8-e5m2:window=69", "window = 69: .* has 70 bits before its shift; give at least 70"),
        ("4/4/4/6:window=20", "the scales of 4/4/4/6 have no exponents; give acc = 20 instead"),
        (
            "e2m1/e2m1/e8m0/e8m0:window=48,acc=40",
            "acc = 40 and window = 48 both set the accumulator's width; give one of them",
        ),
        ("e2m1/e2m1/e8m0/e8m0:window=48,overflow=wrap", "a window saturates; leave overflow out"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=97", "window = 97: must be a whole number from 2 to 96"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,R=3", "R = 3: scales of e2m1/e2m1/e8m0/e8m0 are powers of two, with nothing to"),
        ("4/4/-/e8m0:R=1,window=40", "R = 1: scales of 4/4/-/e8m0 are powers of two, with nothing to round"),
    ],
)
def test_a_window_that_cannot_be_is_refused(text, rule):
    with pytest.raises(InputError, match=rule) as refused:
        MacConfig.parse(text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "offsets", "rule"),
    [
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", None, "has a window, whose bit 0 weighs 2\\^offset; give them"),
        ("nvfp4", [0], "is no window; leave them out"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", [512], "integers from 0 to 511"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", [-1], "integers from 0 to 511"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", [1.0], "integers from 0 to 511"),
        ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", [1, 2], r"shape \(2,\) where \(1,\) is needed"),
    ],
)
def test_offsets_that_do_not_fit_are_refused(text, offsets, rule):
    config = MacConfig.parse(text)
    codes, one = np.zeros((1, config.vector_size), int), np.ones(1, int)
    with pytest.raises(InputError, match=rule):
        mac(config, codes, codes, one, one, np.ones(1, bool), np.ones(1, bool), offsets)


def test_offsets_of_an_exact_accumulator_are_refused():
    with pytest.raises(InputError, match="is no window; none are needed"):
        least_offsets(MacConfig.parse("nvfp4"), BlockOperand(None, None), BlockOperand(None, None))
    config = MacConfig.parse("e2m1/e2m1/e8m0/e8m0:V=2,window=10")
    part = BlockOperand(np.ones((1, 3, 2), int), np.full((1, 3), 254))
    assert least_offsets(config, part, part).tolist() == [[509]]
    part = BlockOperand(np.ones((1, 20, 2), int), np.full((1, 20), 254))
    with pytest.raises(InputError, match=r"offset 512: the port of .* has 9 bits; give a wider window or split"):
        least_offsets(config, part, part)
