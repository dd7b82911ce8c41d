from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import PRESETS, MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat
from vsq.golden.model.datapath import BlockOperand, mac, matmul, scale_factor
from vsq.golden.model.packing import Field
from vsq.golden.stimulus.directed import LONGEST, terms
from vsq.golden.stimulus.stream import beats, complete, layer, overflow_directions, unreached

TIGHT = MacConfig.parse("4/4/4/6:R=6,acc=18")


@pytest.mark.parametrize("name", PRESETS)
def test_streams_are_legal_and_end_with_a_result(name):
    config = MacConfig.parse(name)
    stream = beats(config, 500, seed=1)
    result = mac(config, **vars(stream), trace=True)  # the model refuses illegal codes
    assert len(stream) == 500
    assert stream.last[-1]
    assert len(result.acc) == stream.last.sum() > 20


def test_a_seed_names_one_stream():
    one, two, other = (beats(TIGHT, 300, seed) for seed in (7, 7, 8))
    for column in vars(one):
        assert np.array_equal(getattr(one, column), getattr(two, column))
    assert not np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("text", ["4/4/4/6", "4/4U/4/4", "1U/8/-/5:V=3", "2/2/1/-:V=1"])
def test_every_corner_of_the_elements(text):
    config = MacConfig.parse(text)
    stream = beats(config, 2000, seed=3)
    for codes, fmt in ((stream.weights, config.weight), (stream.activations, config.activation)):
        for code in (fmt.min, fmt.max, 0):
            assert (codes == code).all(axis=1).any()
        assert set(np.unique(codes)) == set(range(fmt.min, fmt.max + 1)) or fmt.bits > 6


def test_every_corner_of_the_scales_and_marks():
    stream = beats(TIGHT, 2000, seed=4)
    trace = mac(TIGHT, **vars(stream), trace=True).trace
    assert trace is not None
    assert trace.p.max() == 15 * 63
    assert ((trace.r == 0) & (trace.p > 0)).any()
    assert trace.r.max() == 59  # round(945 / 16), the largest factor that these scales reach
    assert sum(Fraction(int(p), 16) % 1 == Fraction(1, 2) for p in trace.p) > 2000 / 8
    after_last = stream.first[1:][stream.last[:-1]]
    assert after_last.any()
    assert not after_last.all()
    before_first = stream.last[:-1][stream.first[1:]]
    assert not before_first.all()
    assert (stream.first & stream.last).any()


@pytest.mark.parametrize("sides", ["4/6", "6/-", "-/9", "1/1", "16/16"])
def test_ties_at_every_width(sides):
    for bits in range(1, MacConfig.parse(f"4/4/{sides}").full_product_bits):
        config = MacConfig.parse(f"4/4/{sides}:V=1", scale_product_bits=bits)
        stream = beats(config, 200, seed=5)
        trace = mac(config, **vars(stream), trace=True).trace
        assert trace is not None
        unit = 1 << config.scale_shift
        assert (2 * (trace.p % unit) == unit).sum() > 10


@pytest.mark.parametrize(("text", "least"), [("nvfp4:V=2", 9), ("4/4/ue4m3/4:V=2", 30)])
def test_a_few_beats_have_small_scales_on_all_sides_of_floats(text, least):
    """Subnormal ones besides 1, behind which no low bit of a product can hide."""
    config = MacConfig.parse(text)
    for seed in range(20):
        stream, small = beats(config, 300, seed), np.ones(300, np.bool_)
        for side, fmt in zip((stream.weight_scales, stream.activation_scales), config.scales, strict=True):
            if fmt and not fmt.contiguous:
                small &= np.isin(side, fmt.values[2 : 1 << fmt.significand_bits])
        assert small.sum() >= least, seed


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize(
    "text", ["4/4/4/6:acc=18", "4/4U/4/6", "8/8U/-/-:acc=23", "1U/1U/-/-:acc=3", "16/16/16/16:V=3", "2/2U/-/-:V=1"]
)
def test_promised_overflows_happen(text, overflow, seed):
    config = MacConfig.parse(text, overflow=overflow)
    assert unreached(config) == ""
    for count in (1, 100, 1000):
        stream = complete(config, count, seed)
        assert len(stream) >= count
        trace = mac(config, **vars(stream), trace=True).trace
        assert trace is not None
        promised = overflow_directions(config)
        assert promised == ({1} if text.startswith("1U") else {1, -1})
        assert set(trace.direction) == promised | {0}


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "truncate"])
@pytest.mark.parametrize("scales", ["ue4m3/1", "ue4m3/ue4m3", "-/ue4m3", "3/ue4m3"])
def test_floats_rounded_to_one_bit_reach_every_sum(scales, rounding):
    text = f"4/5U/{scales}:V=2,R=1"
    if scales == "ue4m3/1" and rounding == "truncate":
        with pytest.raises(InputError, match="every scale product"):
            MacConfig.parse(text, rounding=rounding)
        return
    config = MacConfig.parse(text, rounding=rounding)
    for target in (*range(-40, 0), *range(1, 41), -12345, 54321):
        found = terms(config, target)
        sums = [sum(w * a for w, a in zip(term.weights, term.activations, strict=True)) for term in found]
        _, factors = scale_factor(config, *np.array([(term.weight_scale, term.activation_scale) for term in found]).T)
        assert sum(one * factor for one, factor in zip(sums, factors.tolist(), strict=True)) == target


def test_longer_runs_to_an_overflow_are_left_out_and_said():
    per_term = 15 * 15 * 16
    vectors = ((1 << 26) - 1) // per_term  # of the largest term that fit 27 bits: more than a run has
    config = MacConfig.parse("4U/4U/-/-:acc=27")
    assert vectors > LONGEST
    assert overflow_directions(config) == set()
    assert len(complete(config, 50, 1)) == 50
    assert unreached(config).startswith(f"the accumulator's overflow takes {vectors + 1:,} extreme vectors above, and")
    assert unreached(MacConfig.parse("4U/4U/-/-:acc=26")) == ""
    assert "above and" in unreached(MacConfig.parse("4/4/4/6", max_vectors=1 << 20))


def test_layer_gives_the_products_in_row_major_order():
    rng = np.random.default_rng(0)
    config = MacConfig.parse("4/4U/4/-:V=5")
    w, a, sw = rng.integers(-8, 8, (3, 4, 5)), rng.integers(0, 16, (2, 4, 5)), rng.integers(0, 16, (3, 4))
    weights, activations = BlockOperand(w, sw), BlockOperand(a, None)
    stream = layer(weights, activations)
    assert mac(config, **vars(stream)).acc.tolist() == matmul(config, weights, activations).acc.ravel().tolist()


def test_no_beats():
    with pytest.raises(InputError, match="0 beats"):
        beats(TIGHT, 0, 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 16), st.booleans(), st.integers(1, 256), st.integers(0, 2**32 - 1))
def test_words_have_lane_0_lowest(bits, signed, lanes, seed):
    fmt = IntFormat(bits=bits, signed=signed and bits > 1)
    codes = np.random.default_rng(seed).integers(fmt.min, fmt.max + 1, (3, lanes))
    field = Field(fmt, lanes)
    words = field.words(codes)
    assert words == [sum((int(c) % 2**bits) << (j * bits) for j, c in enumerate(row)) for row in codes]
    assert np.array_equal(field.column(words), codes)
