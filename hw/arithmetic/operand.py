"""The factors of a dot product, as hardware multiplies them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed


@dataclass(frozen=True)
class Operand:
    """The number ``(-1)^negative * significand * 2^i``, with ``shifts[i]`` high.

    Args:
        significand: As signed as its shape.
        negative: One bit; None for a number without a sign of its own.
        shifts: One bit each, of which one is high; none for a number without exponent.
    """

    significand: Value
    negative: Value | None = None
    shifts: Sequence[Value] = ()

    @property
    def plain(self) -> bool:
        """Whether the significand is the number."""
        return self.negative is None and not self.shifts

    def number(self, m: Module, name: str) -> Value:
        """Return the number as one value; an unsigned significand with a sign is assumed."""
        if self.plain:
            return self.significand
        magnitude = shifted(self.significand, self.shifts)
        number = Signal(signed(len(magnitude) + 1), name=name)
        m.d.comb += number.eq(Mux(self.negative, -magnitude, magnitude))
        return number


def shifted(value: Value, shifts: Sequence[Value]) -> Value:
    """Return ``value * 2^i``, with ``shifts[i]`` high, in so many bits as the last shift needs."""
    if not shifts:
        return value
    width, sign = len(value) + len(shifts) - 1, value.shape().signed
    columns: list[list[Value]] = [[] for _ in range(width)]
    for shift, chosen in enumerate(shifts):
        for index in range(width - shift if sign else len(value)):
            columns[shift + index].append(chosen & value[min(index, len(value) - 1)])
    bits = Cat(reduce(or_, terms) for terms in columns)
    return bits.as_signed() if sign else bits


def product_shifts(a: Sequence[Value], b: Sequence[Value]) -> Sequence[Value]:
    """Return the shifts of a product: one is high for the sum of the factors' shifts."""
    if not a or not b:
        return a or b
    sums: list[list[Value]] = [[] for _ in range(len(a) + len(b) - 1)]
    for (i, x), (j, y) in product(enumerate(a), enumerate(b)):
        sums[i + j].append(x & y)
    return [reduce(or_, terms) for terms in sums]
