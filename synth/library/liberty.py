"""Standard-cell libraries in the Liberty format: which cells there are, how large they are, what they compute."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

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

Function = Callable[..., Any]  # of arrays of unsigned words, one bit for each stream


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One cell."""

    name: str
    area: Decimal  # in the library's unit
    inputs: tuple[str, ...]
    functions: dict[str, int]  # truth tables over the inputs by output, without sequential and three-state outputs
    flip_flop: bool
    sequential: bool


@dataclass(frozen=True, kw_only=True)
class Logic:
    """A cell: each output as a function of all inputs."""

    inputs: tuple[str, ...]
    outputs: dict[str, Function]


@dataclass(frozen=True, kw_only=True)
class Register(Logic):
    """A flip-flop on the rising edge: ``state' = next(inputs..., state)``; outputs are functions of the state."""

    clock: str
    next: Function


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """The usable cells of one Liberty file (cells marked ``dont_use`` are not among them)."""

    path: Path
    cells: dict[str, Cell]
    text: str = field(repr=False)  # the file's, with right areas
    root: Group = field(repr=False)  # the text as groups
    corrections: list[str]  # CELL WRONG -> RIGHT

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
            groups = (group for group in root.find("cell") if group.attributes.get("dont_use") != "true")
            cells = {group.name: _cell(group) for group in groups}
        except OSError as error:
            raise InputError(f"Liberty file {path}: {error.strerror}; give a readable .lib file") from None
        except UnicodeDecodeError:
            raise InputError(f"Liberty file {path}: not a text file; give an uncompressed .lib file") from None
        except LibertySyntaxError as error:
            raise InputError(f"Liberty file {path}: {error}; give an intact .lib file") from None
        library = cls(path=path, cells=cells, text=text, root=root, corrections=corrections)
        functions = {(len(c.inputs), *c.functions.values()) for c in cells.values() if len(c.functions) == 1}
        needs = {
            "a flip-flop (a cell with an ff group)": any(cell.flip_flop for cell in cells.values()),
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

    def smallest(self, inputs: int, *tables: int) -> Cell | None:
        """Return the smallest cell of ``inputs`` pins whose outputs have these truth tables, in any order."""
        found = (
            cell
            for cell in self.cells.values()
            if len(cell.inputs) == inputs and sorted(cell.functions.values()) == sorted(tables)
        )
        return min(found, key=lambda cell: (cell.area, cell.name), default=None)

    @property
    def full_adder(self) -> Cell | None:
        """The smallest cell with the outputs majority and parity of its three inputs, whatever it is called."""
        return self.smallest(3, MAJORITY, PARITY)

    @property
    def half_adder(self) -> Cell | None:
        """The smallest cell with the outputs AND and XOR of its two inputs."""
        return self.smallest(2, AND2, XOR2)

    @cached_property
    def logic(self) -> dict[str, Logic]:
        """The functions of cells, on words; latches, flip-flops with asynchronous inputs and constants are left out."""
        groups = {group.name: group for group in self.root.find("cell")}
        found: dict[str, Logic] = {}
        for name, cell in self.cells.items():
            inputs, tables = cell.inputs, cell.functions
            constants = {0, (1 << (1 << len(inputs))) - 1}
            if cell.flip_flop:
                if register := _register(groups[name], inputs):
                    found[name] = register
            elif tables and not constants & set(tables.values()):
                outputs = {pin: _function(table, len(inputs)) for pin, table in tables.items()}
                found[name] = Logic(inputs=inputs, outputs=outputs)
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of the text, corrections included, so that a report says which version of a library it means."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def notes(self) -> list[str]:
        """Notes for people on the library's figures, a sentence each."""
        note = f"Library {self.name}: areas corrected to those of its LEF: {', '.join(self.corrections)}."
        return [note] if self.corrections else []

    @property
    def unit(self) -> str:
        """The unit of areas: cells if each has area 1, NAND2 if the smallest NAND2 has, else the file's own."""
        nand = self.smallest(2, NAND2)
        if {cell.area for cell in self.cells.values()} == {1}:
            return "cells"
        return "NAND2" if nand and nand.area == 1 else "library unit"


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


def _register(group: Group, inputs: tuple[str, ...]) -> Register | None:
    (flip_flop,) = group.find("ff")
    state, inverse = flip_flop.arguments
    clock = flip_flop.attributes["clocked_on"].strip("() ")
    texts = {
        name: pin.attributes["function"].strip("() ")
        for pin in group.find("pin")
        for name in pin.arguments
        if pin.attributes.get("direction") == "output"
    }
    inverted = _function(0b01, 1)
    functions = {state: _function(0b10, 1), inverse: inverted, f"!{state}": inverted, f"{state}'": inverted}
    asynchronous = {"clear", "preset"} & flip_flop.attributes.keys()
    if asynchronous or clock not in inputs or not functions.keys() >= set(texts.values()):
        return None
    data = tuple(pin for pin in inputs if pin != clock)
    table = truth_table(flip_flop.attributes["next_state"], [*data, state])
    return Register(
        inputs=data,
        outputs={pin: functions[text] for pin, text in texts.items()},
        clock=clock,
        next=_function(table, len(data) + 1),
    )


def _function(table: int, inputs: int) -> Function:
    """Return a truth table as a function of words: bit i of the table is the value where input k is bit k of i."""
    names = [f"x{k}" for k in range(inputs)]
    compiled: Function = eval(f"lambda {', '.join(names)}: {_expression(table, names)}")
    return compiled


def _expression(table: int, names: list[str]) -> str:
    """Return Python's expression for a table that is not constant, by Shannon's expansion on the last name."""
    *rest, x = names
    half = 1 << len(rest)
    ones = (1 << half) - 1
    low, high = table & ones, table >> half
    if low == high:
        return _expression(low, rest)
    if (low, high) in ((0, ones), (ones, 0)):
        return x if high else f"~{x}"
    if low == high ^ ones:
        return f"({x} ^ {_expression(low, rest)})"
    if 0 in (low, high):
        return f"({x} & {_expression(high, rest)})" if high else f"(~{x} & {_expression(low, rest)})"
    if ones in (low, high):
        return f"({x} | {_expression(low, rest)})" if high == ones else f"(~{x} | {_expression(high, rest)})"
    return f"(({x} & {_expression(high, rest)}) | (~{x} & {_expression(low, rest)}))"
