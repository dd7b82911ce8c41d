"""Post-processing's block floats: exact nearest quotients, and what the quantizer makes of the same reals."""

from bisect import bisect_left
from fractions import Fraction
from itertools import islice, pairwise
from secrets import randbelow

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.ppu import quantize
from vsq.golden.quantizer.core import Quantizer

CONFIGS = [
    "nvfp4:V=4",
    "nvint4:V=4",
    "4/4U/ue4m3/ue4m3:V=3",
    "4/e2m3/-/ue4m3:V=2",
    "4/e4m3/4/ue4m3:V=2",
    "4/e5m2/4/ue4m3:V=2",
    "4/e2m1/4/ue5m3:V=2",
]


def nearest(values, x):
    """The nearest of values in ascending order to a fraction, of two the one at an even place: even significands."""
    above = min(bisect_left(values, x), len(values) - 1)
    return values[min({max(0, above - 1), above}, key=lambda place: (abs(values[place] - x), place % 2))]


def exact_vector(config, z):
    """Scale and codes of a vector by fractions, whose magnitudes alone are rounded."""
    codes, scales = ([v for v in fmt.values if v >= 0] for fmt in (config.mac.activation, config.mac.activation_scale))
    sq = nearest(scales, Fraction(max(map(abs, z)), config.mac.activation.qmax))
    return sq, [(-1) ** (v < 0) * nearest(codes, Fraction(abs(v), sq)) if sq else 0 for v in z]


def ties(config):
    """Vectors whose quotients are ties, or next to one: m between neighbouring scales, and z between codes."""
    element, scale = config.mac.activation, config.mac.activation_scale
    size, magnitudes = config.mac.vector_size, [value for value in element.values if value >= 0]
    for low, high in pairwise(scale.values):
        tie = element.qmax * (low + high) // 2
        yield from ([m, *[0] * (size - 1)] for m in range(tie - 1, tie + 2))
    for sq in scale.values[1:]:
        for low, high in islice(pairwise(magnitudes), 30):
            tie = sq * (low + high) // 2
            yield from ([element.qmax * sq, *[z] * (size - 1)] for z in (abs(tie - 1), tie, tie + 1))


def random_vectors(config, count, seed):
    """Vectors of all magnitudes, their elements within some binades of each other."""
    rng, size = np.random.default_rng(seed), config.mac.vector_size
    peaks = config.z_range[1] * 2.0 ** -rng.uniform(0, config.z_range[1].bit_length() + 2, (count, 1))
    z = np.rint(rng.uniform(-1, 1, (count, size)) * peaks).astype(np.int64)
    return z if config.mac.activation.signed else np.abs(z)


@pytest.mark.parametrize("text", CONFIGS)
def test_equals_exact_fractions(text):
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")  # shown on failure
    near = np.array(list(ties(config)))
    chosen = np.random.default_rng(seed).choice(len(near), 300, replace=False)
    z = np.concatenate([near[chosen], random_vectors(config, 200, seed)])
    codes, scales = quantize(config, z)
    expected = [exact_vector(config, vector) for vector in z.tolist()]
    assert scales.tolist() == [sq for sq, _ in expected]
    assert codes.tolist() == [q for _, q in expected]


@pytest.mark.parametrize("text", CONFIGS[:4])
def test_the_quantizer_makes_the_same_of_these_reals(text):
    """Code for code: its float32 holds every z below 2^24, and no quotient comes nearer to a tie than it resolves."""
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")
    assert config.z_range[1] < 1 << 24 or "e2m3" in text
    z = np.concatenate([np.array(list(ties(config))), random_vectors(config, 20_000, seed)])
    z = z[np.abs(z).max(axis=1) < 1 << 24]
    expected = Quantizer.for_activations(config.mac).quantize(z.astype(np.float32), gamma=np.float32(1))
    codes, scales = quantize(config, z)
    np.testing.assert_array_equal(scales[:, None], expected.scales)
    np.testing.assert_array_equal(codes[:, None], expected.codes)


def test_every_scale_and_code_of_nvfp4():
    """Each comes out, also those of vectors that vanish or are clipped; zeros are +0 alone."""
    config = PeConfig.parse("nvfp4:V=2")
    scales = np.array(config.mac.activation_scale.values)
    element = np.array(config.mac.activation.values)
    z = np.stack(np.broadcast_arrays(12 * scales[:, None], scales[:, None] * element), axis=-1)
    codes, found = quantize(config, z)
    np.testing.assert_array_equal(found, np.broadcast_to(scales[:, None], found.shape))
    np.testing.assert_array_equal(codes[1:, :, 1], np.broadcast_to(element, codes[1:, :, 1].shape))
    assert not codes[0].any()
    for m, sq, code in ((6, 0, 0), (7, 1, 8), (17, 1, 12), (18, 2, 8), (2752512, 229376, 12)):
        codes, found = quantize(config, np.array([[m, -m]]))
        assert (found[0], codes[0].tolist()) == (sq, [code, -code]), m


def test_floats_need_floats_for_scales():
    assert PeConfig.parse("nvfp4@").z_range == (-2752512, 2752512)
    for text, scales in (("4/e2m1/4/6@", "with scales 6"), ("e4m3/e4m3/-/-@", "without scales")):
        with pytest.raises(InputError, match=f"with scales ue4m3, ue5m3 or e8m0, not {scales}; give ppu=off"):
            PeConfig.parse(text)
    for element, bits in (("e4m3", 52), ("e5m2", 66)):
        with pytest.raises(
            InputError, match=f"outputs of {bits} bits, and 50 is the limit; give ppu=off, or scales ue4m3"
        ):
            PeConfig.parse(f"4/{element}/4/ue5m3@")
    assert PeConfig.parse("e5m2/e5m2/ue4m3/ue4m3:acc=90@").z_range[1].bit_length() == 50
