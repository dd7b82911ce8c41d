"""Post-processing against exact fractions."""

import random
import secrets
from fractions import Fraction
from itertools import product
from math import ceil, floor

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model import pe
from vsq.golden.model.ppu import LaneParams, quantize, rescale
from vsq.golden.stimulus.commands import commands

CONFIGS = [
    "4/4/4/6:V=4",
    "4/4U/4/6:V=4",
    "8/8/-/-:V=4",
    "8/8U/-/-:V=2",
    "2/2/1/3:V=3",
    "2/1U/1/1:V=2",
    "4/8/6/10:V=4",
    "16/16/16/16:V=2@multiplier_bits=32",
    "4/4/4/4:V=4,acc=96",
]


def round_half_up(x):
    return floor(x + Fraction(1, 2))


def exact_z(config, acc, multiplier, shift, bias, relu):
    element, scale = config.mac.activation, config.mac.activation_scale
    most = (2**scale.bits - 1) if scale else 1
    qmax = 2 ** (element.bits - element.signed) - 1
    z = round_half_up(Fraction(acc * multiplier, 2**shift)) + bias
    z = min(max(z, -qmax * most if element.signed else 0), qmax * most)
    return max(z, 0) if relu else z


def exact_vector(config, z):
    element, scale = config.mac.activation, config.mac.activation_scale
    if scale is None:
        return z, None
    qmax = 2 ** (element.bits - element.signed) - 1
    sq = min(2**scale.bits - 1, ceil(Fraction(max(map(abs, z)), qmax)))
    return [min(max(round_half_up(Fraction(v, sq)), -qmax), qmax) if sq else 0 for v in z], sq


def random_case(config, rows, seed):
    rng = np.random.default_rng(seed)
    lanes, half = config.lanes, 1 << (config.mac.acc_bits - 1)
    bits = config.mac.acc_bits + config.multiplier_bits
    params = LaneParams(
        rng.integers(0, 1 << config.multiplier_bits, lanes),
        rng.integers(0, 1 << config.shift_bits, lanes),
        rng.integers(-(1 << (config.bias_bits - 1)), 1 << (config.bias_bits - 1), lanes),
    )
    params.shift[::2] = bits - rng.integers(config.z_range[1].bit_length() + 2, bits, params.shift[::2].shape)
    acc = np.array(
        [
            [int(rng.integers(1 << 60)) * int(rng.integers(1 << 60)) % (2 * half) - half for _ in range(lanes)]
            for _ in range(rows)
        ],
        object,
    )
    acc[0], acc[1], acc[2] = half - 1, -half, 0
    return (acc if config.mac.acc_bits > 63 else acc.astype(np.int64)), params


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("text", CONFIGS)
def test_equals_exact_fractions(text, relu):
    config = PeConfig.parse(text)
    acc, params = random_case(config, 60, seed=3)
    z = rescale(config, acc, params, relu=relu)
    lanes = range(config.lanes)
    columns = [params.multiplier.tolist(), params.shift.tolist(), params.bias.tolist()]
    expected = [[exact_z(config, int(row[i]), *(c[i] for c in columns), relu) for i in lanes] for row in acc]
    assert z.tolist() == expected
    codes, scales = quantize(config, z)
    vectors = [exact_vector(config, row) for row in expected]
    assert codes.tolist() == [q for q, _ in vectors]
    assert (scales is None) == (config.mac.activation_scale is None)
    if scales is not None:
        assert scales.tolist() == [sq for _, sq in vectors]


@pytest.mark.parametrize("text", ["4/4/4/6:V=2", "4/4U/4/4:V=2", "2/2/1/3:V=2", "3/5/3/3:V=2"])
def test_every_z_beside_every_maximum(text):
    """All pairs (m, z) with |z| <= m, hence every scale with every element beside it, by what defines the roundings."""
    config = PeConfig.parse(text)
    low, high = config.z_range
    qmax = config.mac.activation.qmax
    z = np.concatenate([[(m, z) for z in range(max(low, -m), m + 1)] for m in range(high + 1)])
    codes, scales = quantize(config, z)
    most, sq = z[:, 0], scales
    assert np.all(((sq - 1) * qmax < most) & (most <= sq * qmax))
    rest = 2 * (z - codes * sq[:, None])
    assert np.all((-sq[:, None] <= rest) & (rest < sq[:, None]) | (sq[:, None] == 0))
    assert not codes[sq == 0].any()
    assert np.all(np.abs(codes) <= qmax)


def test_saturation_of_z_changes_no_output():
    """Codes and scales of any larger z are those of the z that saturated: sq is at its limit, and q is clipped."""
    config = PeConfig.parse("4/4/4/6:V=2")
    qmax, most = 7, 63
    for z in [(442, 17), (5000, -441), (10**9, -442), (-441, 441)]:
        unlimited = [min(max(round_half_up(Fraction(v, most)), -qmax), qmax) for v in z]
        codes, scales = quantize(config, np.clip(np.array([z]), *config.z_range))
        assert (codes[0].tolist(), scales[0]) == (unlimited, most)


def test_rounding_ties_go_up():
    config = PeConfig.parse("4/4/4/6:V=4")
    params = LaneParams(np.full(4, 1), np.full(4, 1), np.zeros(4, int))
    z = rescale(config, np.array([[3, -3, 1, -1]]), params, relu=False)
    assert z.tolist() == [[2, -1, 1, 0]]
    # m = 14 gives sq = 2: 3/2, -3/2, 1/2 are ties
    codes, scales = quantize(config, np.array([[14, 3, -3, 1]]))
    assert (codes.tolist(), scales.tolist()) == ([[7, 2, -1, 1]], [2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multiplier": np.full(4, 4096)}, r"multiplier\[0\] = 4096"),
        ({"shift": np.array([0, 0, -1, 0])}, r"shift\[2\] = -1"),
        ({"bias": np.full(4, 1024)}, r"bias\[0\] = 1024.*-1024 to 1023"),
        ({"bias": np.zeros(3, int)}, "give one value each"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(change, message):
    values = {name: np.zeros(4, int) for name in ("multiplier", "shift", "bias")} | change
    with pytest.raises(InputError, match=message):
        LaneParams(**values).check(PeConfig.parse("4/4/4/6:V=4"))


@pytest.mark.parametrize("mac", ["4/4U/4/6:V=2", "e2m1/e2m1/e8m0/e8m0:V=2,window=24"])
def test_random_commands_show_partial_products(mac, monkeypatch):
    """Most single bits of the product of accumulator and multiplier cannot be lost unseen; half could, once."""
    config, calls, seed = PeConfig.parse(f"{mac}@lanes=2,weight_depth=4,activation_depth=8"), [], secrets.randbits(32)
    print(f"seed {seed}")

    def noted(config, acc, params, *, relu):
        calls.append((acc.astype(object), params.map(lambda column: column.astype(object)), relu))
        return rescale(config, acc, params, relu=relu)

    streams, results = commands(config, 300, seed)
    monkeypatch.setattr(pe, "rescale", noted)
    assert len(pe.simulate(config, streams)) == len(results)
    bases = [
        command.scale_base
        for command, result in zip(streams.commands, results, strict=True)
        if result.codes is not None
    ]

    def codes(bit, place):
        """Return all codes and scales without the product of two bits."""
        for (acc, params, relu), base in zip(calls, bases, strict=True):
            lost = (acc >> bit & 1) * (params.multiplier >> place & 1) << bit + place
            rounded = acc * params.multiplier - lost + (1 << params.shift >> 1) >> params.shift
            z = np.clip(rounded + params.bias, *config.z_range).astype(np.int64)
            vectors = np.maximum(z, 0 if relu else z).reshape(len(acc), -1, config.mac.vector_size)
            for each in quantize(config, vectors, base):
                yield each.tolist()

    sound = [*codes(0, config.multiplier_bits)]
    assert sound == [
        each.tolist() for result in results if result.codes is not None for each in (result.codes, result.scales)
    ]
    reached = max(int(abs(acc).max()) for acc, _, _ in calls).bit_length()
    pairs = [*product(range(reached - 1), range(config.multiplier_bits))]
    missed = [pair for pair in random.Random(seed).sample(pairs, 60) if [*codes(*pair)] == sound]
    assert len(missed) < 15
