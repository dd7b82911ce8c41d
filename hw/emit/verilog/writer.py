"""The writer: one module of Verilog for each of RTLIL."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType

from vsq.hw.emit.verilog.expressions import Expressions
from vsq.hw.emit.verilog.netlist import OPERATORS, READ, NamedNetlist
from vsq.hw.emit.verilog.processes import is_clocked, powered_up, processes, word
from vsq.hw.emit.verilog.rtlil import Bits, Net, RtlilCell, RtlilWire

WIDTH = 118  # of a line, where it can be broken

_DEFINITION = re.compile(r"(wire (?:signed )?(?:\[\d+:0\] )?)(\w+) = (.*)", re.DOTALL)


def write(
    netlists: Mapping[str, NamedNetlist],
    comments: Mapping[str, str],
    ports: Mapping[str, str],
    attributes: Mapping[str, str] = MappingProxyType({}),
    replaceable: Collection[str] = (),
    *,
    unused: bool = False,
) -> str:
    """Return modules as Verilog-2001.

    Args:
        netlists: The modules by name, the top module first, from :func:`vsq.hw.emit.verilog.netlist.netlists`.
        comments: Of modules, by name.
        ports: Comments of the top module's ports, by name, in the order in which they are declared.
        attributes: Of the top module's ports, by name.
        replaceable: Modules that a macro of their name leaves out, for others to stand in.
        unused: Whether bits that nothing depends on have names that say so, which linters accept.
    """
    top = next(iter(netlists))
    texts = {
        name: _Writer(netlist, unused).text(comments.get(name, ""), *((ports, attributes) if name == top else ({}, {})))
        for name, netlist in netlists.items()
    }
    return "\n".join(
        f"`ifndef {name} // define it to bring a module of this name\n{text}`endif\n" if name in replaceable else text
        for name, text in texts.items()
    )


class _Writer:
    """Writes one module."""

    def __init__(self, netlist: NamedNetlist, unused: bool) -> None:
        self._unused = netlist.unread() if unused else {}
        self._netlist, self._module, self._modules = netlist, netlist.module, netlist.modules
        self._expression = Expressions(netlist)
        self._clocked = [cell for cell in netlist.cells if is_clocked(cell)]
        self._variables = {net.wire for cell in self._clocked for net in self._driven(cell)}
        self._written: set[Bits] = set()

    def text(self, comment: str, ports: Mapping[str, str], attributes: Mapping[str, str]) -> str:
        """Return the module, after its comment."""
        instances = [self._instance(cell) for cell in self._netlist.cells if cell.kind in self._modules]
        early, operators = _declared_early([*self._operators(), *self._outputs(), *self._unread()])
        parts = [[*self._declarations(), *early], operators, *map(list, instances)]
        parts.append(powered_up(self._clocked, self._netlist, self._expression))
        parts += processes(self._clocked, self._netlist, self._expression)
        paragraphs = ["\n".join(line for text in part for line in _wrapped(text)) for part in map(list, parts) if part]
        head = [*(f"// {line}" for line in wrap(comment, WIDTH)), *self._header(ports, attributes)]
        return "\n".join([*head, "\n\n".join(paragraphs), "endmodule\n"])

    def _driven(self, cell: RtlilCell) -> list[Net]:
        return [bit for bits in self._netlist.outputs(cell).values() for bit in bits if isinstance(bit, Net)]

    def _header(self, comments: Mapping[str, str], attributes: Mapping[str, str]) -> Iterator[str]:
        """Yield the module's name and ports, in the order of the comments; or clock and reset, inputs, outputs."""
        ports = _sorted(self._module.ports, list(comments))
        ranges = max((len(_shape(port)) for port in ports), default=0)
        margin = 17 + ranges + max((len(port.name) for port in ports), default=0)  # before comments
        yield f"module {self._module.name}("
        for port in ports:
            if port.name in attributes:
                yield f"  (* {attributes[port.name]} *)"
            kind = f"{port.direction:6} {'reg' if port.name in self._variables else 'wire':4}"
            name = port.name + ("," if port is not ports[-1] else "")
            declared = f"  {kind} {_shape(port):{ranges}}{' ' * bool(ranges)}{name}"
            first, *more = wrap(comments.get(port.name, ""), WIDTH - margin) or [""]
            yield f"{declared:{margin}}// {first}" if first else declared
            yield from (f"{'':{margin}}// {line}" for line in more)
        yield ");"

    def _declarations(self) -> list[str]:
        """Return registers, memories, and the wires that instances or several operators drive."""
        cells = [c for c in self._netlist.cells if not self._target(c) and c.pins.get("Y") not in self._netlist.folded]
        names = {net.wire: None for cell in cells for net in self._driven(cell)}
        wires = [self._module.wires[name] for name in names if not self._module.wires[name].direction]
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for wire in wires:
            kind = "reg" if wire.name in self._variables else "wire"
            groups[" ".join(filter(None, [kind, _shape(wire)]))].append(self._expression.name(wire.name))
        memories = [
            f'(* ramstyle = "{m.style}" *) ' * bool(m.style) + f"reg [{m.width - 1}:0] {m.name} [0:{m.size - 1}];"
            for m in self._module.memories.values()
        ]
        return [*(f"{kind} {', '.join(names)};" for kind, names in groups.items()), *memories]

    def _declared(self, kind: str, wire: RtlilWire) -> str:
        return " ".join(filter(None, [kind, _shape(wire), self._expression.name(wire.name)]))

    def _target(self, cell: RtlilCell) -> RtlilWire | None:
        """Return the wire that an operator or a memory drives alone and all of."""
        if cell.kind not in (*OPERATORS, READ) or is_clocked(cell):
            return None
        [bits] = self._netlist.outputs(cell).values()
        wire = self._module.wires[bits[0].wire] if isinstance(bits[0], Net) else None
        return wire if wire and wire.bits == bits else None

    def _operators(self) -> Iterator[str]:
        """Yield what operators give, after what they read; names for lists of bits stand before their first use."""
        for cell in self._netlist.cells:
            results = self._netlist.outputs(cell).get("Y", ())
            if results in self._netlist.folded:
                continue
            for bits in self._netlist.operands(cell).values():
                yield from self._names(bits)
            if cell.kind in OPERATORS:
                yield self._definition(cell, self._expression.operator(cell))
            elif cell.kind == READ and not is_clocked(cell):
                yield self._definition(cell, word(cell, self._expression))

    def _names(self, bits: Bits) -> Iterator[str]:
        """Yield the definitions of names by which bits will be written, once."""
        if bits in self._written:
            return
        self._written.add(bits)
        for part in self._netlist.parts(bits):
            if part in self._netlist.folded:
                for operand in self._netlist.operands(self._netlist.folded[part]).values():
                    yield from self._names(operand)
            elif part != bits and part in self._netlist.spoken:
                yield from self._names(part)
        if bits in self._netlist.spoken:
            wire = self._module.wires[self._netlist.spoken[bits]]
            yield f"{self._declared('wire', wire)} = {self._expression.definition(bits)};"

    def _definition(self, cell: RtlilCell, value: str) -> str:
        wire = self._target(cell)
        if wire and not wire.direction:
            return f"{self._declared('wire', wire)} = {value};"
        [bits] = self._netlist.outputs(cell).values()
        return f"assign {self._expression.definition(bits)} = {value};"

    def _outputs(self) -> Iterator[str]:
        for target, value in self._netlist.renamed():
            yield from self._names(value)
            yield f"assign {self._expression.definition(target)} = {self._expression(value)};"

    def _unread(self) -> Iterator[str]:
        """Yield names for bits that nothing depends on: linters accept what is called so."""
        for net, bits in self._unused.items():
            name = self._expression.name(net)
            if "unused" not in name:
                wire = RtlilWire(f"{name}_bits_unused", len(bits))
                yield f"{self._declared('wire', wire)} = {self._expression.definition(bits)};"

    def _instance(self, cell: RtlilCell) -> Iterator[str]:
        pins = [port.name for port in _sorted(self._modules[cell.kind].ports, []) if port.name in cell.pins]
        values = ", ".join(f".{name}({_number(value)})" for name, value in cell.parameters.items())
        yield f"{cell.kind} #({values}) {cell.name}(" if values else f"{cell.kind} {cell.name}("
        for pin in pins:
            yield f"  .{pin}({self._expression(cell.pins[pin])})" + "," * (pin != pins[-1])
        yield ");"


def _declared_early(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return declarations of the wires that are read before their definition, and the lines without these.

    Vectors that read one another's bits, without a loop of bits, have no order in which each is defined first.
    """
    early, rest, read = [], [], set[str]()
    for line in lines:
        definition = _DEFINITION.fullmatch(line)
        read.update(re.findall(r"[A-Za-z_]\w*", definition[3] if definition else line))
        if definition and definition[2] in read:
            early.append(f"{definition[1]}{definition[2]};")
            line = f"assign {definition[2]} = {definition[3]}"
        rest.append(line)
    return early, rest


def _sorted(ports: Iterable[RtlilWire], order: Sequence[str]) -> list[RtlilWire]:
    """Return ports in an order; where there is none, clock and reset, inputs and outputs."""
    order = order or ["clk", "rst"]

    def place(port: RtlilWire) -> tuple[int, bool]:
        return order.index(port.name) if port.name in order else len(order), port.direction == "output"

    return sorted(ports, key=place)


def _shape(wire: RtlilWire) -> str:
    """Return the sign and the range of a wire, as in its declaration."""
    return " ".join(["signed"] * wire.signed + [f"[{wire.width - 1}:0]"] * (wire.width > 1 or wire.signed))


def _number(value: str) -> str:
    """Return a parameter, which RTLIL has as a decimal number or in bits."""
    width, quote, bits = value.partition("'")
    return f"{width}'h{int(bits, 2):x}" if quote else value


def _wrapped(text: str) -> list[str]:
    """Return a line of a module, broken if it is too long."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return wrap(
        text.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
