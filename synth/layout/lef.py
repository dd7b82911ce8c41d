"""Cells and layers of a library in the Library Exchange Format (LEF): what place and route see of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median

from vsq.golden.contract.errors import InputError

Box = tuple[float, float, float, float]  # left, bottom, right, top, in micrometres

# What has a block of its own. Those of the second kind have no name; all others end with ``END name``.
_NAMED = {"LAYER", "VIA", "VIARULE", "SITE", "MACRO", "NONDEFAULTRULE", "PIN"}
_NAMELESS = {"UNITS", "SPACING", "PROPERTYDEFINITIONS", "PORT", "OBS", "DENSITY"}
_INNER = {
    "": _NAMED | _NAMELESS - {"PORT", "OBS"},
    "MACRO": {"PIN", "OBS", "DENSITY"},
    "PIN": {"PORT"},
    "NONDEFAULTRULE": {"LAYER", "VIA"},
}
_MARKS = {"DEFAULT", "GENERATE", "TOPOFSTACKONLY"}  # they follow the name of a via
_SAME_AREA = 0.05  # by which areas in LEF and Liberty may differ
_UNREAD = re.compile(r'"[^"]*"|#.*')  # texts in quotes, which may hold anything, and comments


@dataclass(frozen=True, kw_only=True)
class Metal:
    """A metal: ``pitch`` and ``width`` in um, ohms a square, farads a square um and a um of each edge."""

    name: str
    horizontal: bool
    pitch: float
    width: float
    sheet_resistance: float
    area_capacitance: float
    edge_capacitance: float

    @property
    def capacitance(self) -> float:
        """Farads of a um of wire: over its area, and along both edges."""
        return self.area_capacitance * self.width + 2 * self.edge_capacitance

    @property
    def resistance(self) -> float:
        """Ohms of a um of wire."""
        return self.sheet_resistance / self.width


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pin of a cell, whose ``shapes``, each a layer and a box, are joined inside it."""

    use: str  # SIGNAL, POWER, GROUND, CLOCK
    shapes: tuple[tuple[str, Box], ...]

    @property
    def supply(self) -> bool:
        """Whether it is power or ground."""
        return self.use in ("POWER", "GROUND")


@dataclass(frozen=True, kw_only=True)
class LefCell:
    """A cell: its size in um, pins, and the wires inside it that others must not touch."""

    name: str
    width: float
    height: float
    pins: dict[str, Pin]
    obstructions: tuple[tuple[str, Box], ...] = ()

    @property
    def area(self) -> float:
        """Its area in square um."""
        return self.width * self.height


@dataclass(frozen=True, kw_only=True)
class Lef:
    """The LEF files of a library.

    Attributes:
        layers: The metals, lowest first.
        vias: Their shapes, each a layer (metals alone) and a box around the via's point.
        grid: Steps of manufacture in um; 0 if the files do not say.
        text: The files as one.
    """

    layers: tuple[Metal, ...]
    vias: dict[str, tuple[tuple[str, Box], ...]]
    macros: dict[str, LefCell]
    grid: float = 0.0
    text: str = field(default="", repr=False)

    @classmethod
    def load(cls, paths: Sequence[Path]) -> "Lef":
        """Read files, that of the layers first.

        Raises:
            InputError: If a file is missing or malformed, or there are less than three metals, or no cell to fill with.
        """
        texts = []
        for path in paths:
            try:
                texts.append(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not a text file"
                raise InputError(f"LEF file {path}: {reason}; give a readable .lef file") from None
        text = "\n".join(re.sub(r"^\s*END\s+LIBRARY.*", "", text, flags=re.MULTILINE) for text in texts)
        files = ", ".join(map(str, paths))
        try:
            found = parse(f"{text}\nEND LIBRARY\n")
        except (ValueError, IndexError, KeyError, StopIteration) as error:
            raise InputError(f"LEF file {files}: {_reason(error)}; give intact .lef files") from None
        if len(found.layers) < 3:
            raise InputError(
                f"LEF file {files}: {len(found.layers)} routing layers, and a layout needs three; "
                "give the technology's LEF first, then that of the cells"
            )
        if found.filler is None:
            raise InputError(f"LEF file {files}: no cell without signals, to fill rows with; give the LEF of all cells")
        return found

    @property
    def scale(self) -> int:
        """Units of length of placement in a um, as qflow takes them: 100, or more if the grid is finer."""
        steps = round(1 / self.grid) if self.grid else 1
        return max(100, next((scale for scale in (100, 200, 1000, 2000, 10000, 20000) if scale % steps == 0), steps))

    @cached_property
    def filler(self) -> LefCell | None:
        """The narrowest cell that has supply pins alone."""
        empty = [macro for macro in self.macros.values() if macro.pins and all(p.supply for p in macro.pins.values())]
        return min(empty, key=lambda macro: (macro.width, macro.name), default=None)

    def supply(self, use: str) -> str:
        """Return the name of the filler's pin of this use, POWER or GROUND."""
        assert self.filler is not None
        return next((name for name, pin in self.filler.pins.items() if pin.use == use), use)


def check_process(lef: Lef, areas: Mapping[str, Decimal]) -> None:
    """Check that cells are about as large in LEF as in Liberty, in square um: the median of their ratios is 1.

    That it is the same for all cells says nothing: the sizes of a process are often those of another one, scaled.

    Args:
        lef: The cells in LEF.
        areas: By name of a cell, in Liberty.

    Raises:
        InputError: If the median is off by more than 5 %.
    """
    ratio = median([lef.macros[cell].area / float(area) for cell, area in areas.items() if area] or [1.0])
    if abs(ratio - 1) > _SAME_AREA:
        raise InputError(
            f"LEF: cells have {ratio:.3g} times the areas (um2) that Liberty says; give both files of one process"
        )


@dataclass
class _Block:
    kind: str
    name: str
    statements: list[list[str]] = field(default_factory=list)
    blocks: list["_Block"] = field(default_factory=list)

    def find(self, kind: str) -> list["_Block"]:
        return [block for block in self.blocks if block.kind == kind]

    def value(self, name: str, default: list[str]) -> list[str]:
        """Return the words after a statement's first."""
        return next((words[1:] for words in self.statements if words[0] == name), default)

    def number(self, name: str) -> float:
        """Return the first number of a statement; 0 if there is none."""
        return float(self.value(name, ["0"])[-1 if name in ("RESISTANCE", "CAPACITANCE") else 0])


def parse(text: str) -> Lef:
    """Return the library of LEF text.

    Raises:
        ValueError, IndexError, KeyError, StopIteration: If it is malformed.
    """
    root = _read(iter(_UNREAD.sub("", text).replace(";", " ; ").split()), _Block("", "LIBRARY"))
    farad = 1e-12  # LEF's picofarads
    layers = tuple(
        Metal(
            name=block.name,
            horizontal=block.value("DIRECTION", ["HORIZONTAL"])[0] == "HORIZONTAL",
            pitch=block.number("PITCH"),
            width=block.number("WIDTH"),
            sheet_resistance=block.number("RESISTANCE"),
            area_capacitance=block.number("CAPACITANCE") * farad,
            edge_capacitance=block.number("EDGECAPACITANCE") * farad,
        )
        for block in root.find("LAYER")
        if block.value("TYPE", [""])[0] == "ROUTING"
    )
    if odd := next((layer.name for layer in layers if not (layer.pitch > 0 and layer.width > 0)), None):
        raise ValueError(f"layer {odd} has no pitch or width")
    if odd := next((layer.name for layer in layers if not layer.capacitance > 0), None):
        raise ValueError(f"layer {odd} has no capacitance")
    metals = {layer.name for layer in layers}
    macros = {}
    for block in root.find("MACRO"):
        width, _, height = block.value("SIZE", ["0", "BY", "0"])
        origin = tuple(map(float, block.value("ORIGIN", ["0", "0"])))
        pins = {
            pin.name: Pin(
                use=pin.value("USE", ["SIGNAL"])[0],
                shapes=tuple(shape for port in pin.find("PORT") for shape in _shapes(port, metals, origin)),
            )
            for pin in block.find("PIN")
        }
        inside = tuple(shape for part in block.find("OBS") for shape in _shapes(part, metals, origin))
        macros[block.name] = LefCell(
            name=block.name, width=float(width), height=float(height), pins=pins, obstructions=inside
        )
    return Lef(
        layers=layers,
        vias={block.name: tuple(_shapes(block, metals)) for block in root.find("VIA")},
        macros=macros,
        grid=root.number("MANUFACTURINGGRID"),
        text=text,
    )


def _read(words: Iterator[str], block: _Block) -> _Block:
    """Read a block up to its end."""
    inner = _INNER.get(block.kind, set())
    for word in words:
        if word in _MARKS or word == ";":
            continue
        if word == "END":
            if block.kind not in ("PORT", "OBS", "DENSITY") and (name := next(words)) not in (block.name, block.kind):
                raise ValueError(f"{block.kind} {block.name} ends with END {name}")
            return block
        if word in inner:
            block.blocks.append(_read(words, _Block(word, next(words) if word in _NAMED else "")))
            continue
        statement = [word]
        while (word := next(words)) != ";":
            statement.append(word)
        block.statements.append(statement)
    raise ValueError(f"{block.kind} {block.name} has no end")


def _shapes(block: _Block, metals: set[str], origin: Sequence[float] = (0.0, 0.0)) -> Iterator[tuple[str, Box]]:
    """Yield the boxes of a block on metals, polygons in several."""
    layer, (x, y) = "", origin
    for words in block.statements:
        if words[0] == "LAYER":
            layer = words[1]
        elif words[0] in ("RECT", "POLYGON") and layer in metals:
            words = words[3:] if words[1] == "MASK" else words[1:]
            numbers = [float(word) for word in words if word not in ("(", ")")]
            corners = [(across + x, up + y) for across, up in zip(numbers[::2], numbers[1::2], strict=True)]
            if len(corners) == 2:
                (x0, y0), (x1, y1) = corners
                yield layer, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            else:
                yield from ((layer, box) for box in _cut(corners))


def _cut(corners: Sequence[tuple[float, float]]) -> Iterator[Box]:
    """Yield a polygon of horizontal and vertical edges as boxes, by rows."""
    edges = [*pairwise([*corners, corners[0]])]
    if any(x0 != x1 and y0 != y1 for (x0, y0), (x1, y1) in edges):
        raise ValueError("a polygon with slanted edges is not read")
    for low, high in pairwise(sorted({y for _, y in corners})):
        sides = sorted(x0 for (x0, y0), (x1, y1) in edges if x0 == x1 and min(y0, y1) <= low and high <= max(y0, y1))
        yield from ((left, low, right, high) for left, right in zip(sides[::2], sides[1::2], strict=True))


def _reason(error: Exception) -> str:
    return "it ends too early" if isinstance(error, StopIteration) else str(error) or type(error).__name__
