"""Configurations: text form, derived widths, and what is refused."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsq.golden.contract.config import PRESETS, Arithmetic, MacConfig, Overflow, Rounding, Target
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat

elements = st.one_of(
    st.builds(IntFormat, bits=st.integers(2, 16), signed=st.booleans()), st.just(IntFormat(bits=1, signed=False))
)
scales = st.one_of(st.none(), st.builds(IntFormat, bits=st.integers(1, 16), signed=st.just(False)))


@st.composite
def configs(draw):
    """Any legal configuration."""
    weight_scale, activation_scale = draw(scales), draw(scales)
    full = sum(scale.bits for scale in (weight_scale, activation_scale) if scale)
    bits = draw(st.one_of(st.none(), st.integers(min(3, full), full))) if full else None
    return MacConfig(
        weight=draw(elements),
        activation=draw(elements),
        weight_scale=weight_scale,
        activation_scale=activation_scale,
        vector_size=draw(st.integers(1, 256)),
        scale_product_bits=bits,
        rounding=draw(st.sampled_from(Rounding)) if bits != 1 else Rounding.HALF_UP,
        accumulator_bits=draw(st.one_of(st.none(), st.integers(2, 96))),
        overflow=draw(st.sampled_from(Overflow)),
        narrow=draw(st.booleans()),
        pipeline=draw(st.integers(0, 3)),
        arithmetic=draw(st.sampled_from(Arithmetic)),
        target=draw(st.sampled_from(Target)),
    )


@given(configs())
def test_full_name_reads_back(config):
    assert MacConfig.parse(config.full_name) == config
    assert config.full_name.startswith(str(config))
    assert config.slug.isidentifier()


@given(configs(), configs())
def test_different_configurations_have_different_slugs(one, other):
    assert (one.slug == other.slug) == (one == other)


def test_spelling_of_the_paper():
    config = MacConfig.parse("4/4U/4/6")
    assert str(config) == config.full_name == "4/4U/4/6"
    assert (config.weight, config.activation) == (IntFormat(bits=4, signed=True), IntFormat(bits=4, signed=False))
    assert str(MacConfig.parse("8/8/-/-")) == "8/8/-/-"
    assert MacConfig.parse("8/8/6/-").activation_scale is None


@pytest.mark.parametrize(
    "text", ["2/2/2/2:V=3,max_vectors=2", "3/2U/2/-:V=2,R=1,max_vectors=3", "2/1U/-/-:V=1,max_vectors=5"]
)
def test_default_accumulator_is_the_least_that_cannot_overflow(text):
    config = MacConfig.parse(text)
    products = [
        w * a * config.vector_size * config.max_vectors
        for w, a in product(*(range(fmt.min, fmt.max + 1) for fmt in (config.weight, config.activation)))
    ]
    low, high = (config.scale_factor_max * bound for bound in (min(products), max(products)))
    half = 1 << (config.acc_bits - 1)
    assert -half <= low
    assert high < half
    assert not (-half // 2 <= low and high < half // 2)


def test_narrow_excludes_the_most_negative_code():
    config = MacConfig.parse("4/4U/4/6:narrow=1")
    assert (config.weight.min, config.activation.min) == (-7, 0)
    with pytest.raises(InputError, match=r"weights\[1\] = -8: format 4 holds -7 to 7"):
        config.weight.check(np.array([7, -8]), "weights")
    assert MacConfig.parse("4/4/4/6:narrow=1").acc_bits <= MacConfig.parse("4/4/4/6").acc_bits


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_configurations(name):
    assert MacConfig.parse(name) == MacConfig.parse(PRESETS[name][0])
    assert MacConfig.parse(name, pipeline=3).pipeline == 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mxfp4:V=3", "e2m1/e2m1/e8m0/e8m0:V=3,window=48"),
        ("nvint4:narrow=0,R=8", "4/4/ue4m3/ue4m3:R=8"),
        (" w4a8fp8:V=2 ", "4/e4m3/ue4m3/-:V=2,dpq=1"),
    ],
)
def test_options_win_over_those_of_a_preset(text, name):
    assert MacConfig.parse(text).full_name == name
    with pytest.raises(InputError, match="V is given twice"):
        MacConfig.parse(f"{text.strip()},V=3,V=4")


@pytest.mark.parametrize(
    "values",
    [
        {"vector_size": 0},
        {"vector_size": 257},
        {"vector_size": 2.0},
        {"pipeline": -1},
        {"scale_product_bits": 0},
        {"accumulator_bits": 1},
        {"max_vectors": 0},
        {"rounding": "up"},
        {"overflow": "clip"},
        {"arithmetic": "fast"},
        {"target": "paper"},
        {"narrow": 2},
        {"weight_scale": IntFormat(bits=4, signed=True)},
    ],
)
def test_values_out_of_range_are_named(values):
    with pytest.raises(InputError) as refused:
        MacConfig.parse("4/4/4/4", **values)
    assert str(next(iter(values.values()))) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["nvfp4:narrow=1", "mxfp8-e4m3:narrow=1", "e2m1/e4m3/-/-:narrow=1"])
def test_narrow_is_for_integers(text):
    with pytest.raises(InputError, match="has no integers with a code"):
        MacConfig.parse(text)
    assert MacConfig.parse("w4a8fp8:narrow=1").multiplied.weight.max == 224 << 9
    assert MacConfig.parse("e2m1/4/-/-:narrow=1").narrow


def test_an_accumulator_beyond_the_limit_is_refused():
    with pytest.raises(InputError, match="accumulate fewer vectors"):
        MacConfig.parse("16/16/16/16:V=256", max_vectors=1 << 30)
    with pytest.raises(
        InputError, match=r"e5m2/e5m2/12/12, max_vectors 256 by default: .* 101 bits and 96 is the limit"
    ):
        MacConfig.parse("e5m2/e5m2/12/12")
    assert MacConfig.parse("e5m2/e5m2/12/12:max_vectors=8").acc_bits == 96


@given(st.integers(1, 16), st.booleans(), st.data())
def test_formats_encode_and_decode(bits, signed, data):
    if bits == 1 and signed:
        return
    fmt = IntFormat(bits=bits, signed=signed)
    codes = np.array(data.draw(st.lists(st.integers(fmt.min, fmt.max), min_size=1)))
    patterns = fmt.encode(codes)
    assert patterns.max() < 1 << bits
    assert fmt.decode(patterns).tolist() == codes.tolist()
    assert [int(p) for p in patterns] == [int(c) % (1 << bits) for c in codes]
