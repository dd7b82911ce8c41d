"""The arithmetic of post-processing, every input of small configurations."""

import random

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.sim import Simulator

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.ppu import LaneParams, rescale
from vsq.hw.pe.ppu import Rescale
from vsq.hw.pe.recurrence import STEPS_PER_STAGE
from vsq.hw.pe.requantize import Divider, ceil_quotient


@pytest.mark.parametrize(("bits", "most"), [(1, 9), (2, 93), (3, 441), (4, 945), (7, 1905), (8, 765), (3, 7), (5, 30)])
def test_the_scale_is_the_ceiling(bits, most):
    m, value, quotient = Module(), Signal(range(most + 1)), Signal(20)
    m.d.comb += quotient.eq(ceil_quotient(m, value, most, bits))

    async def bench(ctx):
        for number in range(most + 1):
            ctx.set(value, number)
            assert ctx.get(quotient) == -(-number // (2**bits - 1))

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("text", ["4/4/4/5:V=1", "4/4U/4/4:V=1", "2/2/1/3:V=1", "3/5/3/3:V=1", "4/1U/4/3:V=1"])
def test_the_division_is_exact(text):
    """Every z with every scale that it can stand beside; the quotient is checked by what defines its rounding."""
    config = PeConfig.parse(text)
    element, dut = config.mac.activation, Divider(config)
    cases = [
        (z, scale)
        for scale in range(config.scale_max + 1)
        for z in range(-element.qmax * scale if element.signed else 0, element.qmax * scale + 1)
    ]

    async def drive(ctx):
        ctx.set(dut.i.valid, 1)
        for z, scale in cases:
            number = {"magnitude": abs(z)} | ({"negative": int(z < 0)} if element.signed else {})
            ctx.set(dut.i.payload, {"z": number, "scale": scale, "end": scale & 1})
            await ctx.tick()

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        stages = -(-element.qmax.bit_length() // STEPS_PER_STAGE) - 1
        for _ in range(stages):
            await ctx.tick()
        for z, scale in cases:
            _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            code = -got.magnitude if element.signed and got.negative else got.magnitude
            assert valid
            assert (got.scale, got.end) == (scale, scale & 1)
            assert -scale <= 2 * (z - code * scale) < scale or (scale == 0 and code == 0), (z, scale, code)

    m = Module()
    m.submodules.dut, m.domains.sync = dut, ClockDomain("sync")  # without a stage nothing else has a clock
    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(drive, background=True)
    sim.add_testbench(check)
    sim.run()


@pytest.mark.parametrize(
    ("text", "spare"),
    [
        # Bits of the shifted product beyond those of the clamped one.
        ("2/16/-/16:V=1,R=1,style=behavioural@weight_depth=1", -4),
        ("4/4/4/6:V=2,acc=10@weight_depth=2,multiplier_bits=1", -1),
        ("4/4/4/6:V=2,acc=11@weight_depth=2,multiplier_bits=1", 0),
        ("4/4/4/6:V=2,acc=12,style=behavioural@weight_depth=2,multiplier_bits=1", 1),
        ("4/4U/4/4:V=2@multiplier_bits=3", 14),
    ],
)
def test_the_rescaling_is_exact(text, spare):
    """Accumulators, multipliers, shifts and biases at their limits and anywhere between."""
    config, draw = PeConfig.parse(text), random.Random(1)
    bits, half = config.mac.acc_bits, 1 << (config.bias_bits - 1)
    assert bits + config.multiplier_bits + 1 - (config.bias_bits + 2) == spare
    ranges = [
        (-1 << (bits - 1), (1 << (bits - 1)) - 1),
        (0, (1 << config.multiplier_bits) - 1),
        (0, (1 << config.shift_bits) - 1),
        (-half, half - 1),
    ]
    cases = [
        [draw.choice([low, high, max(low, -1), draw.randint(low, high)]) for low, high in ranges] for _ in range(400)
    ]
    dut = Rescale(config)

    async def drive(ctx):
        ctx.set(dut.i.valid, 1)
        for number, (acc, multiplier, shift, bias) in enumerate(cases):
            marks = {"relu": number & 1, "last": 0, "end": 0}
            ctx.set(dut.i.payload, {"acc": acc, "multiplier": multiplier, "shift": shift, "bias": bias, **marks})
            await ctx.tick()

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(2)
        for number, (acc, *params) in enumerate(cases):
            _, _, valid, z = await ctx.tick().sample(dut.o.valid, dut.o.payload.z)
            lane = LaneParams(*np.array(params).reshape(3, 1))
            negative = config.mac.activation.signed and z.negative
            assert valid
            assert (-z.magnitude if negative else z.magnitude) == rescale(
                config, np.array([[acc]]), lane, relu=bool(number & 1)
            ), (acc, *params)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive, background=True)
    sim.add_testbench(check)
    sim.run()
