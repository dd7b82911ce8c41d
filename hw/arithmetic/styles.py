"""Arithmetic styles: how sums and products are written. A component asks its configuration's style for them.

Each of a style's methods describes its hardware in ``m`` and returns a signal of the shape and name asked for. It
holds the exact result if the shape does, and else the low bits of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned

from vsq.golden.contract.config import Arithmetic, Dsp, MacConfig, Target
from vsq.hw.arithmetic import floats, products
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.carrysave import CarrySaveHeap
from vsq.hw.arithmetic.ccu2c import CellHeap
from vsq.hw.arithmetic.chains import ChainHeap
from vsq.hw.arithmetic.decode import Operand
from vsq.hw.mac.pipeline import register
from vsq.hw.mac.shapes import least_shape

_BLOCK = 18  # bits of a signed factor that the DSP blocks of all families take
_LEAST_RECODED = 3  # bits of a factor, from which on rows of digits take fewer tables than products of two by two bits

Factors = Sequence[tuple[Operand, Operand]]  # weights and activations


class _Binary(ABC):
    """Factors are multiplied as they are."""

    def recode(self, m: Module, factor: Value, name: str) -> Value:
        """Return an unsigned factor, which is known early, in the form in which :meth:`scale` takes it."""
        return factor

    def scale(self, m: Module, a: Value, factor: Value, shape: Shape, name: str) -> Signal:
        """Return a times what was recoded to ``factor``."""
        return self.multiply(m, a, factor, 0, shape, name)

    @abstractmethod
    def multiply(self, m: Module, a: Value, b: Value, addend: int, shape: Shape, name: str) -> Signal:
        """Return a * b + addend, addend >= 0 a constant."""


class Behavioural(_Binary):
    """``*`` and a balanced tree of ``+``: what synthesis tools and FPGAs expect, and fast to simulate."""

    def dot(
        self,
        m: Module,
        factors: Factors,
        sums: Sequence[Value],
        loads: Sequence[Value],
        narrow: bool,
        shape: Shape,
        name: str,
    ) -> Signal:
        """Return sum_j weights[j] * activations[j], with one register stage inside for each enable in ``loads``.

        ``sums`` are the first activations[2j] + activations[2j+1], as many as there are for other use too; this style
        has none itself. ``narrow`` promises that signed operands never have their most negative code.

        Tree level 0 holds the products, level ceil(log2 V) the sum; the n register stages stand after the levels
        ceil(i*levels/(n+1)), i = 1..n, so late that few bits are held, and so early that the halves balance.
        """
        weights, activations = _numbers(m, factors, shape.width)
        level: list[Value] = [
            self.multiply(m, w, a, 0, _product_shape(w, a), f"product{j}")
            for j, (w, a) in enumerate(zip(weights, activations, strict=True))
        ]
        depth = (len(level) - 1).bit_length()
        cuts = [-(-i * depth // (len(loads) + 1)) for i in range(1, len(loads) + 1)]
        for index in range(depth + 1):
            for stage, load in enumerate(loads):
                if cuts[stage] == index:
                    level = [register(m, v, load, f"tree{stage}_{element}") for element, v in enumerate(level)]
            level = [_sum(level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
        return _named(m, level[0], shape, name)

    def multiply(self, m: Module, a: Value, b: Value, addend: int, shape: Shape, name: str) -> Signal:
        """Return a * b + addend, addend >= 0 a constant."""
        if addend:
            product = _named(m, a * b, _product_shape(a, b), f"{name}_exact")
            return self.add(m, product, Const(addend), shape, name)
        return _named(m, a * b, shape, name)

    def add(self, m: Module, a: Value, b: Value, shape: Shape, name: str) -> Signal:
        """Return a + b."""
        return self.sum(m, [a, b], shape, name)

    def sum(self, m: Module, values: Sequence[Value], shape: Shape, name: str) -> Signal:
        """Return the sum of values, of which some may be constants."""
        return _named(m, reduce(_sum, values), shape, name)


class _Heaps(_Binary):
    """One heap for each sum of products."""

    heap: type[BitHeap]

    def dot(
        self,
        m: Module,
        factors: Factors,
        sums: Sequence[Value],
        loads: Sequence[Value],
        narrow: bool,
        shape: Shape,
        name: str,
    ) -> Signal:
        """Return the dot product as one heap of all partial products, cut into parts of equal depth.

        Factors with a sum, which are plain, enter in pairs, the others one by one.
        """
        heap = self.heap(shape.width, name)
        for j, total in enumerate(sums):
            weights, activations = zip(*factors[2 * j : 2 * j + 2], strict=True)
            products.select(heap, [w.significand for w in weights], [a.significand for a in activations], total)
        for j, (w, a) in enumerate(factors[2 * len(sums) :], 2 * len(sums)):
            if w.plain and a.plain:
                products.multiply(heap, w.significand, a.significand, narrow)
            else:
                floats.multiply(m, heap, w, a, narrow, f"{name}{j}")
        return _named(m, heap.compress(m, loads), shape, name)

    def multiply(self, m: Module, a: Value, b: Value, addend: int, shape: Shape, name: str) -> Signal:
        """Return the product and the constant from one heap."""
        heap = self.heap(shape.width, name)
        products.multiply(heap, a, b)
        heap.add_constant(addend)
        return _named(m, heap.compress(m), shape, name)

    def add(self, m: Module, a: Value, b: Value, shape: Shape, name: str) -> Signal:
        """Return a + b."""
        return self.sum(m, [a, b], shape, name)

    def sum(self, m: Module, values: Sequence[Value], shape: Shape, name: str) -> Signal:
        """Return the sum from one heap; constants are folded into it."""
        heap = self.heap(shape.width, name)
        for value in values:
            if isinstance(value, Const):
                heap.add_constant(value.value)
            else:
                heap.add(value)
        return _named(m, heap.compress(m), shape, name)


class BitHeaps(_Heaps):
    """Compressor trees down to the result's bits, and ripples of full adders: the least area in standard cells."""

    heap = BitHeap


class CarrySave(BitHeaps):
    """Compressor trees down to two words, which ``+`` adds: less delay, and hardly more area."""

    heap = CarrySaveHeap


class CarryChains(_Heaps):
    """Heaps that carry chains reduce: the least area in lookup tables."""

    def __init__(self, heap: type[ChainHeap]):
        self.heap = heap

    def sum(self, m: Module, values: Sequence[Value], shape: Shape, name: str) -> Signal:
        """Return the sum of values, of which some may be constants, a chain for each but the first."""
        return _named(m, reduce(_sum, values), shape, name)


class RecodedChains(CarryChains):
    """Carry chains, whose products with a factor that is known early are rows of its digits."""

    def recode(self, m: Module, factor: Value, name: str) -> Value:
        """Return the sum with 0..0101b, whose pairs of bits less 1 are digits -1, 0, 1 and 2 of the factor.

        A product has half as many rows of them as the factor has bits, and each bit of a row is one table.
        """
        if len(factor) < _LEAST_RECODED:
            return factor
        ones = sum(1 << bit for bit in range(0, len(factor), 2))
        return self.add(m, factor, Const(ones, len(factor)), unsigned(len(factor) + 1), name)

    def scale(self, m: Module, a: Value, factor: Value, shape: Shape, name: str) -> Signal:
        """Return the product from one heap of rows."""
        if len(factor) <= _LEAST_RECODED:
            return super().scale(m, a, factor, shape, name)
        heap = self.heap(shape.width, name)
        products.digit_rows(heap, a, factor)
        return _named(m, heap.compress(m), shape, name)


class ChainsAndBlocks(CarryChains):
    """Carry chains for the dot product; the products of scales are left to DSP blocks."""

    def multiply(self, m: Module, a: Value, b: Value, addend: int, shape: Shape, name: str) -> Signal:
        """Return a * b + addend as an operator."""
        return Behavioural().multiply(m, a, b, addend, shape, name)


class Blocks(ChainsAndBlocks):
    """DSP blocks for all products, two in one where they fit, and carry chains for the sum of dot products."""

    def dot(
        self,
        m: Module,
        factors: Factors,
        sums: Sequence[Value],
        loads: Sequence[Value],
        narrow: bool,
        shape: Shape,
        name: str,
    ) -> Signal:
        """Return the dot product as one heap of products.

        Two products are the middle of one of n bits each, where n bits hold their sum:
        (w + v * 2^n) * (b + a * 2^n) = w*b + (w*a + v*b) * 2^n + v*a * 2^2n. What w*b < 0 borrows from it, bit n-1
        gives back.
        """
        heap = self.heap(shape.width, name)
        weights, activations = _numbers(m, factors, shape.width)
        shapes = [_product_shape(w, a) for w, a in zip(weights, activations, strict=True)]
        place = 1 + max(product.width + (not product.signed) for product in shapes)
        fit = place + max(map(len, (*weights, *activations))) < _BLOCK
        for j in range(0, len(factors), 1 + fit):
            if not fit or j + 1 == len(factors):
                heap.add(self.multiply(m, weights[j], activations[j], 0, shapes[j], f"product{j}"))
                continue
            pair = _joined(m, weights[j], weights[j + 1], place, f"weights{j}")
            crossed = _joined(m, activations[j + 1], activations[j], place, f"activations{j}")
            both = _named(m, pair * crossed, signed(2 * place), f"products{j}")
            heap.add(both[place:].as_signed())
            heap.add(both[place - 1])
        return _named(m, heap.compress(m, loads), shape, name)


def _numbers(m: Module, factors: Factors, bits: int) -> list[list[Value]]:
    """Return weights and activations as numbers, or the low bits of those that have more: sums need no others."""
    numbers = [
        [operand.number(m, f"{side}{j}") for j, operand in enumerate(operands)]
        for side, operands in zip(("weight", "activation"), zip(*factors, strict=True), strict=True)
    ]
    return [[number[:bits] if len(number) > bits else number for number in side] for side in numbers]


def _named(m: Module, value: Value, shape: Shape, name: str) -> Signal:
    signal = Signal(shape, name=name)
    m.d.comb += signal.eq(value)
    return signal


def _joined(m: Module, low: Value, high: Value, place: int, name: str) -> Signal:
    """Return ``low + high * 2^place``, signed."""
    shifted = Cat(Const(0, place), high)
    shape = signed(max(len(low), len(shifted)) + 1)
    return _named(m, _sum(low, shifted.as_signed() if high.shape().signed else shifted), shape, name)


def _product_shape(a: Value, b: Value) -> Shape:
    """Return the least shape of ``a * b``; an operand of one unsigned bit adds none."""
    ranges = [
        (-1 << (len(v) - 1), (1 << (len(v) - 1)) - 1) if v.shape().signed else (0, (1 << len(v)) - 1) for v in (a, b)
    ]
    extremes = [x * y for x in ranges[0] for y in ranges[1]]
    return least_shape(min(0, *extremes), max(0, *extremes))


def _sum(a: Value, b: Value) -> Value:
    """Return ``a + b`` on operands of one shape, as linters ask for it."""
    any_signed = a.shape().signed or b.shape().signed
    bits = max(len(v) + (any_signed and not v.shape().signed) for v in (a, b))
    a, b = (Cat(v, v[-1].replicate(bits - len(v)) if v.shape().signed else Const(0, bits - len(v))) for v in (a, b))
    return a.as_signed() + b.as_signed() if any_signed else a + b


Style = Behavioural | BitHeaps | CarryChains
_STYLES: dict[Arithmetic, Style] = {
    Arithmetic.BEHAVIOURAL: Behavioural(),
    Arithmetic.BITHEAP: BitHeaps(),
    Arithmetic.CARRYSAVE: CarrySave(),
}
_LUT: dict[Dsp, Style] = {
    Dsp.NONE: RecodedChains(ChainHeap),
    Dsp.SCALES: ChainsAndBlocks(ChainHeap),
    Dsp.ALL: Blocks(ChainHeap),
}
_ECP5: dict[Dsp, Style] = {
    Dsp.NONE: CarryChains(CellHeap),
    Dsp.SCALES: ChainsAndBlocks(CellHeap),
    Dsp.ALL: Blocks(CellHeap),
}


def style_of(config: MacConfig) -> Style:
    """Return the style of a configuration."""
    if config.style != Arithmetic.LUT:
        return _STYLES[config.style]
    return (_ECP5 if config.target == Target.ECP5 else _LUT)[config.dsp]
