"""Arithmetic styles: how sums and products are written. A component asks its configuration's style for them."""

from collections.abc import Sequence
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Signal, Value

from golden.config import Arithmetic, MacConfig
from hw.ranges import least_shape
from hw.stages import register


class Style(Protocol):
    """The seam that an arithmetic style fills. All results are exact; callers cut them to proven widths."""

    def dot(self, m: Module, weights: Sequence[Value], activations: Sequence[Value], loads: Sequence[Value]) -> Value:
        """Return sum_j weights[j] * activations[j], with one register stage inside for each enable in ``loads``."""

    def multiply(self, m: Module, a: Value, b: Value, addend: int = 0) -> Value:
        """Return a * b + addend, addend >= 0 a constant."""

    def add(self, m: Module, a: Value, b: Value) -> Value:
        """Return a + b."""


class Behavioural:
    """``*`` and a balanced tree of ``+``: what synthesis tools and FPGAs expect, and fast to simulate."""

    def dot(self, m: Module, weights: Sequence[Value], activations: Sequence[Value], loads: Sequence[Value]) -> Value:
        """Return the dot product as a balanced adder tree.

        Tree level 0 holds the products, level ceil(log2 V) the sum; the n register stages stand after the levels
        ceil(i*levels/(n+1)), i = 1..n, so late that few bits are held, and so early that the halves balance.
        """
        level = [
            product(m, w, a, f"product{lane}") for lane, (w, a) in enumerate(zip(weights, activations, strict=True))
        ]
        depth = (len(level) - 1).bit_length()
        cuts = [-(-i * depth // (len(loads) + 1)) for i in range(1, len(loads) + 1)]
        for index in range(depth + 1):
            for stage, load in enumerate(loads):
                if cuts[stage] == index:
                    level = [register(m, v, load, f"tree{stage}_{lane}") for lane, v in enumerate(level)]
            level = [
                self.add(m, level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)
            ]
        return level[0]

    def multiply(self, m: Module, a: Value, b: Value, addend: int = 0) -> Value:
        """Return ``a * b + addend`` with the operators."""
        exact = product(m, a, b, "exact_product")
        return self.add(m, exact, Const(addend)) if addend else exact

    def add(self, m: Module, a: Value, b: Value) -> Value:
        """Return ``a + b`` with the operator, on operands of one shape (linters ask for it)."""
        is_signed = a.shape().signed or b.shape().signed
        bits = max(len(v) + (is_signed and not v.shape().signed) for v in (a, b))
        return extend(a, bits, is_signed) + extend(b, bits, is_signed)


def product(m: Module, a: Value, b: Value, name: str) -> Signal:
    """Return ``a * b`` as a signal of the least shape; an operand of one unsigned bit adds none."""
    ranges = [
        (0, (1 << len(v)) - 1) if not v.shape().signed else (-1 << (len(v) - 1), (1 << (len(v) - 1)) - 1)
        for v in (a, b)
    ]
    extremes = [x * y for x in ranges[0] for y in ranges[1]]
    result = Signal(least_shape(min(0, *extremes), max(0, *extremes)), name=name)
    m.d.comb += result.eq(a * b)
    return result


def extend(value: Value, bits: int, is_signed: bool) -> Value:
    """Return ``value`` extended to ``bits`` bits; an unsigned one may become signed if it gains a bit."""
    fill = value[-1].replicate(bits - len(value)) if value.shape().signed else Const(0, bits - len(value))
    wide = Cat(value, fill)
    return wide.as_signed() if is_signed else wide


_STYLES: dict[Arithmetic, Style] = {Arithmetic.BEHAVIOURAL: Behavioural()}


def style_of(config: MacConfig) -> Style:
    """Return the style that the configuration names."""
    return _STYLES[config.arithmetic]
