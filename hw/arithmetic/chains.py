"""Carry chains: a bit heap for lookup tables, whose adders are short ripple-carry additions."""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value

from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.compressor import Bit, Wire
from vsq.hw.mac.pipeline import register

Columns = list[list[Bit | int]]  # bits, and constants 1, by weight


class CarryChain(NamedTuple):
    """The addition ``x + y + carry`` of n columns from ``start`` on; ``total`` has n bits, or n + 1 with its carry.

    An ``inverted`` one adds complements and gives those of the sum, since a full adder is self-dual.
    """

    x: list[Bit | int]
    y: list[Bit | int]
    carry: Bit | int
    total: list[Wire]
    start: int
    inverted: bool


class Level(NamedTuple):
    """Chains that work side by side, and all bits behind them."""

    chains: list[CarryChain]
    columns: Columns


class ChainHeap(BitHeap):
    """A bit heap that carry chains reduce: the least area in the lookup tables of an FPGA.

    A position of a chain is one table. It takes two bits of a column and leaves one; a chain of n positions takes a
    third bit of its lowest column as its carry, and leaves its own carry, so that 2n + 1 bits become n + 1. Chains are
    written as ``{x, 1} + {y, carry}``, whose bit 0 is not used: Yosys would merge plain sums of sums into one of
    compressors made of tables.

    Attributes (after :meth:`compress`):
        chains, positions: Carry chains, and positions in them with those that bring a carry out.
        depth: Chains after one another.

    Source: T. B. Preusser, Generic and Universal Parallel Matrix Summation, FPL 2017 (heaps of carry chains).
    """

    def __init__(self, width: int, name: str = "heap"):
        super().__init__(width, name)
        self.chains = self.positions = 0

    def compress(self, m: Module, loads: Sequence[Value] = ()) -> Value:
        """Describe the chains and return the sum, as :meth:`BitHeap.compress` does."""
        columns: Columns = [[*column] for column in self.columns(m)]
        for index, column in enumerate(columns):
            column += [1] * (self.constant >> index & 1)
        stages = plan(columns)
        self.depth = len(stages)
        cuts = [-(-self.depth * i // (len(loads) + 1)) for i in range(1, len(loads) + 1)]
        for number in range(self.depth + 1):
            for cut, load in enumerate(loads):
                if cuts[cut] == number:
                    _hold(m, columns, load, f"{self.name}_stage{cut}")
            if number < self.depth:
                self._emit_chains(m, stages[number].chains)
                columns = stages[number].columns
        total = Signal(self.width, name=f"{self.name}_sum")
        m.d.comb += total.eq(Cat(value_of(column[0] if column else 0) for column in columns))
        return total

    def _emit_chains(self, m: Module, chains: Sequence[CarryChain]) -> None:
        """Describe chains that work side by side; here none is inverted."""
        for chain in chains:
            total = Signal(len(chain.total) + 1, name=f"{self.name}_chain{self.chains}")
            fill = Const(0, len(chain.total) - len(chain.x))
            x, y = Cat(Const(1, 1), *map(value_of, chain.x), fill), Cat(*map(value_of, (chain.carry, *chain.y)), fill)
            m.d.comb += total.eq((x + y)[: len(total)])
            for wire, value in zip(chain.total, total[1:], strict=True):
                wire.value = value
            self.chains += 1
            self.positions += len(chain.total)


def plan(columns: Columns) -> list[Level]:
    """Return the stages that reduce the columns to one bit each; carries beyond the highest column are dropped.

    In a stage each chain starts at the lowest column that still has two of the bits which the stage began with, and
    reaches as far as there are two in a column, or one that would leave it more than half of the highest column's bits.
    The last chain reaches to the top.
    """
    stages: list[Level] = []
    while any(len(column) > 1 for column in columns):
        left, chains = [list(column) for column in columns], []
        last = all(len(column) < 3 + (index == _lowest(columns)) for index, column in enumerate(columns))
        half = -(-max(map(len, columns)) // 2)
        made = [0] * (len(columns) + 1)  # bits that the chains so far leave in each column
        while (start := _lowest(left)) < len(left):
            least = [0 if last else 1 if count + 2 > half else 2 for count in made]
            chain = max((_longest(left, start, least, inverted) for inverted in (False, True)), key=lambda c: len(c.x))
            for index, bits in enumerate(zip(chain.x, chain.y, strict=True), start):
                for bit in (*bits, *([chain.carry] if index == start else [])):
                    if bit:
                        left[index].remove(bit)
            chains.append(chain)
            for index in range(start, start + len(chain.x) + 1):
                made[index] += 1
        for chain in chains:
            for column, wire in zip(left[chain.start :], chain.total, strict=False):
                column.append(Bit(wire, chain.inverted))
        columns = left
        stages.append(Level(chains, columns))
    return stages


def _longest(columns: Columns, start: int, least: Sequence[int], inverted: bool) -> CarryChain:
    """Return the chain from a column on that goes on while as many bits as ``least`` fit into each position."""
    first = columns[start]
    carry = _fitting(first, inverted)[0] if len(first) > 2 else 0
    pairs: list[tuple[Bit | int, Bit | int]] = []
    for column in range(start, len(columns)):
        bits = [bit for bit in columns[column] if column > start or bit is not carry]
        fitting = _fitting(bits, inverted) if least[column] else bits
        if len(fitting) < least[column]:
            break
        x, y = [*fitting, 0, 0][:2]
        pairs.append((x, y))
    total = [Wire(0) for _ in range(len(pairs) + (start + len(pairs) < len(columns)))]
    return CarryChain([x for x, _ in pairs], [y for _, y in pairs], carry, total, start, inverted)


def _fitting(bits: Sequence[Bit | int], inverted: bool) -> list[Bit | int]:
    """Return bits that fit into positions of a chain, the first of which may be a product that is to be inverted."""
    odd = [bit for bit in bits if isinstance(bit, Bit) and bit.is_product and bit.inverted != inverted]
    return odd[:1] + [bit for bit in bits if bit not in odd]


def _lowest(columns: Columns) -> int:
    """Return the lowest column of two bits or more; their number if there is none."""
    return next((index for index, column in enumerate(columns) if len(column) > 1), len(columns))


def _hold(m: Module, columns: Columns, load: Value, name: str) -> None:
    """Put a register behind all bits of the columns."""
    wires = [bit.wire for column in columns for bit in column if isinstance(bit, Bit)]
    for wire, held in zip(wires, register(m, Cat(_product(wire.value) for wire in wires), load, name), strict=True):
        wire.value = held


def value_of(bit: Bit | int) -> Value:
    """Return the value of a bit as one wire."""
    if isinstance(bit, int):
        return Const(bit, 1)
    value = _product(bit.wire.value)
    return ~value if bit.inverted else value


def _product(value: Value) -> Value:
    return value.all() if len(value) > 1 else value
