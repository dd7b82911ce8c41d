"""Formats: their values, bit patterns and roundings, against ml_dtypes and plain Python."""

from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import NAMED, IntFormat, element_format
from vsq.golden.model.packing import Field

E2M1 = element_format("e2m1")
NARROW = IntFormat(bits=4, signed=True, narrow=True)
SMALL = [*map(element_format, ["1U", "2", "3", "4U", "8", *NAMED]), NARROW]
MINIFLOATS = [*map(element_format, NAMED)]


@pytest.mark.parametrize("fmt", SMALL, ids=repr)
def test_values_and_patterns(fmt):
    patterns = np.array([p for p in range(1 << fmt.bits) if p not in fmt.unused])
    assert sorted(set(fmt.decode(patterns).tolist())) == list(fmt.values)
    assert {0, 1, fmt.min, fmt.max} <= set(fmt.values)
    assert not set(fmt.decode(np.array(fmt.unused, np.int64)).tolist()) & set(fmt.values)
    assert (fmt.min, fmt.max, fmt.signed) == (min(fmt.values), max(fmt.values), min(fmt.values) < 0)
    steps = {b - a for a, b in pairwise(fmt.values)}
    assert fmt.last_step == max(steps)
    assert fmt.contiguous == (steps == {1})
    for encode in (fmt.encode, fmt.patterns):
        codes = np.array(fmt.values * 3 if isinstance(fmt.values, tuple) else [*fmt.values])
        assert fmt.decode(encode(codes)).tolist() == codes.tolist()
        assert encode(codes.reshape(1, -1)).max() < 1 << fmt.bits
    assert set(fmt.corners) <= set(fmt.values)
    assert {fmt.min, fmt.max, 0, 1} <= set(fmt.corners)


@pytest.mark.parametrize("fmt", SMALL, ids=repr)
def test_samples_are_all_the_values(fmt):
    drawn = fmt.sample(np.random.default_rng(0), (100, 200))
    assert drawn.shape == (100, 200)
    assert set(drawn.ravel().tolist()) == set(fmt.values)


@pytest.mark.parametrize("fmt", SMALL, ids=repr)
def test_nothing_but_values_passes(fmt):
    fmt.check(np.array(fmt.values), "codes")
    for number in {value + step for value in fmt.values for step in (-2, -1, 1, 2)} - set(fmt.values):
        with pytest.raises(InputError, match=rf"codes\[1\] = {number}: format {fmt} holds"):
            fmt.check(np.array([0, number]), "codes")
    with pytest.raises(InputError, match="not an integer type"):
        fmt.check(np.array([0.0]), "codes")


def oracle_nearest(fmt, x):
    """The nearest value by exact distances; a tie goes to the pattern whose lowest bit is 0."""
    place = bisect_left(fmt.values, x)
    near = fmt.values[max(0, place - 1) : place + 1]
    legal = [value for value in near if fmt.qmin <= value <= fmt.qmax] or [fmt.qmin]
    distance = min(abs(Fraction(x) - value) for value in legal)
    nearest = [value for value in legal if abs(Fraction(x) - value) == distance]
    even = [value for value in nearest if int(fmt.encode(np.array([value]))[0]) % 2 == 0]
    return (nearest if len(nearest) == 1 else even)[0]


def points(fmt):
    """Values, ties, what lies beside a tie, and what saturates."""
    values = np.array([fmt.qmin - fmt.last_step, *fmt.values, fmt.qmax + fmt.last_step], np.float32)
    quarters = np.concatenate([values[:-1] + np.diff(values) * quarter / 4 for quarter in range(5)])
    beside = [np.nextafter(quarters, np.float32(end)) for end in (np.inf, -np.inf)]
    small, large = np.random.default_rng(1).normal(0, [[1 << 4], [fmt.qmax]], (2, 500)).astype(np.float32)
    return np.concatenate([quarters, *beside, small, large, 2.0 ** np.arange(-30, 36, dtype=np.float32)])


@pytest.mark.parametrize("fmt", [*map(element_format, ["1U", "2", "4U"]), NARROW, *MINIFLOATS], ids=repr)
def test_nearest_is_the_nearest_with_ties_to_even(fmt):
    x = points(fmt)
    rounded = fmt.nearest(x)
    assert rounded.dtype == np.float32
    assert rounded.tolist() == [oracle_nearest(fmt, float(value)) for value in x]
    assert fmt.nearest(np.array([np.inf, -np.inf])).tolist() == [fmt.qmax, fmt.qmin]


@pytest.mark.parametrize("fmt", MINIFLOATS, ids=repr)
def test_minifloats_equal_ml_dtypes(fmt):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    peer = getattr(ml_dtypes, f"float{fmt.bits}_{fmt}" + ("" if str(fmt) == "e5m2" else "fn"))
    patterns = np.arange(1 << fmt.bits, dtype=np.uint8)
    values = patterns.view(peer).astype(np.float64) * 2**fmt.fraction_bits
    finite = np.isfinite(values)
    assert fmt.decode(patterns[finite]).tolist() == values[finite].tolist()
    assert fmt.unused == tuple(patterns[~finite].tolist())
    x = points(fmt)
    theirs = (np.clip(x, fmt.min, fmt.max) / 2**fmt.fraction_bits).astype(peer)
    assert (fmt.nearest(x) / 2**fmt.fraction_bits).tolist() == theirs.astype(np.float64).tolist()
    nonzero = np.array([value for value in fmt.values if value])
    assert fmt.encode(nonzero).tolist() == (nonzero / 2**fmt.fraction_bits).astype(peer).view(np.uint8).tolist()


@pytest.mark.parametrize("fmt", SMALL, ids=repr)
def test_nearest_is_the_same_in_pytorch(fmt):
    torch = pytest.importorskip("torch")
    x = points(fmt)
    np.testing.assert_array_equal(fmt.nearest(x), fmt.nearest(torch.tensor(x), torch).numpy())


def test_e2m1():
    assert E2M1.values == (-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12)
    assert (E2M1.bits, E2M1.fraction_bits, str(E2M1)) == (4, 1, "e2m1")
    assert E2M1.decode(np.arange(16)).tolist() == [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]
    assert E2M1.corners == [-12, -2, -1, 0, 1, 2, 12]


def test_only_stimulus_has_negative_zeros():
    codes = np.array([[0, 4, 0], [0, 0, -4]])
    assert E2M1.encode(codes).tolist() == [[0, 4, 0], [0, 0, 12]]
    assert E2M1.patterns(codes).tolist() == [[0, 4, 8], [0, 8, 12]]
    vector = Field(E2M1, 3)
    assert vector.column(vector.words(codes)).tolist() == codes.tolist()


def test_a_configuration_names_its_formats():
    config = MacConfig.parse("e2m1/4U/4/6:narrow=1")
    assert (config.weight, config.activation) == (E2M1, IntFormat(bits=4, signed=False))
    assert MacConfig.parse(config.full_name) == config
    assert config.slug.startswith("we2m1_a4u_ws4_as6")
    for text in ("e2m0/4/4/6", "4/4/e2m1/6", "E2M1/4/4/6"):
        with pytest.raises(InputError, match=r"choose|write") as refused:
            MacConfig.parse(text)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="no unsigned variant"):
        E2M1.unsigned()


def test_post_processing_makes_floats_with_float_scales():
    with pytest.raises(InputError, match=r"e2m1 activations: post-processing .* give ppu=off"):
        PeConfig.parse("4/e2m1/4/6")
    assert not PeConfig.parse("4/e2m1/4/6@ppu=off").ppu
    assert PeConfig.parse("e2m1/4/4/6").ppu
