"""Drivers and readers of a module's nets, and the operators that stand inside the expression of another."""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from vsq.hw.emit.verilog.names import NUMBERED, canonical, is_made_up, with_best_names
from vsq.hw.emit.verilog.rtlil import Bit, Bits, Module, Net, RtlilCell, read

REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe")
READ, WRITE = "$memrd_v2", "$memwr_v2"
COMPARISONS = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")
REDUCTIONS = ("$reduce_and", "$reduce_or", "$reduce_bool", "$reduce_xor", "$logic_not")
SHIFTS = ("$shr", "$sshr")
BITWISE = ("$not", "$and", "$or", "$xor", "$mux")
_EXTENDED = (*BITWISE, "$add", "$sub", "$neg")  # operands are as wide as the result
OPERATORS = (*_EXTENDED, *COMPARISONS, *REDUCTIONS, *SHIFTS, "$mul")
_FOLDED = (*_EXTENDED, *COMPARISONS, *REDUCTIONS)  # the others, with operands of any width, are never operands
_MOST_FOLDED = 8  # operators in one expression
_NEVER = re.compile(r"(?!)")


class UnsupportedCellError(NotImplementedError):
    """The writer does not know a kind of cell."""


def netlists(rtlil: str) -> "dict[str, NamedNetlist]":
    """Return the modules of RTLIL text without processes by name, in their order.

    Raises:
        UnsupportedCellError: If the writer of Verilog does not know a cell.
    """
    modules = with_best_names(read(rtlil))
    return {name: NamedNetlist(module, modules) for name, module in modules.items()}


class NamedNetlist:
    """Drivers and readers of a module's nets.

    Args:
        module: The module, with its nets renamed by :func:`vsq.hw.emit.verilog.names.with_best_names`.
        modules: All modules by name, those of its instances among them.

    Attributes:
        cells: The cells that something depends on, in their order.
        drivers: The cell that drives each net.
        spoken: Names for bits that are no net of their own, such as a field or the operand of an adder.
        folded: The result of each operator that has no name: it stands where it is read.
    """

    def __init__(self, module: Module, modules: Mapping[str, Module]) -> None:
        self.module, self.modules = module, modules
        self.drivers = {bit: cell for cell in module.cells for bits in self.outputs(cell).values() for bit in bits}
        alive = self._alive()
        self.cells = self._ordered([cell for cell in module.cells if cell.name in alive])
        self._shorten()
        self.spoken = self._spoken()
        self.folded = self._folded()

    def outputs(self, cell: RtlilCell) -> dict[str, Bits]:
        """Return the output pins of a cell and what they drive."""
        if cell.kind in self.modules:
            outputs = {port.name for port in self.modules[cell.kind].ports if port.direction == "output"}
        elif cell.kind in REGISTERS:
            outputs = {"Q"}
        elif cell.kind == READ:
            outputs = {"DATA"}
        elif cell.kind in OPERATORS:
            outputs = {"Y"}
        elif cell.kind in (WRITE, "$scopeinfo"):
            outputs = set()
        else:
            raise UnsupportedCellError(f"{cell.kind}: the Verilog writer does not know this cell")
        return {pin: bits for pin, bits in cell.pins.items() if pin in outputs}

    def operands(self, cell: RtlilCell) -> dict[str, Bits]:
        """Return the input pins of a cell and what they read, operands extended as the operator does it."""
        outputs = self.outputs(cell)
        pins = {pin: bits for pin, bits in cell.pins.items() if pin not in outputs}
        if cell.kind in _EXTENDED:
            width = len(cell.pins["Y"])
        elif cell.kind in COMPARISONS:
            width = max(len(pins["A"]), len(pins["B"]))
        elif cell.kind in SHIFTS:
            pins["A"] = _extended(pins["A"], cell.is_signed("A"), max(len(pins["A"]), len(cell.pins["Y"])))
            return pins
        elif cell.kind in (READ, WRITE):
            return {pin: bits if pin in ("ADDR", "DATA") else bits[:1] for pin, bits in pins.items()}
        elif cell.kind == "$mul":
            return {pin: bits[: len(cell.pins["Y"])] for pin, bits in pins.items()}
        else:
            return pins
        data = [pin for pin in pins if pin in "AB"]
        signed = cell.kind != "$mux" and cell.is_signed(*data)
        return {pin: _extended(bits, signed, width) if pin in data else bits for pin, bits in pins.items()}

    def _alive(self) -> set[str]:
        """Return the names of the cells that outputs, memories or instances depend on."""
        pending = [cell for cell in self.module.cells if cell.kind in self.modules or cell.kind == WRITE]
        ports = [bit for port in self.module.ports if port.direction == "output" for bit in port.bits]
        pending += self._sources(ports)
        alive: set[str] = set()
        while pending:
            cell = pending.pop()
            if cell.name not in alive:
                alive.add(cell.name)
                pending += self._sources(bit for bits in self.operands(cell).values() for bit in bits)
        return alive

    def _driven(self) -> Iterator[Net]:
        nets = (bit for cell in self.cells for bits in self.outputs(cell).values() for bit in bits)
        return (net for net in nets if isinstance(net, Net))

    def _shorten(self) -> None:
        """Leave out the highest bits of wires that nothing drives: constants, or the same as other nets."""
        widths: Counter[str] = Counter()
        for wire, bit in self._driven():
            widths[wire] = max(widths[wire], bit + 1)
        for name, width in widths.items():
            if not self.module.wires[name].direction:
                self.module.wires[name] = self.module.wires[name]._replace(width=width)

    def _sources(self, bits: Iterable[Bit]) -> list[RtlilCell]:
        return [self.drivers[bit] for bit in canonical(self.module, bits) if bit in self.drivers]

    def readings(self) -> Iterator[Bits]:
        """Yield what is read, as it is written: operands, and outputs that are no net of their own."""
        for cell in self.cells:
            yield from self.operands(cell).values()
        yield from (value for _, value in self.renamed())

    def unread(self) -> dict[str, Bits]:
        """Return the bits that nothing depends on by wire; outputs have none."""
        read = {bit for bits in self.readings() for bit in bits}
        inputs = (
            Net(port.name, bit) for port in self.module.ports if port.direction == "input" for bit in range(port.width)
        )
        wires: defaultdict[str, list[Bit]] = defaultdict(list)
        for net in (*inputs, *self._driven()):
            if net not in read and self.module.wires[net.wire].direction != "output":
                wires[net.wire].append(net)
        return {wire: tuple(bits) for wire, bits in wires.items()}

    def renamed(self) -> Iterator[tuple[Bits, Bits]]:
        """Yield outputs, or those of their bits, that are no net of their own, and the nets that they are."""
        for port in self.module.ports:
            if port.direction == "output":
                pairs = list(zip(port.bits, canonical(self.module, port.bits), strict=True))
                for differs, group in groupby(pairs, key=lambda pair: pair[0] != pair[1]):
                    target, value = zip(*group, strict=True)
                    if differs:
                        yield target, value

    def _ordered(self, cells: Iterable[RtlilCell]) -> list[RtlilCell]:
        """Return cells in their order, but each operator after those that it reads."""
        ordered: dict[str, RtlilCell] = {}

        def place(cell: RtlilCell) -> int:
            number = cell.name.removeprefix("$")  # as Amaranth counts them
            return int(number) if number.isdecimal() else sys.maxsize

        for cell in sorted(cells, key=place):
            pending = [cell]
            while pending:
                cell = pending[-1]
                sources = self._sources(bit for bits in self.operands(cell).values() for bit in bits)
                waiting = [source for source in sources if source.kind in OPERATORS and source.name not in ordered]
                if cell.name in ordered or not waiting or cell.kind not in OPERATORS:
                    ordered.setdefault(pending.pop().name, cell)
                else:
                    pending += waiting[:1]
        return list(ordered.values())

    def _spoken(self) -> dict[Bits, str]:
        """Choose the aliases worth a line: fields of a structure, and lists of bits that are read more than once."""
        counts = Counter(self.readings())
        names: defaultdict[Bits, list[str]] = defaultdict(list)
        driven = {net.wire for net in self.drivers if isinstance(net, Net)}
        for wire in self.module.wires.values():
            bits = canonical(self.module, wire.bits)
            if wire.name not in driven and bits != wire.bits and not wire.direction and not is_made_up(wire.name):
                names[bits].append(wire.name)
        spoken = {}
        for bits, count in counts.items():
            candidates = names[bits]
            (part, _), *others = runs(bits)
            if isinstance(part[0], Net) and part == self.module.wires[part[0].wire].bits and not others:
                continue
            if not others:
                field = re.compile(re.escape(part[0].wire) + "_[a-z]") if isinstance(part[0], Net) else _NEVER
                candidates = [name for name in candidates if field.match(name) and not NUMBERED.search(name)]
            elif count == 1:
                candidates = []
            if candidates:
                spoken[bits] = min(candidates, key=lambda name: (bool(NUMBERED.search(name)), len(name), name))
        return spoken

    def _folded(self) -> dict[Bits, RtlilCell]:
        """Choose the operators whose results have no name: nobody named them, and they are read once, or short."""
        made_up = {name for name, wire in self.module.wires.items() if is_made_up(name) and not wire.direction}
        results = {
            cell.pins["Y"]: cell
            for cell in self.cells
            if cell.kind in _FOLDED and all(isinstance(bit, Net) and bit.wire in made_up for bit in cell.pins["Y"])
        }
        whole = {bit: bits for bits in results for bit in bits}
        places: Counter[Bits] = Counter()
        for bits in (*self.spoken, *(bits for bits in self.readings() if bits not in self.spoken)):
            for part, _ in runs(bits):
                for result in {whole[bit] for bit in part if bit in whole}:
                    places[result] += 1 if part == result else _MOST_FOLDED
        folded: dict[Bits, RtlilCell] = {}
        sizes: Counter[Bits] = Counter()
        for bits, cell in results.items():
            operands = self.operands(cell).values()
            parts = [part for operand in operands if operand not in self.spoken for part, _ in runs(operand)]
            size = 1 + sum(sizes[part] for part in parts)
            short = size == 1 and len(parts) == len(operands) and places[bits] < _MOST_FOLDED
            if short or (places[bits] == 1 and size <= _MOST_FOLDED):
                folded[bits], sizes[bits] = cell, size
        return folded

    def parts(self, bits: Bits) -> list[Bits]:
        """Return the slices, constants and results that bits are made of."""
        return [part for part, _ in runs(bits)]

    def purpose(self, bits: Bits) -> str:
        """Return the name of the first net with a name that bits lead to, or of the memory, or of the instance."""
        seen: set[str] = set()
        pending = [bits]
        while pending:
            nets = set(pending.pop(0))
            for cell in self.cells:
                if cell.name in seen or not any(nets & set(operand) for operand in self.operands(cell).values()):
                    continue
                seen.add(cell.name)
                if cell.kind == WRITE or cell.kind in self.modules:
                    return cell.parameters.get("MEMID", cell.name).removeprefix("\\")
                for result in self.outputs(cell).values():
                    if isinstance(result[0], Net) and not is_made_up(result[0].wire):
                        return result[0].wire
                    pending.append(result)
        for port in self.module.ports:
            if set(canonical(self.module, port.bits)) & set(bits):
                return port.name
        return "value"


def _extended(bits: Bits, signed: bool, width: int) -> Bits:
    return (*bits, *(bits[-1:] if signed else ("0",)) * (width - len(bits)))[:width]


def runs(bits: Bits) -> Iterator[tuple[Bits, int]]:
    """Yield the slices and constants that bits are made of, highest first, and how often each is repeated."""
    high = len(bits)
    while high:
        low = high - 1
        while low and bits[low - 1] == bits[high - 1] and isinstance(bits[high - 1], Net):
            low -= 1
        if high - low > 1 and low and _follows(bits, low):
            low += 1  # the sign of what follows
        count = high - low
        while count == 1 and low and _follows(bits, low):
            low -= 1
        yield (bits[low:high], 1) if count == 1 else (bits[low : low + 1], count)
        high = low


def _follows(bits: Bits, low: int) -> bool:
    """Whether the bit below goes on with a slice or a constant, and does not begin a repetition."""
    bit, below = bits[low], bits[low - 1]
    if isinstance(bit, Net) and isinstance(below, Net):
        repeated = low > 1 and bits[low - 2] == below
        return not repeated and below == Net(bit.wire, bit.bit - 1)
    return not isinstance(bit, Net) and not isinstance(below, Net)
