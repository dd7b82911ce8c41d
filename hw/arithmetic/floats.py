"""Products of numbers with exponents: how they enter a bit heap.

A product of significands is shifted by the sum of the exponents, in two steps: by all bits of the sum but the highest,
with a multiplexer for each bit of the number, and then by a line for each value of the rest, whose AND-ORs cost less
where few lines reach a column. Its sign comes last, or before the shift where that is wide (docs/decisions/formats.md
has the figures).
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_, xor

from amaranth.hdl import Cat, Const, Module, Shape, Value

from vsq.hw.arithmetic import products
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.decode import Operand
from vsq.hw.arithmetic.shift import shift_left

_INVERTED_BIT = 2  # of a number that is negated after its shift: exclusive-or; in NAND2 equivalents, as in products
_SIGN_BIT = 1 + products.FULL_ADDER  # of a number that is negated before its shift, for each line but one

Lines = Mapping[int, Value]  # by the column in which the number's lowest bit stands if the line is high


def multiply(m: Module, heap: BitHeap, a: Operand, b: Operand, narrow: bool, name: str) -> None:
    """Add ``a * b``, of which at least one has an exponent; ``narrow`` promises that no integer is -2^(bits-1)."""
    low, lines, most = _shift(heap, a, b)
    bits = len(a.significand) + len(b.significand)
    late = (bits + most) * _INVERTED_BIT <= bits * products.NEGATED_BIT + (len(lines) - 1) * _SIGN_BIT
    if not late:
        a, b = _with_sign(heap, a, narrow), _with_sign(heap, b, narrow)
    negative = heap.signal("negative", reduce(xor, [each.negative for each in (a, b) if each.negative is not None]))
    x, y = a.significand, b.significand
    inner = type(heap)(len(x) + len(y), f"{name}_significand")
    products.multiply(inner, x, y)
    product, arrival = inner.compress(m), inner.depth  # what follows takes as long for every number
    width = len(product) + most
    if late:
        signed = x.shape().signed or y.shape().signed
        number = _shifted(m, product.as_signed() if signed else product, low, f"{name}_shifted")
        placed = heap.signal("product", _placed(number, lines, width))
        heap.add_negated(placed.as_signed() if signed else placed, negative, arrival)
    else:
        number = products.negate_if(heap, negative, Cat(product, Const(0, 1))).as_signed()
        _add_placed(heap, _shifted(m, number, low, f"{name}_shifted"), lines, width, arrival)


def _add_placed(heap: BitHeap, number: Value, lines: Lines, width: int, arrival: int) -> None:
    """Add a signed number, whose magnitude stays below 2^width wherever a line may place it."""
    body, sign = number[:-1], number[-1]
    *others, (start, line), (_, last) = lines.items()
    # What the last line but one places is extended to the top, where it shares its sign with what the last one places.
    end = start + len(body)
    extension = Cat(Const(0, end), heap.signal("extension", line & sign).replicate(width - end))
    product = heap.signal("product", _placed(body, lines, width) | extension)
    signs = [*((other + len(body), chosen) for other, chosen in others), (width, line | last)]
    for index, chosen in signs:
        heap.add_bit(heap.signal("sign", ~chosen | ~sign), index, negative=True, inverted=True, arrival=arrival)
    for index, bit in enumerate(product):
        heap.add_bit(bit, index, arrival=arrival)


def _shift(heap: BitHeap, a: Operand, b: Operand) -> tuple[Value, Lines, int]:
    """Return by how many places multiplexers shift, the lines of the rest, and the largest shift in all.

    Exponents count from 1, so that the sum of n of them shifts too far by n. The columns below 0 that this leaves empty
    are dropped, which takes no subtractor.
    """
    exponents = [factor.exponent for factor in (a, b) if factor.exponent is not None]
    excess, largest = len(exponents), a.largest_exponent + b.largest_exponent
    most_bits = max(map(len, exponents))
    split = 0 if excess == 1 and most_bits == 2 else most_bits - 1  # three shifts take a line each
    places = range(excess >> split, (largest >> split) + 1)
    low = exponents[0][:split]
    if excess == 1:
        lines = [exponents[0][split:] == place for place in places]
    else:
        total = heap.signal("low", low + exponents[1][:split])
        high = [bit for exponent in exponents for bit in exponent[split:]]
        low, lines = total[:split], _counts(heap, [*high, *total[split:]], places)
    named = [heap.signal("line", line) for line in lines]
    columns = ((place << split) - excess for place in places)
    return low, dict(zip(columns, named, strict=True)), largest - excess


def _counts(heap: BitHeap, bits: Sequence[Value], counts: range) -> list[Value]:
    """Return a line for each of ``counts``, which are all the numbers of ones that two or three bits can have."""
    first, second, *others = bits
    either, both = first | second, first & second
    reached = [Const(1, 1), either, both]  # at least so many ones
    if others:
        [third] = others
        reached = [Const(1, 1), either | third, either & (both | third), both & third]
    reached = [heap.signal("reached", each) for each in reached]
    lines = [reached[count] & ~reached[count + 1] for count in counts[:-1]]
    return [*lines, reached[counts[-1]]]


def _with_sign(heap: BitHeap, factor: Operand, narrow: bool) -> Operand:
    """Return the number as a magnitude with a sign of its own, if it has a sign; n bits hold 2^(n-1) too."""
    number = factor.significand
    if not number.shape().signed:
        return factor
    return Operand(products.negate_if(heap, number[-1], number[:-1] if narrow else number[:]), number[-1])


def _shifted(m: Module, number: Value, places: Value, name: str) -> Value:
    """Return ``number * 2^places``, as signed as the number."""
    shape = Shape(len(number) + (1 << len(places)) - 1, number.shape().signed)
    total = shift_left(m, number, places, 0, shape, name)
    return total.as_signed() if shape.signed else total


def _placed(number: Value, lines: Lines, width: int) -> Value:
    """Return the number, extended by its sign, where the line that is high places it, in ``width`` bits."""
    sign = number[-1] if number.shape().signed else Const(0, 1)
    terms = []
    for start, line in lines.items():
        bits = Cat(Const(0, max(0, start)), number[max(0, -start) :], sign.replicate(width))[:width]
        terms.append(line.replicate(width) & bits)
    return reduce(or_, terms)
