"""Elements in hardware: shape, range and meaning of their bit patterns.

All of this follows from the formats' definitions and not from the values that the golden side lists, so that a mistake
in one does not hide in the other.
"""

from typing import Any, Protocol

from amaranth.hdl import Shape, Value

from vsq.golden.formats.base import Format
from vsq.golden.formats.elements import IntFormat, Minifloat
from vsq.hw.arithmetic.minifloat import MinifloatDecoder
from vsq.hw.arithmetic.operand import Operand


class Decoder(Protocol):
    """The seam that a kind of formats fills."""

    def shape(self) -> Shape:
        """Return the shape of a pattern."""

    def range(self) -> tuple[int, int]:
        """Return the least and the largest value."""

    def operand(self, pattern: Value) -> Operand:
        """Return the value that a pattern stands for."""


class IntegerDecoder:
    """Integers, which stand for themselves."""

    def __init__(self, fmt: IntFormat):
        self._format = fmt

    def shape(self) -> Shape:
        """Return the shape of the integers."""
        return Shape(self._format.bits, self._format.signed)

    def range(self) -> tuple[int, int]:
        """Return the ends: n bits hold 0 .. 2^n - 1, or -2^(n-1) .. 2^(n-1) - 1, or one less if narrow."""
        half = 1 << (self._format.bits - 1)
        return (self._format.narrow - half, half - 1) if self._format.signed else (0, 2 * half - 1)

    def operand(self, pattern: Value) -> Operand:
        """Return the pattern as it is."""
        return Operand(pattern)


_DECODERS: dict[type[Format], Any] = {IntFormat: IntegerDecoder, Minifloat: MinifloatDecoder}


def decoder(fmt: Format) -> Decoder:
    """Return the decoder of a format."""
    chosen: Decoder = _DECODERS[type(fmt)](fmt)
    return chosen
