"""The metal of a layout: wires, vias, pins and what lies inside cells, and which of it touches."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

from vsq.synth.layout.def_file import PORT, Def, LayoutNet, Segment
from vsq.synth.layout.lef import Box as Microns
from vsq.synth.layout.lef import Lef

Box = tuple[int, int, int, int]  # left, bottom, right, top, in units of the DEF

_TILE = 10  # um: the side of the squares that are searched for what touches


@dataclass(frozen=True, kw_only=True)
class Conductor:
    """Boxes by layer that are joined: a piece of wire, a via, a pin, or an obstruction inside a cell.

    Attributes:
        net: Its net; of an obstruction or an unconnected pin its own name, which no net has.
        pin: The instance (or ``PIN``) and the pin that it is, if it is one.
        segment: The wire that it is, if it is one.
        fixed: Whether it is part of a cell or a port.
    """

    net: str
    boxes: tuple[tuple[str, Box], ...]
    pin: tuple[str, str] | None = None
    segment: Segment | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Contact:
    """Two conductors, by their numbers, whose boxes overlap or abut on a layer; ``at`` is the overlap's middle."""

    one: int
    other: int
    layer: str
    at: tuple[int, int]


def conductors(layout: Def, lef: Lef) -> list[Conductor]:
    """Return all metal of a layout.

    Raises:
        KeyError: If the layout names a cell, a via or a layer that the LEF has not.
    """
    widths = {layer.name: round(layer.width * layout.scale) for layer in lef.layers}
    vias = {name: tuple((layer, scaled(box, layout.scale)) for layer, box in boxes) for name, boxes in lef.vias.items()}
    vias |= {name: tuple(item for item in boxes if item[0] in widths) for name, boxes in layout.vias.items()}
    found: list[Conductor] = []
    for name, net in (layout.nets | layout.supplies).items():
        found += _wires(name, net, widths, vias)
    nets = {pin: name for name, net in layout.nets.items() for pin in net.pins}
    for name, component in layout.components.items():
        macro = lef.macros[component.cell]
        place = placement(layout, lef, name)
        for pin, about in macro.pins.items():
            own = lef.supply(about.use) if about.supply else f"{name}/{pin}"
            boxes = tuple((layer, place(box)) for layer, box in about.shapes)
            found.append(Conductor(net=nets.get((name, pin), own), boxes=boxes, pin=(name, pin), fixed=True))
        if macro.obstructions:
            boxes = tuple((layer, place(box)) for layer, box in macro.obstructions)
            found.append(Conductor(net=f"{name} (inside)", boxes=boxes, fixed=True))
    for name, port in layout.ports.items():
        boxes = ((port.layer, moved(turned(port.box, port.orientation), port.at)),)
        found.append(Conductor(net=port.net, boxes=boxes, pin=(PORT, name), fixed=True))
    return found


def _wires(
    name: str, net: LayoutNet, widths: dict[str, int], vias: dict[str, tuple[tuple[str, Box], ...]]
) -> list[Conductor]:
    found = []
    for segment in net.segments:
        half = (segment.width or widths[segment.layer]) // 2
        (x0, y0), (x1, y1) = sorted((segment.start, segment.end))
        across = half if not segment.width or x0 == x1 else 0
        up = half if not segment.width or y0 == y1 else 0
        box = (x0 - across, y0 - up, x1 + across, y1 + up)
        found.append(Conductor(net=name, boxes=((segment.layer, box),), segment=segment))
    for via in net.vias:
        boxes = tuple((layer, moved(box, via.at)) for layer, box in vias[via.name])
        found.append(Conductor(net=name, boxes=boxes))
    return found


def placement(layout: Def, lef: Lef, name: str) -> Callable[[Microns], Box]:
    """Return what places a box of a component's cell, in um from the cell's corner, in the layout."""
    component = layout.components[name]
    macro = lef.macros[component.cell]
    frame = scaled((0, 0, macro.width, macro.height), layout.scale)
    left, bottom, *_ = turned(frame, component.orientation)
    corner = (component.at[0] - left, component.at[1] - bottom)
    return lambda box: moved(turned(scaled(box, layout.scale), component.orientation), corner)


def extent(layout: Def, lef: Lef) -> Box:
    """Return the box around all cells, fillers among them."""
    sizes = {cell: (0.0, 0.0, macro.width, macro.height) for cell, macro in lef.macros.items()}
    boxes = [placement(layout, lef, name)(sizes[about.cell]) for name, about in layout.components.items()]
    left, bottom, right, top = zip(*boxes, strict=True)
    return min(left), min(bottom), max(right), max(top)


def scaled(box: Microns, scale: int) -> Box:
    """Return a box in um in units of the DEF."""
    left, bottom, right, top = (round(number * scale) for number in box)
    return left, bottom, right, top


def turned(box: Box, orientation: str) -> Box:
    """Return a box in an orientation of DEF: N, W, S, E are turns to the left; F flips it sideways after that."""
    x0, y0, x1, y1 = box
    for _ in range("NWSE".index(orientation[-1])):
        x0, y0, x1, y1 = -y1, x0, -y0, x1
    return (-x1, y0, -x0, y1) if orientation.startswith("F") else (x0, y0, x1, y1)


def moved(box: Box, by: tuple[int, int]) -> Box:
    """Return the box at another place."""
    (x, y), (x0, y0, x1, y1) = by, box
    return x0 + x, y0 + y, x1 + x, y1 + y


def contacts(found: list[Conductor], scale: int) -> Iterator[Contact]:
    """Yield every two conductors that touch on a layer, once a layer and place; parts of cells not with each other."""
    tiles: defaultdict[tuple[str, int, int], list[tuple[int, Box]]] = defaultdict(list)
    tile = _TILE * scale
    for number, conductor in enumerate(found):
        for layer, box in conductor.boxes:
            columns, rows = (range(box[axis] // tile, box[axis + 2] // tile + 1) for axis in (0, 1))
            for column, row in product(columns, rows):
                tiles[layer, column, row].append((number, box))
    seen = set()
    for (layer, _, _), members in tiles.items():
        for (one, a), (other, b) in combinations(members, 2):
            if a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3] and one != other:
                if found[one].fixed and found[other].fixed:
                    continue
                at = ((max(a[0], b[0]) + min(a[2], b[2])) // 2, (max(a[1], b[1]) + min(a[3], b[3])) // 2)
                contact = Contact(one, other, layer, at)
                if contact not in seen:
                    seen.add(contact)
                    yield contact
