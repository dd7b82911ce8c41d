"""Standard-cell libraries in the Liberty format: which cells there are, how large they are, what they compute."""

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.synth.library.syntax import Group, LibertySyntaxError, names, parse, truth_table

# The libraries that come with the project: NAND2 equivalents (the default), and a count of generic two-input gates.
BUILT_IN = {name: Path(__file__).parent / f"{name}.lib" for name in ("nand2", "gates")}

# Areas that a published library states wrongly, by library and cell: as published, and the width times height of the
# cell in the library's own LEF, which the area of an abutted cell is. A mapper that minimizes area is drawn to a cell
# that is stated too small. OSU's 180 nm library is that of Debian's qflow-tech-osu018 and of its other copies.
WRONG_AREAS = {"osu018_stdcells": {"LATCH": ("0", "56"), "NAND3X1": ("36", "32"), "OAI21X1": ("23", "32")}}

# Truth tables: bit i is the output for the input code i. Adders are symmetric, so pin order does not matter.
INVERTER = 0b01
NAND2, NOR2, AND2, OR2, XOR2 = 0b0111, 0b0001, 0b1000, 0b1110, 0b0110
MAJORITY, PARITY = 0b1110_1000, 0b1001_0110
MAX_INPUTS = 10  # a cell with more is a macro, which no mapper picks by its function


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One cell: ``area`` in the library's unit, ``functions`` as truth tables over ``inputs`` by output pin.

    Outputs that no truth table over the inputs describes (sequential, three-state) are left out of ``functions``.
    """

    name: str
    area: Decimal
    inputs: tuple[str, ...]
    functions: dict[str, int]
    flip_flop: bool
    sequential: bool


@dataclass(frozen=True, kw_only=True)
class AdderCell:
    """A full-adder (three inputs) or half-adder cell (two), with the pins that carry and sum appear on."""

    cell: Cell
    carry: str
    sum: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """The usable cells of one Liberty file (cells marked ``dont_use`` are not among them).

    ``text`` is the file's with right areas, ``root`` the text as groups; ``corrections`` are ``CELL WRONG -> RIGHT``.
    """

    path: Path
    cells: dict[str, Cell]
    text: str = field(repr=False)
    root: Group = field(repr=False)
    corrections: list[str]

    @classmethod
    def load(cls, path: Path | str = "nand2") -> "Library":
        """Read and check a Liberty file, or a built-in library by its name.

        Raises:
            InputError: If the file is missing or malformed, or lacks what any design needs: a flip-flop, an inverter, a
                two-input NAND, NOR, AND or OR, and a gate of a third function. The message names the file, the rule it
                breaks and how to fix it.
        """
        path = BUILT_IN.get(str(path), Path(path))
        try:
            text, corrections = _corrected(path.read_text(encoding="utf-8"))
            root = parse(text)
            cells = [_cell(group) for group in root.find("cell") if group.attributes.get("dont_use") != "true"]
        except OSError as error:
            raise InputError(f"Liberty file {path}: {error.strerror}; give a readable .lib file") from None
        except UnicodeDecodeError:
            raise InputError(f"Liberty file {path}: not a text file; give an uncompressed .lib file") from None
        except LibertySyntaxError as error:
            raise InputError(f"Liberty file {path}: {error}; give an intact .lib file") from None
        by_name = {cell.name: cell for cell in cells}
        library = cls(path=path, cells=by_name, text=text, root=root, corrections=corrections)
        functions = {(len(cell.inputs), *cell.functions.values()) for cell in cells if len(cell.functions) == 1}
        needs = {
            "a flip-flop (a cell with an ff group)": any(cell.flip_flop for cell in cells),
            "an inverter": library.smallest(1, INVERTER),
            "a two-input NAND, NOR, AND or OR": any(library.smallest(2, gate) for gate in (NAND2, NOR2, AND2, OR2)),
            "a gate of a third function, which ABC asks for": len(functions) >= 3,
        }
        for need, met in needs.items():
            if not met:
                raise InputError(
                    f"Liberty file {path}: none of its {len(cells)} usable cells is {need}; give a library that has one"
                )
        return library

    @property
    def name(self) -> str:
        """The library's name in the file."""
        return self.root.name

    @property
    def timed(self) -> bool:
        """Whether any usable cell has timing."""
        groups = (group for group in self.root.find("cell") if group.name in self.cells)
        return any(pin.find("timing") for group in groups for pin in group.find("pin"))

    def smallest(self, inputs: int, table: int) -> Cell | None:
        """Return the smallest cell of ``inputs`` pins whose only output has this truth table."""
        found = [c for c in self.cells.values() if len(c.inputs) == inputs and list(c.functions.values()) == [table]]
        return min(found, key=_area, default=None)

    @cached_property
    def full_adder(self) -> AdderCell | None:
        """The smallest cell with the outputs majority and parity of its three inputs, whatever it is called."""
        return self._adder(3, MAJORITY, PARITY)

    @cached_property
    def half_adder(self) -> AdderCell | None:
        """The smallest cell with the outputs AND and XOR of its two inputs."""
        return self._adder(2, AND2, XOR2)

    def _adder(self, inputs: int, carry: int, total: int) -> AdderCell | None:
        found = [
            AdderCell(cell=cell, carry=pins[carry], sum=pins[total])
            for cell in self.cells.values()
            if len(cell.inputs) == inputs
            and len(cell.functions) == 2
            and {carry, total} == set(pins := {table: pin for pin, table in cell.functions.items()})
        ]
        return min(found, key=lambda adder: _area(adder.cell), default=None)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, corrections included, so that a report says which version of a library it means."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def notes(self) -> list[str]:
        """Notes for people on the library's figures, a sentence each."""
        if not self.corrections:
            return []
        return [f"Library {self.name}: areas corrected to those of its LEF: {', '.join(self.corrections)}."]

    @property
    def unit(self) -> str:
        """The unit of areas: cells if each has area 1, NAND2 if the smallest NAND2 has, else the file's own."""
        nand = self.smallest(2, NAND2)
        if {cell.area for cell in self.cells.values()} == {1}:
            return "cells"
        return "NAND2" if nand and nand.area == 1 else "library unit"


def _area(cell: Cell) -> tuple[Decimal, str]:
    return cell.area, cell.name


def _corrected(text: str) -> tuple[str, list[str]]:
    """Return the text with right areas, and ``CELL WRONG -> RIGHT`` for each; what somebody has corrected stays."""
    corrections: list[str] = []
    name = re.search(r'\blibrary\s*\(\s*"?([^\s")]*)', text)
    for cell, (wrong, right) in WRONG_AREAS.get(name[1] if name else "", {}).items():
        pattern = rf'(\bcell\s*\(\s*"?{cell}"?\s*\)\s*\{{[^{{}}]*?\barea\s*:\s*){wrong}(?:\.0*)?(?=\s*;)'
        text, count = re.subn(pattern, rf"\g<1>{right}", text)
        if count:
            corrections.append(f"{cell} {wrong} -> {right}")
    return text, corrections


def _cell(group: Group) -> Cell:
    inputs: list[str] = []
    expressions: dict[str, str] = {}
    for pin in group.find("pin"):
        direction = pin.attributes.get("direction")
        if direction == "input":
            inputs += pin.arguments
        elif direction == "output" and "function" in pin.attributes and "three_state" not in pin.attributes:
            expressions |= dict.fromkeys(pin.arguments, pin.attributes["function"])
    kinds = {part.kind for part in group.groups}
    sequential = bool(kinds & {"ff", "latch", "statetable", "ff_bank", "latch_bank"})
    if sequential or len(inputs) > MAX_INPUTS:
        expressions = {}
    try:
        area = Decimal(group.attributes["area"])
        functions = {pin: truth_table(text, inputs) for pin, text in expressions.items() if names(text) <= set(inputs)}
    except KeyError:
        raise LibertySyntaxError(f"cell {group.name} has no area") from None
    except InvalidOperation:
        raise LibertySyntaxError(f"cell {group.name}: area {group.attributes['area']!r} is not a number") from None
    except ValueError as error:
        raise LibertySyntaxError(f"cell {group.name}: {error}") from None
    return Cell(
        name=group.name,
        area=area,
        inputs=tuple(inputs),
        functions=functions,
        flip_flop="ff" in kinds,
        sequential=sequential,
    )
