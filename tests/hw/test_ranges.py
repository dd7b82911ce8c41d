"""The hardware's ranges against enumeration and against the golden side's bounds."""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig, Rounding
from vsq.golden.model.datapath import scale_factor
from vsq.hw.mac.shapes import dot_range, dot_shape, factor_max, least_shape, term_shape

SMALL = [
    "2/2/2/2",
    "3/2U/1/3",
    "2U/3/3/1",
    "1U/1U/2/2",
    "2/1U/-/3",
    "3/3/2/-",
    "2/2/-/-",
    "e2m1/e2m1/2/-",
    "3/e2m1/1/1",
    "e2m1/2U/2/2",
    "e2m3/e3m2/1/-",
    "e3m2/2/-/2",
    "e4m3/e5m2/1/-",
    "2/2/ue4m3/-",
    "2/2/ue4m3/ue4m3",
    "2/2U/3/ue4m3",
    "3/2/ue4m3/1",
]


@pytest.mark.parametrize("text", SMALL)
def test_dot_range_is_exact(text):
    config = MacConfig.parse(text, vector_size=1)
    products = [w * a for w, a in product(config.weight.values, config.activation.values)]
    assert dot_range(config) == (min(0, *products), max(products))


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("text", [text for text in SMALL if text != "2/2/-/-"])
def test_factor_max_is_reached(text, rounding):
    full = MacConfig.parse(text).full_product_bits
    for bits in range(2, full + 1):
        config = MacConfig.parse(text, scale_product_bits=bits, rounding=rounding)
        scales = [np.array(fmt.values) if fmt else np.ones(1, int) for fmt in config.scales]
        _, factors = scale_factor(config, scales[0][:, None], scales[1])
        assert factor_max(config) == factors.max() == config.scale_factor_max


@given(st.integers(-(1 << 70), 1 << 70), st.integers(-(1 << 70), 1 << 70))
def test_least_shape_is_least(x, y):
    low, high = sorted((x, y))
    shape = least_shape(low, high)
    assert shape.signed == (low < 0)

    def holds(bits):
        return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1) if shape.signed else high < 1 << bits

    assert holds(shape.width)
    assert shape.width == shape.signed or not holds(shape.width - 1)


@pytest.mark.parametrize("text", [*SMALL, "16/16/16/16:V=256", "4/4U/4/6:R=5", "5/7/3/9:V=24,R=6,round=half_even"])
def test_both_sides_derive_the_same_term_range(text):
    config = MacConfig.parse(text)
    assert term_shape(config) == least_shape(*config.term_range)


def test_a_wrapping_accumulator_needs_no_higher_bits():
    config = MacConfig.parse("4/4/4/6:acc=9,overflow=wrap")
    assert (dot_shape(config).width, term_shape(config).width) == (9, 9)


@pytest.mark.parametrize("text", [text for text in SMALL if not re.match("e.*/e", text)])
def test_narrow_dot_range_is_exact(text):
    config = MacConfig.parse(text, vector_size=1, narrow=True)
    products = [w * a for w, a in product(*(f.values for f in (config.weight, config.activation)))]
    assert dot_range(config) == (min(0, *products), max(products))
