"""Bit heap: a sum of weighted bits and constants as one compressor tree."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from amaranth.hdl import Cat, Const, Module, Signal, Value

from vsq.hw.arithmetic.compressor import Adder, Bit, Plan, Wire, compress
from vsq.hw.mac.pipeline import register

_record: ContextVar["list[BitHeap]"] = ContextVar("_record")


@contextmanager
def recorded() -> "Iterator[list[BitHeap]]":
    """Yield the list of the heaps that are compressed in this context."""
    heaps: list[BitHeap] = []
    token = _record.set(heaps)
    try:
        yield heaps
    finally:
        _record.reset(token)


class BitHeap:
    """Collects terms; :meth:`compress` describes the hardware of their sum modulo 2^width.

    Nothing is sign-extended: a bit b of negative weight is ``-b = (1 - b) - 1``, its complement and a constant, and all
    constants become one at generation (Baugh-Wooley). Positive product bits enter as complements as well, since
    NAND is the smallest gate and a full adder of complements is a full adder.

    Args:
        width: Bits of the result.
        name: Prefix of the internal signals.

    Attributes (after :meth:`compress`):
        bits_in: Variable bits that were added, those of weight 2^width and up left out.
        constant: The folded constant, modulo 2^width.
        full_adders, half_adders: Adders with three and with two variable inputs. The most significant column needs
            exclusive-ors only.
        lower_bound: Bits added (and the bits of the constant that no half adder takes) less those left, or 0: each full
            adder removes one bit. Only carries that drop out at 2^width save some.
        depth: Delay in units of one exclusive-or.
        counts: What there is to map, from which area can be predicted: adders by kind, and by which operand has the
            other polarity; bits by the name that :meth:`signal` gave them; inverted results; register bits.

    Source: C. R. Baugh and B. A. Wooley, IEEE Trans. Computers C-22(12), 1973; F. de Dinechin et al., FPL 2013 (heaps).
    """

    def __init__(self, width: int, name: str = "heap"):
        self.width = width
        self.name = name
        self.constant = 0
        self.bits_in = self.full_adders = self.half_adders = self.lower_bound = self.depth = 0
        self.counts: Counter[str] = Counter()
        self._columns: list[list[Bit]] = [[] for _ in range(width)]
        self._signals: list[tuple[Signal, Value]] = []
        self._negated: defaultdict[int | None, list[Value]] = defaultdict(list)  # by the bits of unsigned terms

    def add_constant(self, value: int) -> None:
        """Add an integer of either sign."""
        self.constant = (self.constant + value) % (1 << self.width)

    def add(self, value: Value, shift: int = 0) -> None:
        """Add ``value * 2^shift``; ``value`` counts as signed if its shape is."""
        for index, bit in enumerate(value):
            self.add_bit(bit, shift + index, negative=value.shape().signed and index == len(value) - 1)

    def add_negated(self, value: Value, negative: Value, arrival: int = 0) -> None:
        """Add ``-value`` if ``negative``, else ``value``; :meth:`add_bit` tells what ``arrival`` is.

        In n bits -x = ~x + 1, less 2^n if x is unsigned. The ones of all such terms are counted before they are added.
        """
        self._negated[None if value.shape().signed else len(value)].append(negative)
        for index, bit in enumerate(self.signal("negated", value.as_unsigned() ^ negative.replicate(len(value)))):
            sign = value.shape().signed and index == len(value) - 1
            self.add_bit(bit, index, negative=sign, arrival=arrival + 1)

    def add_bit(
        self, bit: Value, column: int, *, negative: bool = False, inverted: bool = False, arrival: int = 0
    ) -> None:
        """Add ``+-x * 2^column``, x being the bit or, if ``inverted``, its complement: -x = ~x - 1.

        ``arrival`` is the time at which the bit settles, in exclusive-or delays.
        """
        if column < self.width:
            self._columns[column].append(Bit(Wire(arrival, bit), inverted != negative))
            self.bits_in += 1
            if negative:
                self.add_constant(-1 << column)

    def signal(self, name: str, value: Value) -> Signal:
        """Return ``value`` as a signal of the heap, which :meth:`compress` will assign."""
        signal = Signal(len(value), name=f"{self.name}_{name}{len(self._signals)}")
        self.counts[name] += len(value)
        self._signals.append((signal, value))
        return signal

    def compress(self, m: Module, loads: Sequence[Value] = ()) -> Value:
        """Describe the adders and return the sum, ``width`` bits, unsigned.

        Args:
            m: Module that receives the statements.
            loads: One register stage per entry, with that enable: they cut the tree into parts of equal depth.
        """
        _record.get([]).append(self)
        plan = self.plan(self.columns(m))
        self.depth = plan.depth + word_delay(plan.word_bits)
        self.lower_bound = max(0, self.bits_in + plan.repeated - len(plan.bits))
        self.half_adders = sum(adder.is_half for adder in plan.adders)
        self.full_adders = len(plan.adders) - self.half_adders
        first = max((bit.wire.arrival for column in self._columns for bit in column), default=0)
        cuts = [first + (self.depth - first) * i // (len(loads) + 1) for i in range(1, len(loads) + 1)]
        cuts = [min(cut, plan.depth) for cut in cuts]  # a sum of words is not cut: its stages stand in front of it
        crossing = _crossing(plan, cuts)
        groups: defaultdict[int, list[Adder]] = defaultdict(list)
        for adder in plan.adders:
            groups[adder.sum.arrival].append(adder)
        for arrival in sorted({*groups, *cuts}):
            self._emit(m, groups[arrival], arrival)
            for stage, cut in enumerate(cuts):
                if cut == arrival:
                    self.counts["registers"] += len(crossing[stage])
                    held = register(m, Cat(w.value for w in crossing[stage]), loads[stage], f"{self.name}_stage{stage}")
                    for wire, value in zip(crossing[stage], held, strict=True):
                        wire.value = value
        self.counts["inverted"] += sum(bit.inverted for bit in plan.bits)
        complements = ~Cat(bit.wire.value for bit in plan.bits if bit.inverted)
        inverted = iter(_vector(m, f"{self.name}_inverted", [complements]))

        def value_of(bit: Bit | int) -> Value:
            return Const(bit, 1) if isinstance(bit, int) else next(inverted) if bit.inverted else bit.wire.value

        total = [value_of(bit) for bit in plan.result]
        if plan.word_bits:
            start = self.width - plan.word_bits
            second = {column: value_of(bit) for column, bit in plan.second.items()}
            x = _vector(m, f"{self.name}_word0", total[start:])
            y = _vector(m, f"{self.name}_word1", [second.get(i, Const(0, 1)) for i in range(start, self.width)])
            total[start:] = [_vector(m, f"{self.name}_words", [(x + y)[: len(x)]])]
        return _vector(m, f"{self.name}_sum", total)

    def plan(self, columns: list[list[Bit]]) -> Plan:
        """Return the adders: here down to one bit a column."""
        return compress(columns, self.constant)

    def columns(self, m: Module) -> list[list[Bit]]:
        """Describe what the terms are made of, and return all their bits by weight."""
        for bits, negative in self._negated.items():
            self._add_count(m, negative, bits)
        m.d.comb += [signal.eq(value) for signal, value in self._signals]
        return self._columns

    def _add_count(self, m: Module, negative: Sequence[Value], bits: int | None) -> None:
        """Add the number of negated terms, less its product by 2^bits for unsigned ones."""
        count = type(self)(len(negative).bit_length(), f"{self.name}_negated{bits or ''}")
        for bit in negative:
            count.add(bit)
        for index, bit in enumerate(count.compress(m)):
            self.add_bit(bit, index, arrival=count.depth)
            if bits is not None:
                self.add_bit(bit, bits + index, negative=True, arrival=count.depth)

    def _emit(self, m: Module, adders: Sequence[Adder], arrival: int) -> None:
        """Describe the adders that settle at one time: those of one kind as vectors x, y, z, sum and carry.

        Adder extraction meets each full adder in one form only, since no exclusive-or in a sum has an inverter before
        it, and NAND and NOR are written with complemented operands.
        """
        kinds: defaultdict[tuple[str, str], list[Adder]] = defaultdict(list)
        for adder in adders:
            kind = "parity" if adder.carry is None else f"half{adder.z}" if adder.is_half else "full"
            kinds[kind, _odd(adder)].append(adder)
        for (kind, odd), group in sorted(kinds.items()):
            kind_and_odd = f"{kind}{'_odd_' if odd else ''}{odd}"
            self.counts[kind_and_odd] += len(group)
            prefix = f"{self.name}_{kind_and_odd}_{arrival}"
            x = _vector(m, f"{prefix}_x", [adder.x.wire.value for adder in group])
            y = _vector(m, f"{prefix}_y", [adder.y.wire.value for adder in group])
            z = _vector(m, f"{prefix}_z", [adder.z.wire.value for adder in group if isinstance(adder.z, Bit)])
            either, total = x ^ y, x ^ y ^ z if len(z) else x ^ y
            if odd == "y":
                y, either = ~y, ~either
            if kind == "full":
                carries = (x & y) | ((~z if odd == "z" else z) & either)
            else:
                carries = ~x & ~y if kind == "half1" else ~x | ~y
            total = ~total if bool(odd) != (kind == "half1") else total
            for adder, value in zip(group, _vector(m, f"{prefix}_sum", [total]), strict=True):
                adder.sum.value = value
            if kind != "parity":
                for adder, value in zip(group, _vector(m, f"{prefix}_carry", [carries]), strict=True):
                    assert adder.carry is not None
                    adder.carry.value = value


def word_delay(bits: int) -> int:
    """Return the delay of a sum of two words by parallel prefixes, in exclusive-ors: 1 + log2(bits), rounded up."""
    return 1 + (bits - 1).bit_length() if bits else 0


def _odd(adder: Adder) -> str:
    """Return which operand is of the other polarity, y or z, or nothing."""
    if adder.y.inverted != adder.inverted:
        return "y"
    return "z" if isinstance(adder.z, Bit) and adder.z.inverted != adder.inverted else ""


def _vector(m: Module, name: str, bits: Sequence[Value]) -> Signal:
    """Return the bits as one named signal."""
    value = Cat(bits)
    vector = Signal(len(value), name=name)
    m.d.comb += vector.eq(value)
    return vector


def _crossing(plan: Plan, cuts: Sequence[int]) -> list[list[Wire]]:
    """Return, for each cut, the wires that settle before it (or at it) and are used after it."""
    last: dict[Wire, int] = {}
    for adder in plan.adders:
        for bit in adder.operands:
            last[bit.wire] = max(last.get(bit.wire, 0), adder.sum.arrival)
    last.update((bit.wire, plan.depth + 1) for bit in plan.bits)
    return [[wire for wire, use in last.items() if wire.arrival <= cut < use] for cut in cuts]
