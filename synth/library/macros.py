"""SRAM macros: cells of Liberty files with a ``memory`` group, by the shape of memory that they can stand in for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from vsq.golden.contract.errors import InputError
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.library.power import Tables, leakage, number
from vsq.synth.library.syntax import Group, parse

MAX_WIDTH, MAX_ADDRESS = 1 << 16, 32  # bits of a word and of an address


@dataclass(frozen=True)
class PortEnergy:
    """Joules of a clock cycle at a port: with an access, and without."""

    access: float
    idle: float

    def per_cycle(self, accesses: float) -> float:
        """Return the joules of a cycle with so many accesses in the mean."""
        return self.idle + (self.access - self.idle) * accesses


@dataclass(frozen=True, kw_only=True)
class MacroEnergy:
    """The energy of a macro: of its ports in joules, and ``leakage`` in watts."""

    read: PortEnergy
    write: PortEnergy
    leakage: float


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A macro with one port that reads and another one that writes, both at a clock edge.

    Attributes:
        name: Of the cell.
        path: The file.
        shape: The shape of memory that it can stand in for.
        area: In the file's unit.
        read_clock, write_clock: Names of the ports' clock pins.
    """

    name: str
    path: Path
    shape: MemoryShape
    area: Decimal
    read_clock: str
    write_clock: str
    cell: Group = field(repr=False)
    root: Group = field(repr=False)

    @property
    def size(self) -> str:
        """The shape in words."""
        return f"{self.shape.depth} words of {self.shape.width} bits"

    def energy(self, slew: float) -> MacroEnergy:
        """Return the energy by the internal power of the clock pins of both ports.

        A cycle is a rise and a fall. With an access it costs what the costliest ``when`` says, without one what the
        cheapest says. Pins of data and addresses have no part in it.

        Args:
            slew: Input transition time, in the file's unit.

        Raises:
            InputError: If the pins have no internal power, or it is not read, or both ports have one clock pin, or a
                cycle's energy or the leakage is negative.
        """
        clocks = [self.read_clock, self.write_clock]
        if len({*clocks}) == 1:
            raise self._refused(f"reads and writes share the clock {clocks[0]}: their energies are not told apart")
        powers = {clock: self._powers(clock) for clock in clocks}
        for clock, groups in powers.items():
            if not groups:
                raise self._refused(f"its clock {clock} has no internal_power: an access has no energy")
        try:
            tables = Tables(self.root)
            read, write = (_port_energy(powers[clock], tables, slew) for clock in clocks)
            watts = _least("leakage power", leakage(self.cell)) * tables.watt
        except ValueError as error:
            raise self._refused(f"its power data is not read ({error})") from None
        return MacroEnergy(read=read, write=write, leakage=watts)

    def _powers(self, clock: str) -> list[Group]:
        pins = (pin for pin in self.cell.find("pin") if clock in pin.arguments)
        return [power for pin in pins for power in pin.find("internal_power")]

    def _refused(self, reason: str) -> InputError:
        return InputError(f"macro {self.name} of {self.path}: {reason}; leave it out, or give a characterised one")


def _port_energy(powers: list[Group], tables: Tables, slew: float) -> PortEnergy:
    cycles = []
    for power in powers:
        edges = [power.find(f"{edge}_power") or power.find("power") for edge in ("rise", "fall")]
        if not all(edges):
            raise ValueError("an internal_power has no energy of both edges")
        joules = float(sum(tables.energy(edge[0])(slew, np.zeros(1))[0] for edge in edges))
        cycles.append(_least("joules of a clock cycle", joules))
    return PortEnergy(access=max(cycles), idle=min(cycles))


def _least(name: str, value: float) -> float:
    if value < 0:
        raise ValueError(f"{name} {value:g} is negative")
    return value


def load_macros(paths: Iterable[Path | str]) -> dict[MemoryShape, Macro]:
    """Return the macros of Liberty files by shape.

    Raises:
        InputError: If a file is missing, malformed or without macros, if a width or an area is out of range, if one
            has no address or no clock of its own for reads, or if two have one shape.
    """
    found: dict[MemoryShape, Macro] = {}
    for path in map(Path, paths):
        for macro in _macros(path):
            other = found.setdefault(macro.shape, macro)
            if other is not macro:
                raise InputError(f"macros {other.name} and {macro.name}: both have {macro.size}; give one of them")
    return found


def _macros(path: Path) -> list[Macro]:
    try:
        root = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"macro {path}: {error.strerror}; give a readable .lib file") from None
    except ValueError as error:
        raise InputError(f"macro {path}: {error}; give an intact .lib file") from None
    cells = [cell for cell in root.find("cell") if cell.find("memory")]
    if not cells:
        raise InputError(f"macro {path}: no cell of it has a memory group; give the Liberty file of an SRAM macro")
    return [_macro(cell, root, path) for cell in cells]


def matching(paths: Iterable[Path | str], memories: Iterable[MemoryShape]) -> dict[MemoryShape, Macro]:
    """Return the macros of Liberty files by shape, each of which some memory has.

    Raises:
        InputError: As :func:`load_macros`, or if a macro has the shape of none of these memories.
    """
    macros, shapes = load_macros(paths), dict.fromkeys(memories)
    for shape, macro in macros.items():
        if shape not in shapes:
            there = ", ".join(f"{other.depth} of {other.width}" for other in shapes if other.registered)
            needs = f"the designs and their baselines have {there}" if there else "a vector MAC has no memory"
            raise InputError(
                f"macro {macro.name} of {macro.path}: it has {macro.size}, and {needs}; give one of such a shape"
            )
    return macros


def _macro(cell: Group, root: Group, path: Path) -> Macro:
    about = cell.find("memory")[0]
    try:
        shape = MemoryShape(_whole(about, "word_width", MAX_WIDTH), 1 << _whole(about, "address_width", MAX_ADDRESS))
        read_clock, write_clock = _clocks(cell)
        area = _attribute(cell, "area")
        if number("area", area) <= 0:
            raise ValueError(f"area {area} is not above 0")
    except ValueError as error:
        raise InputError(f"macro {cell.name} of {path}: {error}; correct the file, or give another") from None
    return Macro(
        name=cell.name,
        path=path,
        shape=shape,
        area=Decimal(area),
        read_clock=read_clock,
        write_clock=write_clock,
        cell=cell,
        root=root,
    )


def _attribute(group: Group, name: str) -> str:
    if name not in group.attributes:
        raise ValueError(f"its group {group.kind} has no {name}")
    return group.attributes[name]


def _whole(group: Group, name: str, most: int) -> int:
    text = _attribute(group, name)
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValueError(f"{name} {text} is not a whole number from 1 to {most}")
    return int(text)


def _clocks(cell: Group) -> tuple[str, str]:
    """Return the clocks of reads and of writes: the port that reads has an address that is none of writes."""
    buses = cell.find("bus")
    writes = [group for bus in buses for group in bus.find("memory_write")]
    written = _attribute(writes[0], "address") if writes else ""
    reads = [bus for bus in buses if any(_attribute(group, "address") != written for group in bus.find("memory_read"))]
    if not writes or not reads:
        raise ValueError(
            "it cannot read one word while it writes another, "
            "which takes an address each for reads and writes (1r1w or 1rw1r)"
        )
    timings = [timing for place in (reads[0], *reads[0].find("pin")) for timing in place.find("timing")]
    clocks = [timing.attributes["related_pin"] for timing in timings if "related_pin" in timing.attributes]
    if not clocks:
        raise ValueError(f"its read bus {reads[0].name} names no clock, which takes a timing group with related_pin")
    return clocks[0], _attribute(writes[0], "clocked_on")
