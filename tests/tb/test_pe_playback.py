"""Whole layers through the RTL of the processing element, every integer equal to the model's."""

import numpy as np

from golden.pe_config import PeConfig
from golden.workloads.digits import load
from golden.workloads.pe_network import PeNetwork
from tb.pe_playback import Playback

FIELDS = ("acc", "overflow", "codes", "scales")


def assert_equal(got, expected):
    for name in FIELDS:
        value, other = getattr(got, name), getattr(expected, name)
        assert (value is None) == (other is None), name
        assert value is None or np.array_equal(value, other), name


def test_the_digits_network(require_tool, tmp_path):
    require_tool("icarus")
    config = PeConfig.parse("4/4U/4/6:style=behavioural")
    digits, playback = load(), Playback(config, "icarus", tmp_path)
    element = PeNetwork.of(digits.quantize(config.mac).network, config)
    images = digits.test_images[:1]
    layers = 0
    for got, expected in zip(element.trace(images, playback.run), element.trace(images), strict=True):
        assert_equal(got, expected)
        layers += 1
    assert layers == 4
    assert element.logits(got).argmax(axis=1) == digits.test_labels[:1]
    assert playback.cycles > 2000
