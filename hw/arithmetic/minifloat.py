"""The decoder of floating-point formats of a few bits."""

from amaranth.hdl import Cat, Shape, Value, unsigned

from vsq.golden.formats.elements import Minifloat
from vsq.hw.arithmetic.operand import Operand


class MinifloatDecoder:
    """Sign, exponent e and mantissa: in units of the least value, the significand is shifted by max(e, 1) - 1."""

    def __init__(self, fmt: Minifloat):
        self._format = fmt

    def shape(self) -> Shape:
        """Return the shape of a pattern, which as such has no sign."""
        return unsigned(1 + self._format.exponent_bits + self._format.mantissa_bits)

    def range(self) -> tuple[int, int]:
        """Return the ends: exponents are at most 2^E - 1, hence shifts 2^E - 2, and significands 2^(M+1) - 1."""
        most = ((2 << self._format.mantissa_bits) - 1) << ((1 << self._format.exponent_bits) - 2)
        return -most, most

    def operand(self, pattern: Value) -> Operand:
        """Return sign, significand and shift."""
        split = self._format.mantissa_bits
        mantissa, exponent, sign = pattern[:split], pattern[split:-1], pattern[-1]
        shifts = [exponent == e for e in range(1, 1 << len(exponent))]
        shifts[0] = ~exponent[1:].any()
        return Operand(Cat(mantissa, exponent.any()), sign, shifts)
