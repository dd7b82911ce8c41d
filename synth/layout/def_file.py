"""Layouts in the Design Exchange Format (DEF): where cells are, what their pins connect to, and the wires."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Point = tuple[int, int]
PORT = "PIN"  # the instance of a net's connection to a port

_COMMENT = re.compile(r"(?m)^\s*#.*")
_ENTRY = re.compile(r"^\s*-\s(.*?)\s;\s*?$", re.DOTALL | re.MULTILINE)
_ROUTES = ("ROUTED", "FIXED", "COVER", "NOSHIELD")


@dataclass(frozen=True, kw_only=True)
class PlacedCell:
    """A cell with its lower left corner, in units of the DEF, and its orientation, such as N or FS."""

    cell: str
    at: Point
    orientation: str


@dataclass(frozen=True, kw_only=True)
class LayoutPort:
    """A pin of the layout: its net, its place, and its box around that place on a layer."""

    net: str
    layer: str
    box: tuple[int, int, int, int]
    at: Point
    orientation: str


@dataclass(frozen=True)
class Segment:
    """A straight wire between two points: ``width`` wide and no longer, or, if 0, of the layer's width around both."""

    layer: str
    start: Point
    end: Point
    width: int = 0

    @property
    def length(self) -> int:
        """The distance between both points."""
        return abs(self.end[0] - self.start[0]) + abs(self.end[1] - self.start[1])


@dataclass(frozen=True)
class Via:
    """A via at a point."""

    name: str
    at: Point


@dataclass(frozen=True, kw_only=True)
class LayoutNet:
    """A net: the pins that it connects, each an instance (or ``PIN``) and its pin; and its wires, none if unrouted."""

    pins: tuple[tuple[str, str], ...]
    segments: tuple[Segment, ...] = ()
    vias: tuple[Via, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Def:
    """A layout; all lengths are in units, of which a um has ``scale``.

    Attributes:
        die: Left, bottom, right and top of the area.
        vias: Boxes by layer of the vias that the file itself defines.
        nets: The signals, also with those of their wires that have widths of their own.
        supplies: The nets of power and ground, whose pins are those of all cells of their names.
    """

    scale: int
    die: tuple[int, int, int, int]
    components: dict[str, PlacedCell]
    ports: dict[str, LayoutPort]
    nets: dict[str, LayoutNet]
    supplies: dict[str, LayoutNet] = field(default_factory=dict)
    vias: dict[str, tuple[tuple[str, tuple[int, int, int, int]], ...]] = field(default_factory=dict)


def parse(text: str) -> Def:
    """Return the layout.

    Raises:
        ValueError: If the text is malformed; the message says where.
    """
    text = _COMMENT.sub("", text)
    scale, die = re.search(r"UNITS\s+DISTANCE\s+MICRONS\s+(\d+)", text), re.search(r"DIEAREA([^;]*);", text)
    if not scale or not die:
        raise ValueError("DEF without units or area")
    if not int(scale[1]):
        raise ValueError("DEF whose micrometres have 0 units; they have 1 or more")
    corners = _numbers(die[1])
    if len(corners) != 4:
        raise ValueError("DEF whose area is no rectangle")
    nets = dict(_net(entry, wide=False) for entry in _entries(text, "NETS"))
    supplies = dict(_net(entry, wide=True) for entry in _entries(text, "SPECIALNETS"))
    for name in supplies.keys() & nets.keys():
        net, more = nets[name], supplies.pop(name)
        nets[name] = LayoutNet(pins=net.pins, segments=net.segments + more.segments, vias=net.vias + more.vias)
    return Def(
        scale=int(scale[1]),
        die=_box(corners),
        components=dict(map(_component, _entries(text, "COMPONENTS"))),
        ports=dict(map(_port, _entries(text, "PINS"))),
        nets=nets,
        supplies=supplies,
        vias=dict(map(_via, _entries(text, "VIAS"))),
    )


def _entries(text: str, section: str) -> list[str]:
    """Return the entries of a section, without the dash and the semicolon around each."""
    found = re.search(rf"^\s*{section}\s+\d+\s*;(.*?)^\s*END\s+{section}\b", text, re.DOTALL | re.MULTILINE)
    return _ENTRY.findall(found[1]) if found else []


def _component(entry: str) -> tuple[str, PlacedCell]:
    name, cell, *_ = entry.split()
    found = re.search(r"\+\s*(?:PLACED|FIXED)\s*\(\s*(-?\d+)\s+(-?\d+)\s*\)\s*(\w+)", entry)
    if not found:
        raise ValueError(f"component {name} is not placed")
    return name, PlacedCell(cell=cell, at=(int(found[1]), int(found[2])), orientation=found[3])


def _port(entry: str) -> tuple[str, LayoutPort]:
    name, net = entry.split()[0], re.search(r"\+\s*NET\s+(\S+)", entry)
    box = re.search(r"\+\s*LAYER\s+(\S+)([^+]*)", entry)
    at = re.search(r"\+\s*(?:PLACED|FIXED)\s*\(\s*(-?\d+)\s+(-?\d+)\s*\)\s*(\w+)", entry)
    if not (net and box and at):
        raise ValueError(f"pin {name} has no net, box or place")
    place = (int(at[1]), int(at[2]))
    return name, LayoutPort(net=net[1], layer=box[1], box=_box(_numbers(box[2])), at=place, orientation=at[3])


def _via(entry: str) -> tuple[str, tuple[tuple[str, tuple[int, int, int, int]], ...]]:
    boxes = re.findall(r"\+\s*RECT\s+(\S+)([^+]*)", entry)
    return entry.split()[0], tuple((layer, _box(_numbers(numbers))) for layer, numbers in boxes)


def _net(entry: str, *, wide: bool) -> tuple[str, LayoutNet]:
    words = entry.replace("(", " ( ").replace(")", " ) ").split()
    name = words[0]
    start = next((place for place, word in enumerate(words) if word == "+"), len(words))
    pins = re.findall(r"\( (\S+) (\S+) ", " ".join(words[1:start]))
    segments: list[Segment] = []
    vias: list[Via] = []
    try:
        for item in _routes(words[start:], wide):
            (segments if isinstance(item, Segment) else vias).append(item)  # type: ignore[arg-type]
    except (ValueError, IndexError, StopIteration):
        raise ValueError(f"net {name}: its wires are not read") from None
    return name, LayoutNet(pins=tuple(pins), segments=tuple(segments), vias=tuple(vias))


def _routes(words: Sequence[str], wide: bool) -> Iterator[Segment | Via]:
    """Yield wires and vias of a net: layers, points and vias; ``wide`` nets state the width after the layer."""
    place, routing = 0, False
    layer, width = "", 0
    last: Point | None = None
    while place < len(words):
        word = words[place]
        place += 1
        if word == "+":
            routing = words[place] in _ROUTES
            place += 1
        if not routing:
            continue
        if word in ("+", "NEW"):
            layer, last = words[place], None
            width = int(words[place + 1]) if wide else 0
            place += 2 if wide else 1
        elif word == "(":
            x, y = words[place : place + 2]
            place = words.index(")", place) + 1
            point = (_coordinate(x, last, 0), _coordinate(y, last, 1))
            if last is not None and point != last:
                if point[0] != last[0] and point[1] != last[1]:
                    raise ValueError("a wire is not straight")
                yield Segment(layer, last, point, width)
            last = point
        elif last is not None:
            yield Via(word, last)


def _coordinate(word: str, last: Point | None, axis: int) -> int:
    if word == "*":
        if last is None:
            raise ValueError("* without a point before")
        return last[axis]
    return int(word)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def _box(numbers: Sequence[int]) -> tuple[int, int, int, int]:
    """Return left, bottom, right and top of a box given by two corners."""
    x0, y0, x1, y1 = numbers
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
