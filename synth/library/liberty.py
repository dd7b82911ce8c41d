"""Standard-cell libraries in the Liberty format: which cells there are, how large they are, what they compute."""

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.synth.library.boolean import names, truth_table
from vsq.synth.library.errata import corrected

# The libraries that come with the project: NAND2 equivalents (the default), and a count of generic two-input gates.
BUILT_IN = {name: Path(__file__).parent / f"{name}.lib" for name in ("nand2", "gates")}

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

    ``text`` is the file's, with the ``corrections`` that :mod:`vsq.synth.library.errata` knows; ``root`` is the text as
    groups.
    """

    name: str
    path: Path
    cells: dict[str, Cell]
    timed: bool
    text: str = field(repr=False)
    root: "Group" = field(repr=False)
    corrections: tuple[str, ...]

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
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"Liberty file {path}: {error.strerror}; give a readable .lib file") from None
        except UnicodeDecodeError:
            raise InputError(f"Liberty file {path}: not a text file; give an uncompressed .lib file") from None
        try:
            text, corrections = corrected(text)
            root = parse(text)
            groups = [group for group in root.find("cell") if group.attributes.get("dont_use") != "true"]
            cells = [_cell(group) for group in groups]
        except LibertySyntaxError as error:
            raise InputError(f"Liberty file {path}: {error}; give an intact .lib file") from None
        timed = any(pin.find("timing") for group in groups for pin in group.find("pin"))
        library = cls(
            name=root.name,
            path=path,
            cells={cell.name: cell for cell in cells},
            timed=timed,
            text=text,
            root=root,
            corrections=tuple(corrections),
        )
        library._check()
        return library

    def _check(self) -> None:
        functions = {(len(c.inputs), *c.functions.values()) for c in self.cells.values() if len(c.functions) == 1}
        needs = (
            ("a flip-flop (a cell with an ff group)", any(cell.flip_flop for cell in self.cells.values())),
            ("an inverter", self.smallest(1, INVERTER)),
            ("a two-input NAND, NOR, AND or OR", any(self.smallest(2, table) for table in (NAND2, NOR2, AND2, OR2))),
            ("a gate of a third function, which ABC asks for", len(functions) >= 3),
        )
        for need, met in needs:
            if not met:
                raise InputError(
                    f"Liberty file {self.path}: none of its {len(self.cells)} usable cells is {need}; "
                    "give a library that has one"
                )

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


def _cell(group: "Group") -> Cell:
    inputs = []
    expressions = {}
    for pin in group.find("pin"):
        direction = pin.attributes.get("direction")
        for name in pin.arguments:
            if direction == "input":
                inputs.append(name)
            elif direction == "output" and "function" in pin.attributes and "three_state" not in pin.attributes:
                expressions[name] = pin.attributes["function"]
    flip_flop = any(group.find("ff"))
    sequential = flip_flop or any(any(group.find(kind)) for kind in ("latch", "statetable", "ff_bank", "latch_bank"))
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
        flip_flop=flip_flop,
        sequential=sequential,
    )


# The format itself --------------------------------------------------------------------------------------------


class LibertySyntaxError(ValueError):
    """The text is not Liberty; the message says where and why."""


@dataclass
class Group:
    """``kind (arguments) { attribute : value; table (values); … group … }``; ``tables`` holds the values' texts."""

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The first argument."""
        return self.arguments[0] if self.arguments else ""

    def find(self, kind: str) -> list["Group"]:
        """Return the direct subgroups of this kind."""
        return [group for group in self.groups if group.kind == kind]


_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STATEMENT = re.compile(
    r"""[\s;\\]*(?:
        (?P<group>[\w.\[\]-]+) \s* \( (?P<arguments>[^(){}]*) \) \s* \{
      | (?P<table>[\w.\[\]-]+) \s* \( (?P<values>[^()]*) \)
      | (?P<attribute>[\w.\[\]-]+) \s* : \s* (?: "(?P<quoted>[^"]*)" | (?P<plain>[^;{}\n"]*) )
      | (?P<close>\})
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


def parse(text: str) -> Group:
    """Return the ``library`` group of a Liberty text.

    Raises:
        LibertySyntaxError: If the text is malformed or holds no library.
    """
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    file = Group(kind="file", arguments=())
    stack = [file]
    position = 0
    while True:
        match = _STATEMENT.match(text, position)
        if match is None:
            raise LibertySyntaxError(f"line {text.count(chr(10), 0, position) + 1} is no Liberty statement")
        position = match.end()
        if match["group"]:
            arguments = tuple(part.strip(' \t\r\n\\"') for part in match["arguments"].split(","))
            group = Group(kind=match["group"], arguments=arguments)
            stack[-1].groups.append(group)
            stack.append(group)
        elif match["attribute"]:
            value = match["plain"] if match["quoted"] is None else match["quoted"]
            stack[-1].attributes[match["attribute"]] = value.strip()
        elif match["table"]:
            stack[-1].tables[match["table"]] = match["values"]
        elif match["close"]:
            if len(stack) == 1:
                raise LibertySyntaxError(f"line {text.count(chr(10), 0, position) + 1} closes a group never opened")
            stack.pop()
        elif match["end"] is not None:
            break
    if len(stack) > 1:
        raise LibertySyntaxError(f"it ends inside the group {stack[-1].kind} ({stack[-1].name})")
    libraries = file.find("library")
    if len(libraries) != 1:
        raise LibertySyntaxError(f"it holds {len(libraries)} library groups where one is the rule")
    return libraries[0]
