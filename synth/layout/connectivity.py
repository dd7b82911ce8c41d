"""Connectivity of a layout: its metal joins what its netlist says, and that netlist is the one to be laid out."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from vsq.synth.layout.conductors import Box, Conductor, Contact, placement
from vsq.synth.layout.def_file import PORT, Def
from vsq.synth.layout.lef import Lef
from vsq.synth.layout.netlist import Instance

_SHOWN = 3  # faults of a kind


class LayoutError(Exception):
    """A layout that is not its netlist: a net is open, two touch, cells overlap, or cells are others; one line."""


def check_cells(layout: Def, lef: Lef, wanted: Iterable[Instance]) -> None:
    """Check that the cells are those wanted, joined by nets of the same names, and that none overlaps another.

    Fillers, which have no signals, do not count.

    Raises:
        LayoutError: If they are not.
    """
    found, expected = Counter(instances_of(layout, lef).values()), Counter(wanted)
    faults = [
        f"{what} {cell} ({', '.join(f'{pin} {net}' for pin, net in sorted(pins))})"
        for what, cells in (("missing", expected - found), ("not in the netlist:", found - expected))
        for cell, pins in cells
    ]
    rows: defaultdict[int, list[tuple[Box, str]]] = defaultdict(list)
    for name, component in layout.components.items():
        macro = lef.macros[component.cell]
        box = placement(layout, lef, name)((0, 0, macro.width, macro.height))
        rows[box[1]].append((box, name))
    for row in rows.values():
        row.sort()
        faults += [f"{one} overlaps {other}" for (a, one), (b, other) in pairwise(row) if b[0] < a[2]]
    _refuse("cells", faults)


def check_ports(layout: Def, wanted: Collection[str]) -> None:
    """Check that the ports are those wanted, and that each is on the net of its name and on no other.

    Ports of the supplies do not count.

    Raises:
        LayoutError: If they are not.
    """
    joined = {(port, name) for name, net in layout.nets.items() for instance, port in net.pins if instance == PORT}
    placed = {(name, port.net) for name, port in layout.ports.items() if port.net not in layout.supplies}
    expected = {(name, name) for name in wanted}
    faults = [
        f"{what} {port} on {net}"
        for what, ports in (
            ("missing", expected - (joined & placed)),
            ("not in the netlist:", (joined | placed) - expected),
        )
        for port, net in sorted(ports)
    ]
    _refuse("ports", faults)


def check_wires(layout: Def, found: Sequence[Conductor], touching: Iterable[Contact]) -> None:
    """Check that what touches is of one net, and that the pins of each net are all joined by metal.

    Args:
        layout: A routed layout.
        found: Its conductors.
        touching: Which of them touch.

    Raises:
        LayoutError: If two nets touch, a net touches the inside of a cell, or a net is open.
    """
    parents = list(range(len(found)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    shorts: dict[tuple[str, str], str] = {}
    for contact in touching:
        one, other = sorted((found[contact.one].net, found[contact.other].net))
        if one == other:
            parents[root(contact.one)] = root(contact.other)
        else:
            x, y = (length / layout.scale for length in contact.at)
            shorts.setdefault((one, other), f"{one} touches {other} on {contact.layer} at {x:g}, {y:g} um")
    _refuse("shorts", [*shorts.values()])
    groups: defaultdict[str, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for number, conductor in enumerate(found):
        if conductor.pin and conductor.net in layout.nets:
            groups[conductor.net][root(number)].append(" ".join(conductor.pin))
    faults = []
    for net, parts in groups.items():
        if len(parts) > 1:
            alone = min(parts.values(), key=len)
            faults.append(f"{net}, in {len(parts)} parts, one of them {', '.join(alone)}")
    _refuse("open nets", faults)


def instances_of(layout: Def, lef: Lef) -> dict[str, Instance]:
    """Return the cells of a layout by name, without fillers."""
    pins: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for net, about in layout.nets.items():
        for instance, pin in about.pins:
            pins[instance].add((pin, net))
    return {
        name: (component.cell, frozenset(pins[name]))
        for name, component in layout.components.items()
        if not all(pin.supply for pin in lef.macros[component.cell].pins.values())
    }


def _refuse(what: str, faults: Sequence[str]) -> None:
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise LayoutError(f"{what}: {'; '.join(faults[:_SHOWN])}{more}")
