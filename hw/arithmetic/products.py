"""Partial products: the ways in which a*b enters a bit heap, and the choice of the smallest.

Areas are in NAND2 equivalents, with the ratios of Nangate's 45 nm cells: NAND2 1, full adder 16/3. A bit that enters a
heap costs what makes it and the one full adder that removes it. The costs of recoding are fitted to mapped netlists
(``benchmarks.products``; docs/decisions/bitheap-products.md).
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_

from amaranth.hdl import Cat, Const, Value

from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.ccu2c import CellHeap
from vsq.hw.arithmetic.chains import ChainHeap

FULL_ADDER = 16 / 3
_ROW_BIT = 11 / 3  # of a Booth row: and-or-invert and exclusive-or
_ROW_DIGIT = 8  # recoding of one digit
NEGATED_BIT = 7 / 2  # of a conditional negation: exclusive-or and one step of the carry chain


def multiply(heap: BitHeap, a: Value, b: Value, narrow: bool = False) -> None:
    """Add ``a * b``, each as signed as its shape, in the way that costs the least area.

    ``narrow`` promises that neither code -2^(bits-1) occurs.
    """
    if isinstance(heap, ChainHeap):
        (pairs if isinstance(heap, CellHeap) else tables)(heap, a, b)
        return
    ways: list[tuple[float, Callable[[BitHeap, Value, Value], None], Value, Value]] = []
    for x, y in ((a, b), (b, a)):
        ways.append((_array_area(x, y), array, x, y))
        ways.append((_booth_area(x, y), booth, x, y))
        if narrow and x.shape().signed and y.shape().signed and len(x) > 1:
            ways.append((_sign_magnitude_area(x, y), sign_magnitude, x, y))
    _, insert, x, y = min(ways, key=lambda way: way[0])
    insert(heap, x, y)


def select(heap: BitHeap, a: Sequence[Value], b: Sequence[Value], total: Value) -> None:
    """Add ``a[0]*b[0] + a[1]*b[1]``, given ``total = b[0] + b[1]``, exact and one bit longer than these.

    Bit i of both a chooses 0, b[0], b[1] or the total, times 2^i. One and-or-invert cell makes a bit of it, from three
    select lines of which at most one is 1.
    """
    size, signed = len(total), total.shape().signed
    rows = [*(Cat(x, x[-1] if signed else Const(0, 1)) for x in b), total.as_unsigned()]
    for i, (low, high) in enumerate(zip(*a, strict=True)):
        lines = heap.signal("select", Cat(low & ~high, ~low & high, low & high))
        # No inverter comes last: adder extraction would take the wire before it.
        row = reduce(and_, (~x | ~line.replicate(size) for x, line in zip(rows, lines, strict=True)))
        for j, bit in enumerate(heap.signal("selected", row)):
            negative = _is_sign(a[0], i) != _is_sign(total, j)
            heap.add_bit(bit, i + j, negative=negative, inverted=True, arrival=2 + j)


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
    return len(a) * len(b) * (1 + FULL_ADDER)


def _nands(heap: BitHeap, a: Value, b: Value, shift: int) -> None:
    """Add ``a * b * 2^shift`` bit by bit; positive bits enter as complements too."""
    rows = [(i, min(len(b), heap.width - shift - i)) for i in range(min(len(a), heap.width - shift))]
    nands = heap.signal("nands", ~Cat(a[i].replicate(n) for i, n in rows) | ~Cat(b[:n] for _, n in rows))
    bits = iter(nands)
    for i, n in rows:
        for j in range(n):
            negative = _is_sign(a, i) != _is_sign(b, j)
            heap.add_bit(next(bits), shift + i + j, negative=negative, inverted=True, arrival=1)


def pairs(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``a * b`` by pairs of bits, whose products cells form."""
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            heap.add_bit(Cat(x, y), i + j, negative=_is_sign(a, i) != _is_sign(b, j))


def tables(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``a * b`` by the products of pairs of bits, each bit of which is a table of four inputs.

    With bits u and v of a, and x and y of b, a pair's product is ``u x + 2 (+-(u y) +-(v x)) +- 4 v y``: v counts as
    negative if it is a's sign, and so does y. That has no more bits than four ANDs, but one in each column.
    """
    for i in range(0, len(a), 2):
        for j in range(0, len(b), 2):
            if len(a) - i == 1 or len(b) - j == 1:
                _nands(heap, _part(a, i), _part(b, j), i + j)
                continue
            u, v, x, y = a[i], a[i + 1], b[j], b[j + 1]
            v_negative, y_negative = _is_sign(a, i + 1), _is_sign(b, j + 1)
            if y_negative and not v_negative:
                u, v, x, y = x, y, u, v
            low, both = u & x, v & y
            bits = [low, (u & y) ^ (v & x)]
            if v_negative == y_negative:
                negative = [False, v_negative, False, False]
                bits += [both & ~low] if v_negative else [both & ~low, both & low]
            else:
                negative = [False, False, True, True]
                bits += [both ^ (v & x & ~(u & y)), v & x & y & ~u]
            for index, bit in enumerate(heap.signal("table", Cat(bits))):
                heap.add_bit(bit, i + j + index, negative=negative[index])


def digit_rows(heap: BitHeap, a: Value, digits: Value) -> None:
    """Add ``a * sum_i (u[i] - 1) * 4^i``, u being pairs of bits of ``digits``: each bit of a row is one table.

    So a is multiplied by ``digits - 0..0101b``; a bit without a partner counts as it is. A row of -a is ``~a + 1``,
    whose lowest bit plus that 1 is ``low + 2*(negative and not low)`` with low the lowest bit of a.
    """
    a = a if a.shape().signed else Cat(a, Const(0, 1)).as_signed()
    plain, double, size = Cat(a, a[-1]), Cat(Const(0, 1), a), len(a) + 1
    for shift in range(0, len(digits) - 1, 2):
        low, high = digits[shift : shift + 2]
        negative = ~low & ~high
        lines = [(plain, high & ~low), (double, high & low), (~plain, negative)]
        row = reduce(or_, (value[1:] & line.replicate(size - 1) for value, line in lines))
        bits = heap.signal("digit", Cat(a[0] & ~low, row, negative & ~a[0]))
        for j, bit in enumerate(bits[:size]):
            heap.add_bit(bit, shift + j, negative=j == size - 1)
        heap.add_bit(bits[size], shift + 1)
    if len(digits) % 2:
        _nands(heap, digits[-1:], a, len(digits) - 1)


def _part(value: Value, start: int) -> Value:
    """Return two bits of a value, or its last one, as signed as the value if they end it."""
    part = value[start : start + 2]
    return part.as_signed() if _is_sign(value, start + len(part) - 1) else part


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
        row = heap.signal("row", ~multiple ^ high.replicate(size) if negated else ~multiple)
        for j, bit in enumerate(row, start):
            heap.add_bit(bit, shift + j, negative=b_signed and j == top - 1, inverted=True, arrival=4)
    if not a_signed and len(a) % 2 == 0 and len(a) < heap.width:
        _nands(heap, a[-1:], b, len(a))  # the last digit, which is 0 or 1


def _booth_area(a: Value, b: Value) -> float:
    """Rows of n+1 bits, the negation's 1 and, if b is unsigned, the row's sign.

    An unsigned a has a plain row too; the last row of a signed a with an odd number of bits is one bit shorter.
    """
    n = len(b)
    a_signed, b_signed = _is_sign(a, len(a) - 1), _is_sign(b, n - 1)
    row = (n + 3 - b_signed) * FULL_ADDER + n * _ROW_BIT + _ROW_DIGIT
    odd = len(a) % 2
    last = -odd * (FULL_ADDER + _ROW_BIT) if a_signed else (n + odd) * (1 + FULL_ADDER)
    return (len(a) + a_signed) // 2 * row + last


def sign_magnitude(heap: BitHeap, a: Value, b: Value) -> None:
    """Add ``|a| * (b if a >= 0 else -b)``; both are signed, and neither takes the code -2^(bits-1)."""
    array(heap, negate_if(heap, a[-1], a[:-1]), negate_if(heap, a[-1], Cat(b)).as_signed())


def _sign_magnitude_area(a: Value, b: Value) -> float:
    return (len(a) - 1) * len(b) * (1 + FULL_ADDER) + (len(a) + len(b) - 3) * NEGATED_BIT


def negate_if(heap: BitHeap, condition: Value, value: Value) -> Value:
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
