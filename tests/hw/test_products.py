"""Each way to form partial products, exhaustively, and the choice between them."""

from itertools import product

import pytest
from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from vsq.hw.arithmetic import products, styles
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.chains import ChainHeap

SHAPES = [signed(2), signed(3), signed(4), unsigned(1), unsigned(3), unsigned(4)]


def codes(shape, narrow=False):
    return range(-(1 << shape.width - 1) + narrow, 1 << shape.width - 1) if shape.signed else range(1 << shape.width)


def check_products(way, a_shape, b_shape, narrow=False):
    """Compare every product with Python's, modulo a width that cuts nothing and one that does."""
    m = Module()
    a, b = Signal(a_shape), Signal(b_shape)
    sums = []
    for width in (a_shape.width + b_shape.width + 2, a_shape.width + b_shape.width - 1):
        heap = BitHeap(width, f"heap{width}")
        way(heap, a, b)
        sums.append((width, heap.compress(m)))
    simulator = Simulator(m)

    async def bench(ctx):
        for x, y in product(codes(a_shape, narrow), codes(b_shape, narrow)):
            ctx.set(a, x)
            ctx.set(b, y)
            await ctx.delay(1e-9)
            for width, total in sums:
                assert ctx.get(total) == x * y % (1 << width), (x, y, width)

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("way", [products.array, products.booth, products.tables])
@pytest.mark.parametrize("shapes", list(product(SHAPES, SHAPES)), ids=str)
def test_every_product(way, shapes):
    check_products(way, *shapes)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shape", [signed(3), signed(4), unsigned(3)], ids=str)
def test_every_product_with_a_recoded_factor(shape, bits):
    m, style = Module(), styles.RecodedChains(ChainHeap)
    a, b = Signal(shape), Signal(unsigned(bits))
    recoded = style.recode(m, b, "recoded")
    assert len(recoded) == bits + (bits > 2)
    exact, cut = (style.scale(m, a, recoded, Shape(shape.width + bits + extra, shape.signed), "t") for extra in (2, -1))
    simulator = Simulator(m)

    async def bench(ctx):
        for x, y in product(codes(shape), codes(unsigned(bits))):
            ctx.set(a, x)
            ctx.set(b, y)
            await ctx.delay(1e-9)
            assert ctx.get(exact) == x * y, (x, y)
            assert (ctx.get(cut) - x * y) % (1 << len(cut)) == 0, (x, y)

    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("shapes", [(signed(2), signed(3)), (signed(4), signed(4)), (signed(3), signed(5))], ids=str)
def test_every_narrow_product_by_sign_and_magnitude(shapes):
    check_products(products.sign_magnitude, *shapes, narrow=True)


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "narrow", "bits"),
    [
        (signed(4), signed(4), False, 15),  # array: one bit less than 4*4, by the corner
        (signed(4), signed(4), True, 12),  # magnitude of 3 bits times 4
        (signed(4), signed(8), False, 20),  # Booth: two digits of the shorter operand, ten bits each
        (signed(8), signed(4), False, 20),
        (signed(8), signed(8), False, 40),
        (unsigned(4), unsigned(4), False, 16),
        (signed(4), Shape(4, False), True, 16),
    ],
)
def test_the_smallest_way_is_chosen(a_shape, b_shape, narrow, bits):
    heap = BitHeap(32)  # only filled, so no module is needed
    products.multiply(heap, Signal(a_shape), Signal(b_shape), narrow)
    assert heap.bits_in == bits
