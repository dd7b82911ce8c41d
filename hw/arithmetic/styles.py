"""Arithmetic styles: how sums and products are written. A component asks its configuration's style for them.

Each of a style's three methods describes its hardware in ``m`` and returns a signal of the shape and name asked for. It
holds the exact result if the shape does, and else the low bits of it.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value

from vsq.golden.contract.config import Arithmetic, MacConfig, Target
from vsq.hw.arithmetic import products
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.decode import Operand
from vsq.hw.mac.pipeline import register
from vsq.hw.mac.shapes import least_shape

Factors = Sequence[tuple[Operand, Operand]]  # weights and activations


class Behavioural:
    """``*`` and a balanced tree of ``+``: what synthesis tools and FPGAs expect, and fast to simulate."""

    def dot(self, m: Module, factors: Factors, loads: Sequence[Value], narrow: bool, shape: Shape, name: str) -> Signal:
        """Return sum_j weights[j] * activations[j], with one register stage inside for each enable in ``loads``.

        ``narrow`` promises that signed operands never have their most negative code.

        Tree level 0 holds the products, level ceil(log2 V) the sum; the n register stages stand after the levels
        ceil(i*levels/(n+1)), i = 1..n, so late that few bits are held, and so early that the halves balance.
        """
        weights = [weight.number(m, f"weight{j}") for j, (weight, _) in enumerate(factors)]
        activations = [activation.number(m, f"activation{j}") for j, (_, activation) in enumerate(factors)]
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
        return _named(m, _sum(a, b), shape, name)


class BitHeaps:
    """One compressor tree for each sum, down to the result's bits: the least area in standard cells."""

    def dot(self, m: Module, factors: Factors, loads: Sequence[Value], narrow: bool, shape: Shape, name: str) -> Signal:
        """Return the dot product as one heap of all partial products, cut into parts of equal depth."""
        heap = BitHeap(shape.width, name)
        for w, a in factors:
            if w.plain and a.plain:
                products.multiply(heap, w.significand, a.significand, narrow)
            else:
                products.multiply_shifted(heap, w, a)
        return _named(m, heap.compress(m, loads), shape, name)

    def multiply(self, m: Module, a: Value, b: Value, addend: int, shape: Shape, name: str) -> Signal:
        """Return the product and the constant from one heap."""
        heap = BitHeap(shape.width, name)
        products.multiply(heap, a, b)
        heap.add_constant(addend)
        return _named(m, heap.compress(m), shape, name)

    def add(self, m: Module, a: Value, b: Value, shape: Shape, name: str) -> Signal:
        """Return the sum as a ripple of full adders; a constant is folded into them."""
        heap = BitHeap(shape.width, name)
        for value in (a, b):
            if isinstance(value, Const):
                heap.add_constant(value.value)
            else:
                heap.add(value)
        return _named(m, heap.compress(m), shape, name)


def _named(m: Module, value: Value, shape: Shape, name: str) -> Signal:
    signal = Signal(shape, name=name)
    m.d.comb += signal.eq(value)
    return signal


def _product_shape(a: Value, b: Value) -> Shape:
    """Return the least shape of ``a * b``; an operand of one unsigned bit adds none."""
    ranges = [
        (-1 << (len(v) - 1), (1 << (len(v) - 1)) - 1) if v.shape().signed else (0, (1 << len(v)) - 1) for v in (a, b)
    ]
    extremes = [x * y for x in ranges[0] for y in ranges[1]]
    return least_shape(min(0, *extremes), max(0, *extremes))


def _sum(a: Value, b: Value) -> Value:
    """Return ``a + b`` on operands of one shape, as linters ask for it."""
    signed = a.shape().signed or b.shape().signed
    bits = max(len(v) + (signed and not v.shape().signed) for v in (a, b))
    a, b = (Cat(v, v[-1].replicate(bits - len(v)) if v.shape().signed else Const(0, bits - len(v))) for v in (a, b))
    return a.as_signed() + b.as_signed() if signed else a + b


Style = Behavioural | BitHeaps
_STYLES: dict[Arithmetic, Style] = {Arithmetic.BEHAVIOURAL: Behavioural(), Arithmetic.BITHEAP: BitHeaps()}
_AUTO = {Target.ASIC: Arithmetic.BITHEAP, Target.FPGA: Arithmetic.BEHAVIOURAL}


def style_of(config: MacConfig) -> Style:
    """Return the style that the configuration names, or that suits its target."""
    return _STYLES[_AUTO[config.target] if config.arithmetic == Arithmetic.AUTO else config.arithmetic]
