"""Scales in hardware: every pattern of a decoder, every shift, and every pair of scales through a whole MAC."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Signal, signed, unsigned
from amaranth.sim import Simulator

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.elements import IntFormat, Minifloat
from vsq.golden.formats.scales import NAMED
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import Beats
from vsq.hw.arithmetic.blocks import add_in_blocks
from vsq.hw.arithmetic.shift import shift_left
from vsq.hw.arithmetic.styles import BitHeaps
from vsq.hw.mac.scales import scale_decoder
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import play

SMALL = Minifloat(exponent_bits=2, mantissa_bits=1, bias=1, signed=False)


def outputs(m, signals, rows):
    """Return the values of the first signal, of which the others are inputs with the values of a row."""
    first, *inputs = signals
    seen = []

    async def bench(ctx):
        for row in rows:
            for signal, value in zip(inputs, row, strict=True):
                ctx.set(signal, value)
            await ctx.delay(1e-9)
            seen.append(ctx.get(first))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


@pytest.mark.parametrize("fmt", [NAMED["ue4m3"], NAMED["ue5m3"], SMALL, IntFormat(bits=3, signed=False)], ids=str)
def test_every_pattern(fmt):
    m, decoder = Module(), scale_decoder(fmt)
    pattern = Signal(decoder.shape())
    assert len(pattern) == fmt.bits
    significand, exponent = decoder.parts(m, pattern, "scale")
    exponent = Const(0) if exponent is None else exponent
    result = Signal(40)
    m.d.comb += result.eq(significand << exponent)
    patterns = [each for each in range(1 << fmt.bits) if each not in fmt.unused]
    shifted = outputs(m, (result, pattern), [(each,) for each in patterns])
    assert [value >> decoder.bias for value in shifted] == fmt.decode(np.array(patterns)).tolist()
    assert all(value % (1 << decoder.bias) == 0 for value in shifted)
    parts = [fmt.split(value) for value in fmt.values]
    assert decoder.significand_max == max(part for part, _ in parts)
    assert (decoder.top, decoder.exponent_max - decoder.bias) == fmt.split(fmt.max)


@pytest.mark.parametrize(("low", "width"), [(0, 12), (2, 8), (1, 4), (0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("shape", [signed(3), unsigned(3)])
def test_every_shift(shape, low, width):
    m = Module()
    value, places, result = Signal(shape), Signal(3), Signal(width)
    m.d.comb += result.eq(shift_left(m, value, places, low, unsigned(width), "by"))
    rows = [*product(range(-4, 4) if shape.signed else range(8), range(8))]
    expected = [(value << places >> low) % (1 << width) for value, places in rows]
    assert outputs(m, (result, value, places), rows) == expected


@pytest.mark.parametrize(("widths", "width", "most"), [((4, 3), 5, 2), ((5, 2), 5, 2), ((4, 4), 5, 5), ((3, 3), 7, 3)])
def test_every_sum_in_blocks(widths, width, most):
    m = Module()
    a, b, result = *(Signal(signed(bits)) for bits in widths), Signal(width)
    m.d.comb += result.eq(add_in_blocks(m, BitHeaps(), a, b, width, most, "sum"))
    rows = [*product(*(range(-1 << (bits - 1), 1 << (bits - 1)) for bits in widths))]
    assert outputs(m, (result, a, b), rows) == [(x + y) % (1 << width) for x, y in rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["1U/1U/ue4m3/ue4m3:V=1", "1U/1U/ue5m3/ue5m3:V=1", "1U/2/ue4m3/ue4m3:V=1,R=4,pipeline=3", "1U/1U/ue4m3/4:V=1,R=5"],
)
def test_every_pair_of_scales(text):
    config = MacConfig.parse(text)
    sw, sa = np.array([*product(*(fmt.values for fmt in config.scales))]).T
    ones, marks = np.ones((len(sw), 1), np.int64), np.ones(len(sw), np.bool_)
    beats = Beats(ones, ones, sw, sa, marks, marks)
    assert mac(config, **vars(beats)).acc.max() == config.scale_factor_max
    assert play(config, MacInterface(config).streams(beats)).board.results == len(sw)
