"""A reader of RTLIL as Yosys writes it after ``proc``: modules of wires, memories, cells and aliases, bit by bit.

Source: Yosys manual, appendix "RTLIL text representation".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Net(NamedTuple):
    """One bit of a wire."""

    wire: str
    bit: int


Bit = Net | str  # a constant is "0", "1" or "x"
Bits = tuple[Bit, ...]  # least significant bit first


class RtlilWire(NamedTuple):
    """A wire; ``direction`` is empty inside a module, and ``place`` that of a port among the ports."""

    name: str
    width: int = 1
    signed: bool = False
    direction: str = ""
    place: int = 0

    @property
    def bits(self) -> Bits:
        """All bits of the wire."""
        return tuple(Net(self.name, index) for index in range(self.width))


class RtlilMemory(NamedTuple):
    """A memory of ``size`` words; ``style`` is the attribute ``ramstyle``."""

    name: str
    width: int
    size: int
    style: str = ""


class RtlilCell(NamedTuple):
    """A cell: an operator, a register or an access of a memory (``$...``), or an instance of a module."""

    kind: str
    name: str
    parameters: dict[str, str]
    pins: dict[str, Bits]

    def number(self, parameter: str) -> int:
        """Return a parameter that is an unsigned integer."""
        value = self.parameters[parameter]
        return int(value.partition("'")[2], 2) if "'" in value else int(value)

    def is_signed(self, *operands: str) -> bool:
        """Whether all of these operands are signed."""
        return all(self.number(f"{operand}_SIGNED") for operand in operands)


@dataclass
class Module:
    """A module; ``aliases`` are the connections without a cell: bits, and the bits that they take their value from.

    ``initial`` are the values that bits have at power-up.
    """

    name: str
    wires: dict[str, RtlilWire] = field(default_factory=dict)
    memories: dict[str, RtlilMemory] = field(default_factory=dict)
    cells: list[RtlilCell] = field(default_factory=list)
    aliases: dict[Bit, Bit] = field(default_factory=dict)
    initial: dict[Bit, Bit] = field(default_factory=dict)

    @property
    def ports(self) -> list[RtlilWire]:
        """The ports in their order."""
        return sorted((wire for wire in self.wires.values() if wire.direction), key=lambda wire: wire.place)


_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[[^\]]*\]|\S+')
_WIRE = re.compile(r"wire(?: width (\d+))?(?: (input|output) (\d+))?( signed)? (\S+)")


def read(text: str) -> list[Module]:
    """Return the modules of RTLIL text without processes."""
    modules: list[Module] = []
    cell: RtlilCell | None = None
    initial: Bits = ()
    style = ""
    for line in map(str.strip, text.splitlines()):
        keyword, _, rest = line.partition(" ")
        if keyword == "module":
            modules.append(Module(_name(rest)))
        elif keyword == "attribute" and rest.startswith("\\init "):
            initial = constant(rest.split()[1])
        elif keyword == "attribute" and rest.startswith("\\ramstyle "):
            style = rest.split()[1].strip('"')
        elif keyword == "wire":
            wire = _wire(line)
            modules[-1].wires[wire.name] = wire
            modules[-1].initial |= zip(wire.bits, initial, strict=False)
            initial = ()
        elif keyword == "memory":
            *options, name = rest.split()  # Yosys leaves out what is 1 wide
            given = dict(zip(options[::2], map(int, options[1::2]), strict=True))
            modules[-1].memories[_name(name)] = RtlilMemory(_name(name), given.get("width", 1), given["size"], style)
            style = ""
        elif keyword == "cell":
            kind, name = map(_name, rest.split())
            cell = RtlilCell(kind, name, {}, {})
            modules[-1].cells.append(cell)
        elif keyword == "parameter" and cell:
            *_, name, value = _TOKEN.findall(rest)
            cell.parameters[_name(name)] = value.strip('"').replace("\\\\", "\\")
        elif keyword == "connect":
            tokens = iter(_TOKEN.findall(rest))
            if cell:
                pin = _name(next(tokens))
                [cell.pins[pin]] = _signals(tokens, modules[-1].wires)
            else:
                modules[-1].aliases |= zip(*_signals(tokens, modules[-1].wires), strict=True)
        elif keyword == "end":
            cell = None
    return modules


def constant(text: str) -> Bits:
    """Return the bits of a constant; one that is undefined throughout has one digit, one of 32 bits may be a number."""
    width, quote, digits = text.partition("'")
    if not quote:
        return tuple(reversed(f"{int(text) % (1 << 32):032b}"))
    return tuple(reversed(digits.rjust(int(width), "x")))


def _name(text: str) -> str:
    return text.removeprefix("\\")


def _wire(line: str) -> RtlilWire:
    match = _WIRE.fullmatch(line)
    assert match, line
    width, direction, place, signed, name = match.groups()
    return RtlilWire(_name(name), int(width or 1), bool(signed), direction or "", int(place or 0))


def _signals(tokens: Iterator[str], wires: Mapping[str, RtlilWire]) -> Iterator[Bits]:
    """Yield the signals that tokens stand for; a selection of bits follows its wire, and ``{`` opens a list."""
    token = next(tokens, "")
    while token:
        following = next(tokens, "") if token != "{" else ""
        if token == "{":
            parts = list(_signals(_until_brace(tokens), wires))
            yield tuple(bit for part in reversed(parts) for bit in part)
            following = next(tokens, "")
        elif token[0].isdigit() or token[0] == "-":
            yield constant(token)
        elif following.startswith("["):
            high, _, low = following.strip("[]").partition(":")
            yield tuple(Net(_name(token), index) for index in range(int(low or high), int(high) + 1))
            following = next(tokens, "")
        else:
            yield wires[_name(token)].bits
        token = following


def _until_brace(tokens: Iterator[str]) -> Iterator[str]:
    for token in tokens:
        if token == "}":
            return
        yield token
