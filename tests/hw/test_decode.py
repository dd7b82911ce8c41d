"""Every bit pattern of every pair of formats through a dot product."""

from itertools import product

import numpy as np
import pytest
from amaranth.sim import Simulator

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.elements import NAMED, Minifloat, element_format
from vsq.hw.arithmetic.decode import decoder
from vsq.hw.mac.datapath import DotProduct

SMALL = ["e2m1", "e2m3", "e3m2"]  # floats of up to 6 bits; ``tests/tb/test_floats.py`` has the others
INTEGERS = ["1U", "3U", "2", "4"]
PAIRS = [
    *(pair for name in SMALL for pair in [*product([name], INTEGERS), *product(INTEGERS, [name])]),
    *(pytest.param(pair, marks=[pytest.mark.slow] * ("e2m1" not in pair)) for pair in product(SMALL, repeat=2)),
]


@pytest.mark.parametrize(
    "options",
    ["style=behavioural", "style=bitheap", "style=carrysave", "style=bitheap,narrow=1", "overflow=wrap,acc=5"],
)
@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_every_pattern(pair, options):
    """The second lane's product is large, so that the result has bits above those of the first one."""
    if not {*pair} & {*INTEGERS}:
        options = options.removesuffix(",narrow=1")  # which is for integers
    config = MacConfig.parse(f"{'/'.join(pair)}/-/-:V=2,pipeline=0,{options}")
    dut = DotProduct(config)
    formats = config.weight, config.activation
    patterns = [[p for p in range(1 << fmt.bits) if p not in fmt.unused] for fmt in formats]
    values = [fmt.decode(np.arange(1 << fmt.bits)).tolist() for fmt in formats]
    modulus = 1 << len(dut.d)

    async def bench(ctx):
        for w, a in product(*patterns):
            for port, fmt, pattern in ((dut.weights, config.weight, w), (dut.activations, config.activation, a)):
                ctx.set(port.as_value(), pattern | int(fmt.encode(fmt.max)) << fmt.bits)
            await ctx.delay(1e-9)
            exact = values[0][w] * values[1][a] + config.weight.max * config.activation.max
            assert (ctx.get(dut.d) - exact) % modulus == 0, (w, a)
            assert config.accumulator_bits or ctx.get(dut.d) == exact

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    "fmt",
    [*map(element_format, [*INTEGERS, "16", *NAMED]), Minifloat(exponent_bits=4, mantissa_bits=1, bias=7)],
    ids=str,
)
def test_ranges_are_the_golden_ones(fmt):
    for narrow in (False, True):
        promised = fmt.with_narrow(narrow)
        assert decoder(promised).range() == (promised.values[0], promised.values[-1])
    assert decoder(fmt).shape().width == fmt.bits
