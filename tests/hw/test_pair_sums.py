"""Selection from sums of two activations: exhaustively, its cells, and where it is taken."""

from itertools import product

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.products import select
from vsq.hw.pe.pair_sums import PairSums, shares_sums
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library


def codes(shape):
    return range(-(1 << shape.width - 1), 1 << shape.width - 1) if shape.signed else range(1 << shape.width)


def pair(m, w_shape, a_shape, width):
    """Return weights, activations and their dot product modulo 2^width, by a sum that ``+`` makes."""
    weights, activations = (
        [Signal(shape, name=f"{name}{j}") for j in range(2)] for name, shape in (("w", w_shape), ("a", a_shape))
    )
    total = Signal(Shape(a_shape.width + 1, a_shape.signed))
    m.d.comb += total.eq(activations[0] + activations[1])
    heap = BitHeap(width, f"heap{width}")
    select(heap, weights, activations, total)
    return weights, activations, heap, heap.compress(m)


@pytest.mark.parametrize(
    ("w_shape", "a_shape"),
    [(signed(2), signed(3)), (unsigned(2), signed(2)), (signed(3), unsigned(1)), (unsigned(1), unsigned(1))],
    ids=str,
)
@pytest.mark.parametrize("cut", [False, True])
def test_every_pair(w_shape, a_shape, cut):
    m = Module()
    width = w_shape.width + a_shape.width + (-1 if cut else 3)
    weights, activations, _, total = pair(m, w_shape, a_shape, width)

    async def bench(ctx):
        for values in product(codes(w_shape), codes(w_shape), codes(a_shape), codes(a_shape)):
            for signal, value in zip([*weights, *activations], values, strict=True):
                ctx.set(signal, value)
            await ctx.delay(1e-9)
            assert ctx.get(total) == (values[0] * values[2] + values[1] * values[3]) % (1 << width), values

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_cells_are_found_again():
    """All full adders, and an and-or-invert cell for each selected bit: none is split by an inverter."""
    m, width, pairs = Module(), 14, 2
    heap, ports = BitHeap(width), []
    for number in range(pairs):
        weights = [Signal(signed(4), name=f"w{number}_{j}") for j in range(2)]
        activations = [Signal(signed(8), name=f"a{number}_{j}") for j in range(2)]
        total = Signal(signed(9), name=f"total{number}")
        select(heap, weights, activations, total)
        ports += [*weights, *activations, total]
    m.d.comb += (d := Signal(width, name="d")).eq(heap.compress(m))
    text = rtlil.convert(m, ports=[*ports, d], name="top")
    cells = synthesize(text, "top", Flow(library=Library.load())).modules["top"]
    assert cells["FA"] == heap.full_adders
    assert heap.bits_in == pairs * 4 * 9
    assert cells["AOI222"] >= 0.95 * heap.bits_in  # some of the lowest bits merge with their half adders


@pytest.mark.parametrize("text", ["3/3/-/-:V=5@lanes=5", "3/3U/-/-:V=2,style=behavioural@lanes=2"])
def test_sums_of_neighbours(text):
    config = PeConfig.parse(text)
    dut = PairSums(config.mac)
    activation = config.mac.activation

    async def bench(ctx):
        for first, second in product(range(activation.qmin, activation.qmax + 1), repeat=2):
            values = [first, second, second, second, first][: config.mac.vector_size]
            for port, value in zip(dut.activations, values, strict=True):
                ctx.set(port, value)
            await ctx.delay(1e-9)
            expected = [values[j] + values[j + 1] for j in range(0, len(values) - 1, 2)]
            assert [ctx.get(total) for total in dut.sums] == expected

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("4/8/6/10:R=8", True),
        ("8/8/-/-", True),
        ("8/8/-/-:style=carrysave", True),
        ("8/8U/-/-:V=3@lanes=3", True),
        ("4/4/4/6", False),  # costs energy
        ("8/4/-/-", False),
        ("2/8/-/-", False),
        ("4/6/4/4:V=4@lanes=4", True),
        ("5/16/-/-:V=8", True),
        ("4/8/-/-:style=behavioural", False),
        ("4/e4m3/-/-@ppu=off", False),
        ("4/6U/-/-:V=1@lanes=2", False),  # no two
        ("4/6U/-/-:V=2@lanes=1,ppu=off", False),  # none shares them
    ],
)
def test_sums_are_shared_where_they_pay(text, shared):
    assert shares_sums(PeConfig.parse(text)) == shared
