"""Choice of the adders that reduce columns of weighted bits to one bit each, or two; no hardware is described here."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Delays in units of one exclusive-or: a full adder's x and y pass two of them, its z passes one.
XY_DELAY, Z_DELAY, HALF_DELAY = 2, 1, 1


@dataclass(eq=False, slots=True)
class Wire:
    """One wire: when it settles, in exclusive-or delays, and (once emitted) the Amaranth value that it carries."""

    arrival: int
    value: Any = None


class Bit(NamedTuple):
    """A weighted bit: the wire's value or, if ``inverted``, its complement."""

    wire: Wire
    inverted: bool = False

    @property
    def is_product(self) -> bool:
        """Whether the value has two bits, whose product is meant; only chains of cells take such."""
        return self.wire.value is not None and len(self.wire.value) == 2


@dataclass(eq=False, slots=True)
class Adder:
    """A full adder, ``x + y + z = sum + 2*carry`` on wires, or a half adder if ``z`` is a constant.

    A full adder is self-dual, so one polarity serves all five wires: three complements give the complements of sum
    and carry. ``inverted`` tells this polarity, which x has too; y or z may have the other one, and is inverted. A half
    adder's carry leaves as its complement, because NAND and NOR are smaller than AND and OR.

    Members: ``x``, ``y`` and ``z`` (a bit, or the value 0 or 1 on the wire), z the latest; ``sum``; ``carry``, None
    where its weight is 2^width: then only ``sum = x ^ y`` is left.
    """

    x: Bit
    y: Bit
    z: Bit | int
    inverted: bool
    sum: Wire
    carry: Wire | None

    @property
    def is_half(self) -> bool:
        """Whether only two bits are added."""
        return isinstance(self.z, int)

    @property
    def operands(self) -> Iterable[Bit]:
        """The bits among x, y and z."""
        return (bit for bit in (self.x, self.y, self.z) if isinstance(bit, Bit))


@dataclass(slots=True)
class Plan:
    """Adders in the order of columns, and the result: one bit (or constant) a column, least significant first.

    ``second`` has the bits that are left beside it, by column. ``repeated`` counts the bits that entered two columns to
    take a 1 of the constant.
    """

    adders: list[Adder] = field(default_factory=list)
    result: list[Bit | int] = field(default_factory=list)
    second: dict[int, Bit | int] = field(default_factory=dict)
    repeated: int = 0

    @property
    def bits(self) -> list[Bit]:
        """The bits that are left."""
        return [bit for bit in (*self.result, *self.second.values()) if isinstance(bit, Bit)]

    @property
    def word_bits(self) -> int:
        """Bits of the two words that are left to add: from the lowest column with two bits up."""
        return len(self.result) - min(self.second, default=len(self.result))

    @property
    def depth(self) -> int:
        """Arrival of the latest of them, in exclusive-or delays."""
        return max((bit.wire.arrival for bit in self.bits), default=0)


def compress(columns: Sequence[Iterable[Bit]], constant: int, split: int | None = None) -> Plan:
    """Return the adders for ``sum(bit * 2^column) + constant`` modulo ``2^len(columns)``.

    Columns from ``split`` on are left with two bits, if it is given; all others with one.

    Columns are reduced from the least significant one up, so that all carries into a column are known when its turn
    comes, and each is reduced to one bit by always adding the earliest bits (Oklobdzija's three-greedy method, carried
    on through the final adder, which thereby starts where bits are early). Each full adder removes one bit. An even
    column needs one half adder as well, which takes its 1 of the constant for nothing; in an odd column
    ``x + 1 = ~x + 2*x`` costs no gate, but one more bit in the next. So as many full adders are used as there are bits,
    those repeated included, less one a column; fewer if carries drop out at the most significant one.

    Source: V. G. Oklobdzija, D. Villeger, S. S. Liu, IEEE Trans. Computers 45(3), 1996.
    """
    plan = Plan()
    carries: list[Bit] = []
    for index, column in enumerate(columns):
        bits, carries = [*column, *carries], []
        one = constant >> index & 1
        if index == len(columns) - 1:
            plan.result.append(_parity(plan, bits, one))
            break
        if split is not None and index >= split:
            _two(plan, bits, one, carries)
            continue
        if one and len(bits) % 2:
            bits.sort(key=_arrival)
            carries.append(bits[0])
            plan.repeated += 1
            bits[0] = Bit(bits[0].wire, not bits[0].inverted)
            one = 0
        queue = _Queue(bits)
        while len(queue) > 1:
            if len(queue) > 2:
                total, carry = _full(plan, *queue.take_three())
            else:
                total, carry = _half(plan, queue.take_one(), queue.take_one(), one)
            queue.put(total)
            carries.append(carry)
        plan.result.append(queue.take_one() if len(queue) else one)
    return plan


def _two(plan: Plan, bits: list[Bit], one: int, carries: list[Bit]) -> None:
    """Reduce a column to two bits; a half adder of the earliest bits takes its 1 of the constant."""
    queue = _Queue(bits)
    if one and len(bits) > 1:
        total, carry = _half(plan, queue.take_first(), queue.take_first(), one)
        queue.put(total)
        carries.append(carry)
        one = 0
    while len(queue) > 2:
        total, carry = _full(plan, *queue.take_three())
        queue.put(total)
        carries.append(carry)
    left: list[Bit | int] = [queue.take_one() for _ in range(len(queue))] + [1] * one
    if len(left) == 2:
        plan.second[len(plan.result)] = left.pop()
    plan.result.append(left[0] if left else 0)


class _Queue:
    """The bits of one column, earliest first, one queue per polarity."""

    def __init__(self, bits: Iterable[Bit]):
        self._heaps: dict[bool, list[tuple[int, int, Bit]]] = {False: [], True: []}
        self._serial = 0
        for bit in bits:
            self.put(bit)

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def put(self, bit: Bit) -> None:
        """Add one bit; equal arrivals keep their order."""
        heapq.heappush(self._heaps[bit.inverted], (bit.wire.arrival, self._serial, bit))
        self._serial += 1

    def take_three(self) -> tuple[Bit, Bit, Bit]:
        """Take the earliest three bits of one polarity; if neither has three, two of one and one of the other."""
        # The third-smallest entry of a binary heap is among its first seven.
        ready = {p: sorted(heap[:7])[2][:2] for p, heap in self._heaps.items() if len(heap) > 2}
        if ready:
            polarity = min(ready, key=ready.__getitem__)
            return self._pop(polarity), self._pop(polarity), self._pop(polarity)
        polarity = len(self._heaps[True]) > len(self._heaps[False])
        return self._pop(polarity), self._pop(polarity), self._pop(not polarity)

    def take_first(self) -> Bit:
        """Take the earliest bit."""
        return self._pop(min((heap[0][:2], polarity) for polarity, heap in self._heaps.items() if heap)[1])

    def take_one(self) -> Bit:
        """Take any bit."""
        return self._pop(not self._heaps[False])

    def _pop(self, polarity: bool) -> Bit:
        return heapq.heappop(self._heaps[polarity])[2]


def _arrival(bit: Bit) -> int:
    return bit.wire.arrival


def _full(plan: Plan, a: Bit, b: Bit, c: Bit) -> tuple[Bit, Bit]:
    """Append a full adder to the plan; return its sum and carry."""
    inverted = a.inverted + b.inverted + c.inverted > 1
    x, y, z = sorted((a, b, c), key=_arrival)
    arrival = max(_arrival(y) + XY_DELAY, _arrival(z) + Z_DELAY)
    if x.inverted != inverted:
        x, y = y, x
    total, carry = Wire(arrival), Wire(arrival)
    plan.adders.append(Adder(x, y, z, inverted, total, carry))
    return Bit(total, inverted), Bit(carry, inverted)


def _half(plan: Plan, x: Bit, y: Bit, one: int) -> tuple[Bit, Bit]:
    """Append a half adder to the plan; return its sum and its carry.

    Of two polarities it takes complements: then NAND or NOR of them is the carry itself, and one gate more the sum.
    """
    if y.inverted:
        x, y = y, x
    arrival = max(_arrival(x), _arrival(y)) + HALF_DELAY
    total, carry = Wire(arrival), Wire(arrival)
    plan.adders.append(Adder(x, y, one ^ x.inverted, x.inverted, total, carry))
    return Bit(total, x.inverted), Bit(carry, not x.inverted)


def _parity(plan: Plan, bits: Sequence[Bit], one: int) -> Bit | int:
    """Reduce the most significant column, whose carries drop out: polarity and constant only invert the result."""
    inverted = bool(one ^ sum(bit.inverted for bit in bits) & 1)
    heap = [(bit.wire.arrival, serial, bit.wire) for serial, bit in enumerate(bits)]
    heapq.heapify(heap)
    for serial in range(len(bits), 2 * len(bits) - 1):
        x, y = heapq.heappop(heap)[2], heapq.heappop(heap)[2]
        total = Wire(y.arrival + HALF_DELAY)
        plan.adders.append(Adder(Bit(x), Bit(y), 0, False, total, None))
        heapq.heappush(heap, (total.arrival, serial, total))
    return Bit(heap[0][2], inverted) if heap else int(inverted)
