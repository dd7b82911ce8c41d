"""Block floats of post-processing: scales and codes at, below and above every tie, and anywhere between."""

import random
from itertools import pairwise
from secrets import randbelow

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.ppu import quantize
from vsq.hw.pe.encode import FloatDivider, nearest_scale

CONFIGS = [
    "nvfp4:V=2",
    "nvint4:V=2",
    "4/4U/ue4m3/ue4m3:V=2",
    "4/e3m2/-/ue4m3:V=2",
    "4/e4m3/-/ue4m3:V=2",
    "8/8/4/ue4m3:V=2",
    pytest.param("4/e2m1/4/ue5m3:V=2", marks=pytest.mark.slow),
]


def near_ties(values, divisor, most):
    """Numbers at and next to those whose quotient by a divisor is halfway between two values."""
    ties = {divisor * (low + high) // 2 + step for low, high in pairwise(values) for step in (-1, 0, 1, 2)}
    return [number for number in sorted(ties) if 0 <= number <= most]


@pytest.mark.parametrize("text", CONFIGS)
def test_the_scale_is_the_nearest(text):
    """Near each tie, and of each magnitude."""
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")  # shown on failure
    draw, most = random.Random(seed), config.z_range[1]
    element, scale = config.mac.activation, config.mac.activation_scale
    maxima = [*near_ties(scale.values, element.qmax, most), 0, most]
    maxima += [draw.randrange(1 << bits) for bits in range(1, most.bit_length()) for _ in range(5)]
    expected = scale.encode(quantize(config, np.array([[m, 0] for m in maxima]))[1])
    m, value, pattern = Module(), Signal(range(most + 1)), Signal(scale.bits)
    m.d.comb += pattern.eq(nearest_scale(m, value, scale, element.qmax))

    async def bench(ctx):
        for number, right in zip(maxima, expected.tolist(), strict=True):
            ctx.set(value, number)
            assert ctx.get(pattern) == right, number

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("text", CONFIGS)
def test_the_code_is_the_nearest(text):
    """Beside the largest magnitude of each scale, and beside the least: z near the ties of codes, and at both ends."""
    config, seed = PeConfig.parse(text), randbelow(1 << 31)
    print(f"seed {seed}")
    draw = random.Random(seed)
    element, scale = config.mac.activation, config.mac.activation_scale
    magnitudes, vectors = [value for value in element.values if value >= 0], []
    neighbours = list(pairwise(scale.values))
    for sq, after in neighbours if text == CONFIGS[0] else draw.sample(neighbours, 8):
        largest = element.qmax * (sq + after) // 2  # of this scale or of the next one
        near = near_ties(magnitudes, sq, largest)
        vectors += [[largest, z] for z in [*draw.sample(near, min(12, len(near))), largest, 0]]
    vectors += [[config.z_range[1], draw.randint(0, config.z_range[1])] for _ in range(30)]
    z = np.array([[m, draw.choice((-z, z)) if element.signed else z] for m, z in vectors])
    codes, scales = quantize(config, z)
    expected = list(
        zip(z[:, 1].tolist(), scale.encode(scales).tolist(), element.encode(codes[:, 1]).tolist(), strict=True)
    )
    assert len(set(codes[:, 1].tolist())) >= min(len(element.values), 15)
    dut = FloatDivider(config)

    async def drive(ctx):
        ctx.set(dut.i.valid, 1)
        for z, scale, _ in expected:
            number = {"magnitude": abs(z)} | ({"negative": int(z < 0)} if element.signed else {})
            ctx.set(dut.i.payload, {"z": number, "scale": scale, "end": scale & 1})
            await ctx.tick()

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(FloatDivider.latency(config))
        for z, scale, code in expected:
            _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            assert valid
            assert (got.scale, got.end) == (scale, scale & 1)
            negative = element.signed and got.negative
            if element.contiguous:
                assert got.magnitude * (-1) ** negative == element.decode(code), (z, scale)
            else:
                assert got.magnitude | negative << element.bits - 1 == code, (z, scale)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive, background=True)
    sim.add_testbench(check)
    sim.run()
