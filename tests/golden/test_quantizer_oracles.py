"""The quantizer equals brevitas (two levels) and torchao (one level): integers frozen by oracles/freeze.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Quantizer

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
