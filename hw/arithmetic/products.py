"""Partial products: the ways in which a*b enters a bit heap, and the choice of the smallest.

Areas are in NAND2 equivalents, with the ratios of Nangate's 45 nm cells: NAND2 1, full adder 16/3. A bit that enters a
heap costs what makes it and the one full adder that removes it. The costs of recoding are fitted to mapped netlists
(``benchmarks.products``; docs/decisions/bitheap-products.md).
"""

from collections.abc import Callable
from functools import reduce
from itertools import product
from operator import or_

from amaranth.hdl import Cat, Const, Value

from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.decode import Operand, shifted

_FULL_ADDER = 16 / 3
_ROW_BIT = 4  # of a Booth row: and-or-invert and exclusive-or
_ROW_DIGIT = 8  # recoding of one digit
_NEGATED_BIT = 7 / 2  # of a conditional negation: exclusive-or and one step of the carry chain


def multiply(heap: BitHeap, a: Value, b: Value, narrow: bool = False) -> None:
    """Add ``a * b``, each as signed as its shape, in the way that costs the least area.

    ``narrow`` promises that neither code -2^(bits-1) occurs.
    """
    ways: list[tuple[float, Callable[[BitHeap, Value, Value], None], Value, Value]] = []
    for x, y in ((a, b), (b, a)):
        ways.append((_array_area(x, y), array, x, y))
        ways.append((_booth_area(x, y), booth, x, y))
        if narrow and x.shape().signed and y.shape().signed and len(x) > 1:
            ways.append((_sign_magnitude_area(x, y), sign_magnitude, x, y))
    _, add, x, y = min(ways, key=lambda way: way[0])
    add(heap, x, y)


def multiply_shifted(heap: BitHeap, a: Operand, b: Operand) -> None:
    """Add the product of numbers of which one has a sign of its own: significands multiplied, shifted and negated."""
    exact = a.significand * b.significand
    significand: Value = heap.signal("significand", exact)
    significand = significand.as_signed() if exact.shape().signed else significand
    shifts = a.shifts or b.shifts
    if a.shifts and b.shifts:  # one is high for the sum of the factors' shifts
        sums: list[list[Value]] = [[] for _ in range(len(a.shifts) + len(b.shifts) - 1)]
        for (i, x), (j, y) in product(enumerate(a.shifts), enumerate(b.shifts)):
            sums[i + j].append(x & y)
        shifts = [reduce(or_, terms) for terms in sums]
    negative = a.negative if b.negative is None else b.negative if a.negative is None else a.negative ^ b.negative
    heap.add_negated(shifted(significand, shifts), negative, arrival=4)


def array(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``a * b`` by one NAND for each pair of bits (Baugh-Wooley).

    Where both are signed, the corner ``(a0 - 2*a1) * (b0 - 2*b1)`` of their two highest bits lies in -2 .. 4, so three
    bits hold it, ``z - 2*y + 4*x``: z = a0 b0, y = a0 b1 xor a1 b0, x = a1 b1 and not z.
    """
    m, n = len(a) - 2, len(b) - 2
    if not (a.shape().signed and b.shape().signed) or min(m, n) < 0:
        _nands(heap, a, b, 0)
        return
    if m:
        _nands(heap, a[:m], b, 0)
    if n:
        _nands(heap, a[m:].as_signed(), b[:n], m)
    (a0, a1), (b0, b1) = a[m:], b[n:]
    z, cross = heap.signal("corner", ~a0 | ~b0), heap.signal("cross", Cat(~a0 | ~b1, ~a1 | ~b0))
    heap.add_bit(z, m + n, inverted=True, arrival=1)
    heap.add_bit(heap.signal("corner", cross.xor()), m + n + 1, negative=True, arrival=2)
    heap.add_bit(heap.signal("corner", ~a1 | ~b1 | ~z), m + n + 2, inverted=True, arrival=2)


def _array_area(a: Value, b: Value) -> float:
    return len(a) * len(b) * (1 + _FULL_ADDER)


def _nands(heap: BitHeap, a: Value, b: Value, shift: int) -> None:
    """Add ``a * b * 2^shift`` bit by bit; positive bits enter as complements too."""
    rows = [(i, min(len(b), heap.width - shift - i)) for i in range(min(len(a), heap.width - shift))]
    nands = heap.signal("nands", ~Cat(a[i].replicate(n) for i, n in rows) | ~Cat(b[:n] for _, n in rows))
    bits = iter(nands)
    for i, n in rows:
        for j in range(n):
            negative = _is_sign(a, i) != _is_sign(b, j)
            heap.add_bit(next(bits), shift + i + j, negative=negative, inverted=True, arrival=1)


def booth(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``a * b`` by radix-4 digits of a: ``a = sum_i (a[2i-1] + a[2i] - 2*a[2i+1]) * 4^i``, each in -2 .. 2.

    A negative digit's row is ``-x = ~x + 1``. The row's lowest bit plus that 1 is ``low + 2*(negative and not low)``
    with low the lowest bit of x, so neither takes an exclusive-or.

    Source: O. L. MacSorley, Proc. IRE 49(1), 1961; W.-C. Yeh and C.-W. Jen, IEEE Trans. Comp. 49(7), 2000 (low bit).
    """
    n, a_signed, b_signed = len(b), a.shape().signed, b.shape().signed
    sign = a[-1] if a_signed else Const(0, 1)
    bits = Cat(Const(0, 1), a, sign)
    single, double = Cat(b, b[-1] if b_signed else Const(0, 1)), Cat(Const(0, 1), b)
    for shift in range(0, min(len(a), heap.width), 2):
        below, low, high = bits[shift : shift + 3]
        one = heap.signal("one", low ^ below)
        two = heap.signal("two", (high ^ low) & ~one)
        negated = shift + 1 < len(a) + a_signed
        top = n + (shift + 1 < len(a) or not a_signed)  # n where the digit is only -1, 0 or 1
        if negated:
            lowest = heap.signal("low", ~one | ~b[0])
            heap.add_bit(lowest, shift, inverted=True, arrival=2)
            heap.add_bit(heap.signal("negative", ~high | ~lowest), shift + 1, inverted=True, arrival=3)
            if not b_signed:
                heap.add_bit(high, shift + top, negative=True)
        start, stop = int(negated), max(1, min(top, heap.width - shift))
        size = stop - start
        multiple = (single[start:stop] & one.replicate(size)) | (double[start:stop] & two.replicate(size))
        row = heap.signal("row", multiple ^ high.replicate(size) if negated else ~multiple)
        for j, bit in enumerate(row, start):
            heap.add_bit(bit, shift + j, negative=b_signed and j == top - 1, inverted=not negated, arrival=4)
    if not a_signed and len(a) % 2 == 0 and len(a) < heap.width:
        _nands(heap, a[-1:], b, len(a))  # the last digit, which is 0 or 1


def _booth_area(a: Value, b: Value) -> float:
    """Rows of n+1 bits, the negation's 1 and, if b is unsigned, the row's sign.

    An unsigned a has a plain row too; the last row of a signed a with an odd number of bits is one bit shorter.
    """
    n = len(b)
    a_signed, b_signed = _is_sign(a, len(a) - 1), _is_sign(b, n - 1)
    row = (n + 3 - b_signed) * _FULL_ADDER + n * _ROW_BIT + _ROW_DIGIT
    odd = len(a) % 2
    last = -odd * (_FULL_ADDER + _ROW_BIT) if a_signed else (n + odd) * (1 + _FULL_ADDER)
    return (len(a) + a_signed) // 2 * row + last


def sign_magnitude(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``|a| * (b if a >= 0 else -b)``; both are signed, and neither takes the code -2^(bits-1)."""
    array(heap, _negate_if(heap, a[-1], a[:-1]), _negate_if(heap, a[-1], Cat(b)).as_signed())


def _sign_magnitude_area(a: Value, b: Value) -> float:
    return (len(a) - 1) * len(b) * (1 + _FULL_ADDER) + (len(a) + len(b) - 3) * _NEGATED_BIT


def _negate_if(heap: BitHeap, condition: Value, value: Value) -> Value:
    """Return ``-value`` or ``value``, of the same bits: those above the lowest 1 are inverted."""
    if len(value) == 1:
        return value
    above = [condition & value[0]]
    for i in range(1, len(value) - 1):
        above.append(above[-1] | (condition & value[i]))
    return Cat(value[0], heap.signal("negated", value[1:] ^ Cat(above)))


def _is_sign(value: Value, index: int) -> bool:
    """Whether a bit of the value has negative weight."""
    return bool(value.shape().signed) and index == len(value) - 1
