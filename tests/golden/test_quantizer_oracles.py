"""The quantizer equals brevitas, torchao, modelopt, compressed-tensors and gfloat: what oracles/freeze*.py froze."""

import json
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.formats.scales import scale_format
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.second_level import fraction_bits

ORACLES = Path(__file__).parent / "oracles"


def frozen(file):
    """Return (name, parameters, arrays) of every case in a file."""
    with np.load(ORACLES / file) as data:
        cases = json.loads(str(data["about"]))["cases"]
        arrays = {key: data[key] for key in data.files if key != "about"}
    return [
        pytest.param(
            case, {key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(name + ".")}, id=name
        )
        for name, case in cases.items()
    ]


@pytest.mark.parametrize(("case", "expected"), frozen("brevitas.npz"))
def test_two_levels_equal_brevitas(case, expected):
    quantizer = Quantizer(
        element=element_format(case["element"]),
        scale=IntFormat(bits=case["scale_bits"], signed=False),
        vector_size=case["vector_size"],
        granularity=case["granularity"],
    )
    result = quantizer.quantize(expected["x"] / np.float32(1024))
    assert np.abs(expected["codes"]).max() == quantizer.element.qmax
    np.testing.assert_array_equal(result.scales, expected["scales"])
    np.testing.assert_array_equal(result.codes, expected["codes"])


@pytest.mark.parametrize(("case", "expected"), frozen("torchao.npz"))
def test_one_level_equals_torchao(case, expected):
    x = expected["x"] / np.float32(1024)
    quantizer = Quantizer(
        element=element_format(case["element"]), scale=None, vector_size=16, granularity=case["granularity"]
    )
    codes = quantizer.quantize(x).codes.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]
    assert np.abs(expected["codes"]).max() == quantizer.element.qmax
    np.testing.assert_array_equal(codes, expected["codes"])


@pytest.mark.parametrize(("case", "expected"), frozen("blocks.npz"))
def test_block_formats_equal_their_tools(case, expected):
    element, scale = element_format(case["element"]), scale_format(case["scale"])
    quantizer = Quantizer(
        element=element,
        scale=scale,
        vector_size=case["vector_size"],
        granularity="tensor",
        scale_rule=case["scale_rule"],
    )
    x = expected["x"] / np.float32(1024)
    result = quantizer.quantize(x)
    elements = expected["elements"].astype(np.float64) * 2.0 ** fraction_bits(element)
    if case["element"] == "8":
        elements = np.maximum(elements, -127)  # -128 is left unused here
    assert element.qmax >= np.abs(elements).max() > 0.85 * element.qmax
    np.testing.assert_array_equal(scale.reals(result.scales) * 2.0**-scale.fraction_bits, expected["scales"])
    np.testing.assert_array_equal(result.codes.reshape(x.shape), elements)
