"""Outputs with scales that are powers of two, and windows in elements: exact fractions, and the quantizer's codes."""

from dataclasses import replace
from fractions import Fraction
from secrets import randbelow

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand, matmul
from vsq.golden.model.mapping import gather, plan, scale_base
from vsq.golden.model.pe import Command, ElementModel
from vsq.golden.model.ppu import LaneParams, dequantize, quantize, rescale
from vsq.golden.model.readout import least_offsets
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.stimulus.commands import commands

CONFIGS = [
    "mxfp4:V=4",
    "mxfp6-e2m3:V=2",
    "mxfp6-e3m2:V=2",
    "mxfp8-e4m3:V=2",
    "mxfp8-e5m2:V=2",
    "mxint8:V=3",
    "4/4U/-/e8m0:V=2,window=40",
]


def vectors(config, count, seed):
    """Vectors of all magnitudes: any, and few high bits, whose elements are ties or next to one."""
    rng, bits = np.random.default_rng(seed), config.z_range[1].bit_length()
    z = rng.integers(1 << bits, size=(count, config.mac.vector_size)) >> rng.integers(bits + 1, size=(count, 1))
    z >>= rng.integers(bits, size=z.shape) * (rng.random(z.shape) < 0.3)
    kept = rng.integers(1, config.mac.activation.bits + 3, size=z.shape)
    places = (np.frexp(z)[1] - kept).clip(0)
    few = (z >> places << places) + rng.integers(-1, 2, size=z.shape) * (places > 0)
    z = np.where(rng.random(z.shape) < 0.7, few, z).clip(0, config.z_range[1])
    return z * rng.choice([-1, 1], z.shape) if config.mac.activation.signed else z


def nearest(values, x):
    """The nearest of ascending magnitudes to a fraction, of two the one at an even place."""
    return values[min(range(len(values)), key=lambda place: (abs(values[place] - x), place % 2))]


@pytest.mark.parametrize("text", [text for text in CONFIGS if "mxfp8" not in text])
def test_equals_exact_fractions(text):
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")  # shown on failure
    element, base = config.mac.activation, 90
    values = [value for value in element.values if value >= 0]
    top = element.qmax.bit_length() - 1
    z = vectors(config, 150, seed)
    codes, scales = quantize(config, z, base)
    for vector, got, scale in zip(z.tolist(), codes.tolist(), scales.tolist(), strict=True):
        e = max(map(abs, vector)).bit_length() - 1
        assert scale == (base + e if e >= 0 else 0)
        unit = Fraction(2) ** (e - top)
        assert got == [(-1) ** (v < 0) * nearest(values, abs(v) / unit) for v in vector], vector


@pytest.mark.parametrize("text", CONFIGS)
def test_the_quantizer_makes_the_same_of_these_reals(text):
    """Code for code, with the floor rule of OCP; and codes stand for integers again."""
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")
    quantizer, unit = Quantizer.for_activations(config.mac), int(np.random.default_rng(seed).integers(-80, 80))
    z = vectors(config, 20_000, seed)
    gamma = float(quantizer.quantize(z.astype(np.float32)).gamma.flat[0])
    reals = np.ldexp(z * gamma, unit).astype(np.float32)
    expected = quantizer.quantize(reals)
    base = scale_base(config, unit)
    codes, scales = quantize(config, z, base)
    np.testing.assert_array_equal(scales[:, None], expected.scales)
    np.testing.assert_array_equal(codes[:, None], expected.codes)
    meant = np.ldexp(dequantize(config, codes, scales, base) * gamma, unit)
    np.testing.assert_array_equal(meant, expected.dequantize().astype(np.float64))


def test_a_window_of_a_layer_is_that_of_its_command():
    """Raw, with the least offset and a larger one, and requantized."""
    config = PeConfig.parse("mxfp4:V=4@lanes=8,weight_depth=4,activation_depth=8,reuse=2")
    rng, element = np.random.default_rng(5), config.mac.activation
    weights, rows = (
        BlockOperand(element.sample(rng, (count, 3, 4)), rng.integers(100, 130, (count, 3))) for count in (11, 7)
    )
    least = int(least_offsets(config.mac, weights, rows).max())
    for offset in (None, least, least + 20):
        expected = matmul(config.mac, weights, rows, offset or least)
        streams = plan(config, weights, rows, offset=offset)
        raw = gather(config, ElementModel(config).run(streams), 7, 11)
        assert raw.acc.tolist() == expected.acc.tolist()
        assert raw.inexact.tolist() == expected.inexact.tolist()
        assert not raw.overflow.any()
    assert expected.inexact.any()
    params = LaneParams(rng.integers(1, 4096, 11), rng.integers(0, 9, 11), rng.integers(-99, 99, 11))
    streams = plan(config, weights, rows, params=params, offset=offset, scale_base=77)
    output = gather(config, ElementModel(config).run(streams), 7, 11)
    z = np.pad(rescale(config, expected.acc, params, relu=False), ((0, 0), (0, 1))).reshape(7, 3, 4)
    for got, right in zip((output.codes, output.scales), quantize(config, z, 77), strict=True):
        assert got.tolist() == right.tolist()


def test_random_commands_reach_the_ends():
    config = PeConfig.parse("mxfp4:V=2,window=20@lanes=2,weight_depth=4,activation_depth=16")
    streams, results = commands(config, 80, seed=1)
    raw = [result for result in results if result.acc is not None]
    for flag in ("overflow", "inexact"):
        assert any(getattr(result, flag).any() for result in raw)
    assert any(((result.acc != 0) & ~result.overflow & ~result.inexact).any() for result in raw)
    assert {0, config.scale_base_max} <= {command.scale_base for command in streams.commands}


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("mxfp4@", {"offset": 512}, "offset = 512 does not fit the 9-bit port"),
        ("nvfp4@", {"offset": 1}, "offset = 1: .* has no use for it; leave it out"),
        ("mxfp4@ppu=off", {"scale_base": 1}, "scale_base = 1: .* has no use for it; leave it out"),
        ("mxfp4@", {"scale_base": 232}, "scale_base = 232: scales e8m0 would pass 254; give at most 231"),
    ],
)
def test_bad_commands_are_refused(text, changes, message):
    config = PeConfig.parse(text)
    streams, _ = commands(config, 1, seed=0)
    with pytest.raises(InputError, match=message):
        ElementModel(config).run(replace(streams, commands=[Command(rows=1, vectors=1, **changes)]))


def test_offsets_and_bases_that_cannot_be_are_refused():
    config, one = PeConfig.parse("mxfp4:V=4@"), BlockOperand(np.ones((1, 1, 4), int), np.full((1, 1), 200))
    with pytest.raises(InputError, match="offset = 362: accumulators may pass their 48 bits; give 363 or more"):
        plan(config, one, one, offset=362)
    with pytest.raises(InputError, match="offset = 3: the accumulators of 4/4/4/6:V=4@ are no windows; leave it out"):
        plan(PeConfig.parse("4/4/4/6:V=4@"), one, one, offset=3)
    for unit in (-125, 108):
        with pytest.raises(InputError, match=f"units of 2\\^{unit}: scales e8m0 do not reach them"):
            scale_base(config, unit)
    assert (scale_base(config, -124), scale_base(config, 107)) == (0, 231)
