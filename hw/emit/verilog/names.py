"""The one name of each net: RTLIL has many, of which Yosys keeps the first, and some are made up.

Made up are Yosys's own names (``$7``), Amaranth's for signals without one (``_signal``), and ``port3``, by which
:mod:`vsq.hw.emit.emission` calls ports of parts. A net has the name of its port; where that is made up, or there is
none, the one that Yosys keeps; and where that is made up too, the shortest that is not. A port of a part of which all
names are made up is called as the nets that it is made of, or as the net outside.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile

from vsq.hw.emit.verilog.rtlil import Bit, Bits, Module, Net, RtlilCell, RtlilWire

_MADE_UP = re.compile(r"\$|_(?:signal|like|signature)\b|_(?:signal|like|signature)_|(?:\w+_)?port\d+$")
NUMBERED = re.compile(r"_\d+_?$")  # what ends a name that is one of several
_MOST_PIECES = 3  # whose names make up that of a port


def canonical(module: Module, bits: Iterable[Bit]) -> Bits:
    """Return the bits that these take their values from."""

    def source(bit: Bit) -> Bit:
        while bit in module.aliases:
            bit = module.aliases[bit]
        return bit

    return tuple(map(source, bits))


def is_made_up(name: str) -> bool:
    """Whether no source has the name."""
    return bool(_MADE_UP.match(name))


def with_best_names(modules: Iterable[Module]) -> dict[str, Module]:
    """Return the modules by name, each net of which has one name, and aliases only where it has no other."""
    named, pins = {}, {}
    for module in modules:
        names = _best_names(module)
        named[module.name] = _renamed(module, names)
        pins[module.name] = {wire.name: names.get(wire.name, wire.name) for wire in module.ports}
    _rename_pins(named, pins)
    ports: dict[str, dict[str, str]] = {}
    for module in named.values():
        for cell in module.cells:
            if cell.kind in named and cell.kind not in ports:
                ports[cell.kind] = _names_of_ports(named[cell.kind], module, cell)
    _rename_pins(named, ports)
    return {name: _renamed(module, ports.get(name, {})) for name, module in named.items()}


def _rename_pins(modules: Mapping[str, Module], names: Mapping[str, Mapping[str, str]]) -> None:
    """Connect instances by the new names of their modules' ports."""
    for module in modules.values():
        module.cells = [
            cell._replace(pins={names.get(cell.kind, {}).get(pin, pin): bits for pin, bits in cell.pins.items()})
            for cell in module.cells
        ]


def _names_of_ports(part: Module, outside: Module, cell: RtlilCell) -> dict[str, str]:
    """Return new names of a part's ports that have none, as far as there are any in it or outside."""
    names: dict[str, str] = {}
    for port in part.ports:
        if is_made_up(port.name):
            inside, beyond = _pieces(part, port.bits), _pieces(outside, cell.pins[port.name])
            name = _of_pieces(inside) or _of_outside(beyond, cell.name)
            name = name.removeprefix("i__").removeprefix("o__")  # of a stream's end inside, or at the other part
            name += f"_{port.direction.removesuffix('put')}" * (name in part.wires)
            if name and name not in part.wires and name not in names.values():
                names[port.name] = name
    return names


def _pieces(module: Module, bits: Bits) -> list[str]:
    """Return the names of the nets that bits are made of, as few as there may be; none if some bits have no name."""
    bits, pieces, place = canonical(module, bits), [], 0
    named = [(canonical(module, wire.bits), wire) for wire in module.wires.values() if not is_made_up(wire.name)]
    while place < len(bits):
        fitting = [wire for nets, wire in named if nets == bits[place : place + len(nets)]]
        if not fitting:
            return []
        best = min(fitting, key=lambda wire: (-wire.width, *_rank(wire, None)))
        pieces.append(best.name)
        place += best.width
    return pieces


def _of_pieces(pieces: list[str]) -> str:
    """Return the names of a few pieces in their order, or what the names of many begin with."""
    if any("__" in name for name in pieces) or len(pieces) > _MOST_PIECES:
        return NUMBERED.sub("", _beginning(pieces))
    return "_".join(pieces)


def _of_outside(pieces: list[str], cell: str) -> str:
    """Return the name of the one net outside, without the path that it shares with the instance."""
    [name] = pieces if len(pieces) == 1 else [""]
    return NUMBERED.sub("", name.removeprefix(_beginning([name, cell])).lstrip("_"))


def _beginning(names: Iterable[str]) -> str:
    """Return the words that all names begin with."""
    words = zip(*(name.split("_") for name in names), strict=False)
    return "_".join(first for first, *_ in takewhile(lambda each: len({*each}) == 1, words))


def _best_names(module: Module) -> dict[str, str]:
    """Return the new names of wires by their old ones."""
    groups: dict[Bits, list[RtlilWire]] = {}
    for wire in module.wires.values():
        groups.setdefault(canonical(module, wire.bits), []).append(wire)
    names: dict[str, str] = {}
    for bits, group in groups.items():
        root = next((wire for wire in group if wire.bits == bits), None)
        ports = [wire for wire in group if wire.direction]
        if root or ports:
            best = min(group, key=lambda wire: (is_made_up(wire.name), not wire.direction, *_rank(wire, root)))
            owner = root if root and root.direction else min(ports, key=lambda wire: wire.place, default=root)
            if best.direction:
                owner = best
            names |= {wire.name: best.name for wire in (root, owner) if wire}
    return names


def _rank(wire: RtlilWire, root: RtlilWire | None) -> tuple[bool, bool, int, str]:
    return bool(NUMBERED.search(wire.name)), wire is not root, len(wire.name), wire.name


def _renamed(module: Module, names: dict[str, str]) -> Module:
    """Return the module with nets renamed; names of the same net become one."""

    def new(bit: Bit) -> Bit:
        return bit._replace(wire=names.get(bit.wire, bit.wire)) if isinstance(bit, Net) else bit

    renamed = Module(module.name, memories=module.memories)
    for wire in module.wires.values():
        name = names.get(wire.name, wire.name)
        if wire.direction or name not in renamed.wires or (name == wire.name and not renamed.wires[name].direction):
            renamed.wires[name] = wire._replace(name=name)
    for cell in module.cells:
        pins = {pin: tuple(map(new, canonical(module, bits))) for pin, bits in cell.pins.items()}
        renamed.cells.append(cell._replace(pins=pins))
    aliases = {new(bit): new(*canonical(module, [bit])) for bit in module.aliases}
    renamed.aliases = {bit: source for bit, source in aliases.items() if bit != source}
    renamed.initial = {new(*canonical(module, [bit])): value for bit, value in module.initial.items()}
    return renamed
