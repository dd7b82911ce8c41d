"""Bit heaps, of full adders and of carry chains, in Amaranth's own simulator, against Python integers."""

import random
from itertools import pairwise, product

import pytest
from amaranth.hdl import Const, Fragment, Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.carrysave import CarrySaveHeap
from vsq.hw.arithmetic.chains import ChainHeap
from vsq.hw.arithmetic.products import multiply


def simulate(m, inputs, output, stimulus, enables=()):
    """Values of ``output`` for each row of ``stimulus``, as many ticks after it as there are enables."""
    simulator = Simulator(m)
    if enables:
        simulator.add_clock(1e-6)
    results = []

    async def bench(ctx):
        for row in stimulus:
            for signal, value in zip(inputs, row, strict=True):
                ctx.set(signal, value)
            if enables:
                await ctx.tick().repeat(len(enables))
            else:
                await ctx.delay(1e-9)
            results.append(ctx.get(output))

    simulator.add_testbench(bench)
    simulator.run()
    return results


def codes(shape):
    return range(*((-(1 << shape.width - 1), 1 << shape.width - 1) if shape.signed else (0, 1 << shape.width)))


def exact_width(shapes, vector_size):
    """Bits of the sum of ``vector_size`` products, from its extremes."""
    extremes = [x * y * vector_size for x, y in product(*((codes(s)[0], codes(s)[-1]) for s in shapes))]
    low, high = min(0, *extremes), max(extremes)
    return max((-low - 1).bit_length(), high.bit_length()) + 1 if low else high.bit_length()


def dot(w_shape, a_shape, vector_size, enables=(), heap_class=BitHeap):
    """Module, inputs, output and heap of a dot product."""
    m = Module()
    w = [Signal(w_shape, name=f"w{i}") for i in range(vector_size)]
    a = [Signal(a_shape, name=f"a{i}") for i in range(vector_size)]
    heap = heap_class(exact_width((w_shape, a_shape), vector_size))
    for x, y in zip(w, a, strict=True):
        multiply(heap, x, y)
    d = Signal(Shape(heap.width, w_shape.signed or a_shape.signed))
    m.d.comb += d.eq(heap.compress(m, enables))
    return m, [*w, *a], d, heap


heaps = pytest.mark.parametrize("heap_class", [BitHeap, CarrySaveHeap, ChainHeap])


@heaps
@pytest.mark.parametrize(
    ("w_shape", "a_shape"), [(signed(3), signed(3)), (signed(3), unsigned(2)), (unsigned(2), unsigned(3))], ids=str
)
def test_dot_product_exhaustively(w_shape, a_shape, heap_class):
    m, inputs, d, _ = dot(w_shape, a_shape, 2, heap_class=heap_class)
    rows = list(product(codes(w_shape), codes(w_shape), codes(a_shape), codes(a_shape)))
    assert simulate(m, inputs, d, rows) == [w0 * a0 + w1 * a1 for w0, w1, a0, a1 in rows]


@heaps
@pytest.mark.parametrize(
    "shapes", [(signed(8), signed(8)), (signed(4), unsigned(7)), (unsigned(1), unsigned(1))], ids=str
)
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_registers_cut_the_tree(shapes, stages, heap_class):
    rng = random.Random(stages)
    m, inputs, d, _ = dot(*shapes, 3, [Const(1)] * stages, heap_class)
    rows = [[rng.choice(codes(shape)) for shape in shapes for _ in range(3)] for _ in range(20)]
    expected = [sum(w * a for w, a in zip(row[:3], row[3:], strict=True)) for row in rows]
    assert simulate(m, inputs, d, rows, [1] * stages) == expected


def test_enable_holds_the_cut():
    enable = Signal()
    m, inputs, d, _ = dot(signed(4), signed(4), 2, [enable])
    rows = [[3, 5, -7, 2, 1], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert simulate(m, [*inputs, enable], d, rows, [1]) == [-11, -11, 2]


@heaps
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_heaps_equal_integers(heap_class, data):
    width = data.draw(st.integers(1, 20))
    shapes = st.builds(Shape, st.integers(1, 6), st.booleans())
    terms = data.draw(st.lists(st.tuples(shapes, st.integers(0, 8)), max_size=4))
    factors = data.draw(st.lists(st.tuples(shapes, shapes), max_size=3))
    constants = data.draw(st.lists(st.integers(-(1 << 22), 1 << 22), max_size=3))
    signals = [
        Signal(shape, name=f"x{i}") for i, shape in enumerate([s for s, _ in terms] + [s for p in factors for s in p])
    ]
    rows = [[data.draw(st.sampled_from(codes(signal.shape()))) for signal in signals] for _ in range(4)]

    m, heap = Module(), heap_class(width)
    for (_, shift), signal in zip(terms, signals, strict=False):
        heap.add(signal, shift)
    pairs = signals[len(terms) :]
    for x, y in zip(pairs[::2], pairs[1::2], strict=True):
        multiply(heap, x, y)
    for constant in constants:
        heap.add_constant(constant)
    total = heap.compress(m)

    expected = []
    for row in rows:
        pairs = row[len(terms) :]
        value = sum(constants) + sum(v << shift for (_, shift), v in zip(terms, row, strict=False))
        expected.append((value + sum(x * y for x, y in zip(pairs[::2], pairs[1::2], strict=True))) % (1 << width))
    assert simulate(m, signals, total, rows) == expected


def counted(w_bits, a_bits, vector_size):
    """Heap of a signed dot product, for its counts alone."""
    m, _, _, heap = dot(signed(w_bits), signed(a_bits), vector_size)
    Fragment.get(m, None)
    return heap


@pytest.mark.parametrize("bits", [(3, 3), (4, 4), (6, 6), (8, 8), (4, 8)], ids=str)
@pytest.mark.parametrize("vector_size", [8, 16, 32, 64])
def test_signed_dot_products_use_the_fewest_full_adders(bits, vector_size):
    heap = counted(*bits, vector_size)
    assert heap.full_adders == heap.lower_bound
    # Fewer than any tree over all partial products, one for each pair of bits.
    assert heap.full_adders < bits[0] * bits[1] * vector_size - heap.width
    assert heap.half_adders <= heap.width


@pytest.mark.parametrize("bits", [(4, 4), (8, 8), (4, 8)], ids=str)
@pytest.mark.parametrize("vector_size", [8, 16, 64])
def test_an_adder_of_words_makes_sums_earlier_with_as_few_full_adders(bits, vector_size):
    m, _, _, heap = dot(signed(bits[0]), signed(bits[1]), vector_size, heap_class=CarrySaveHeap)
    Fragment.get(m, None)
    assert heap.full_adders == heap.lower_bound
    assert heap.depth < counted(*bits, vector_size).depth


def test_sums_of_few_bits_have_no_adder_of_words():
    m, heap = Module(), CarrySaveHeap(3)
    for name in "abcd":
        heap.add(Signal(name=name))
    columns = heap.columns(m)
    Fragment.get(m, None)
    assert heap.plan(columns).second == {}


def test_cost_grows_linearly():
    counts = [counted(4, 4, v).full_adders for v in (16, 32, 64, 128)]
    slopes = [(b - a) / v for (a, b), v in zip(pairwise(counts), (16, 32, 64), strict=True)]
    assert max(slopes) - min(slopes) < 0.1


@pytest.mark.parametrize(("bits", "least", "most", "depth"), [((4, 4), 228, 290, 6), ((8, 8), 940, 1130, 7)], ids=str)
def test_chains_waste_few_positions(bits, least, most, depth):
    m, _, _, heap = dot(signed(bits[0]), signed(bits[1]), 16, heap_class=ChainHeap)
    Fragment.get(m, None)
    assert least <= heap.bits_in - heap.width <= heap.positions <= most
    assert heap.depth == depth
