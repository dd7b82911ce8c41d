"""Standard-cell libraries in the Liberty format: which cells there are, how large they are, what they compute."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.synth.library.logic import ClockGate, Logic, clock_gate, function, latch, register
from vsq.synth.library.syntax import Group, LibertySyntaxError, names, parse, truth_table
from vsq.synth.library.usable import corrected, set_aside

# The libraries that come with the project: NAND2 equivalents (the default), and a count of generic two-input gates.
BUILT_IN = {name: Path(__file__).parent / f"{name}.lib" for name in ("nand2", "gates")}

# Truth tables: bit i is the output for the input code i. Adders are symmetric, so pin order does not matter.
BUFFER, INVERTER = 0b10, 0b01
NAND2, NOR2, AND2, OR2, XOR2, XNOR2 = 0b0111, 0b0001, 0b1000, 0b1110, 0b0110, 0b1001
MAJORITY, PARITY = 0b1110_1000, 0b1001_0110
LIBRARY_UNIT = "library unit"
MAX_INPUTS = 10  # a cell with more is a macro, which no mapper picks by its function


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One cell."""

    name: str
    area: Decimal  # in the library's unit
    inputs: tuple[str, ...]
    functions: dict[str, int]  # truth tables over the inputs by output, without sequential and three-state outputs
    flip_flop: bool
    sequential: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """The usable cells of one Liberty file (cells marked ``dont_use`` are not among them)."""

    path: Path
    cells: dict[str, Cell]
    text: str = field(repr=False)  # the file's, with right areas, and dont_use in cells that are set aside
    root: Group = field(repr=False)  # the text as groups
    corrections: list[str]  # CELL WRONG -> RIGHT
    dont_use: dict[str, int]  # how many cells each pattern sets aside

    @classmethod
    def load(cls, path: Path | str = "nand2", dont_use: Sequence[str] = ()) -> "Library":
        """Read and check a Liberty file, or a built-in library by its name.

        Args:
            path: The file, or ``nand2`` or ``gates``.
            dont_use: Patterns of names of cells to set aside, as in a shell, beside those that are no logic though they
                have its functions in :data:`vsq.synth.library.usable.NOT_LOGIC`.

        Raises:
            InputError: If the file is missing or malformed, or lacks what any design needs: a flip-flop, an inverter, a
                two-input NAND, NOR, AND or OR, and a gate of a third function; or if a pattern matches no cell. The
                message names the file, the rule it breaks and how to fix it.
        """
        path = BUILT_IN.get(str(path), Path(path))
        try:
            text, corrections = corrected(path.read_text(encoding="utf-8"))
            text, matches = set_aside(text, dont_use)
            root = parse(text)
            groups = (group for group in root.find("cell") if group.attributes.get("dont_use") != "true")
            cells = {group.name: _cell(group) for group in groups}
        except OSError as error:
            raise InputError(f"Liberty file {path}: {error.strerror}; give a readable .lib file") from None
        except UnicodeDecodeError:
            raise InputError(f"Liberty file {path}: not a text file; give an uncompressed .lib file") from None
        except LibertySyntaxError as error:
            raise InputError(f"Liberty file {path}: {error}; give an intact .lib file") from None
        for pattern in dont_use:
            if not matches[pattern]:
                raise InputError(
                    f"dont-use {pattern!r}: no cell of Liberty file {path} matches it; write for example '*_probe_*'"
                )
        if dont_use and not cells:
            raise InputError(
                f"dont-use {' '.join(dont_use)}: no cell of Liberty file {path} is left; leave some to be used"
            )
        found = {pattern: count for pattern, count in matches.items() if count}
        library = cls(path=path, cells=cells, text=text, root=root, corrections=corrections, dont_use=found)
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

    def area(self, cells: Mapping[str, int]) -> Decimal:
        """Return the sum of number * area over cells by name; names that are none of the library's count nothing."""
        return sum((self.cells[name].area * count for name, count in cells.items() if name in self.cells), Decimal())

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
        """The functions of cells, on words; constants and cells of asynchronous inputs are left out."""
        groups = {group.name: group for group in self.root.find("cell")}
        found: dict[str, Logic] = {}
        for name, cell in self.cells.items():
            inputs, tables = cell.inputs, cell.functions
            constants = {0, (1 << (1 << len(inputs))) - 1}
            gate = clock_gate(groups[name])
            if gate:
                found[name] = gate
            elif cell.flip_flop:
                if flip_flop := register(groups[name], inputs):
                    found[name] = flip_flop
            elif groups[name].find("latch"):
                if transparent := latch(groups[name]):
                    found[name] = transparent
            elif tables and not constants & set(tables.values()):
                outputs = {pin: function(table, len(inputs)) for pin, table in tables.items()}
                found[name] = Logic(inputs=inputs, outputs=outputs)
        return found

    @cached_property
    def clock_gate(self) -> Cell | None:
        """The smallest integrated clock gate, those without pins for tests first; its pins are in :attr:`logic`."""
        gates = [(len(gate.tied), name) for name, gate in self.logic.items() if isinstance(gate, ClockGate)]
        found = ((tied, self.cells[name].area, name) for tied, name in gates)
        return self.cells[min(found)[-1]] if gates else None

    @property
    def digest(self) -> str:
        """SHA-256 of the text, with corrections and cells set aside, so that a report says which library it means."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def notes(self) -> list[str]:
        """Notes for people on the library's figures, a sentence each."""
        found = {
            "areas corrected to those of its LEF": self.corrections,
            "cells not used": [f"{pattern} ({count})" for pattern, count in self.dont_use.items()],
        }
        return [f"Library {self.name}: {what}: {', '.join(which)}." for what, which in found.items() if which]

    @property
    def unit(self) -> str:
        """The unit of areas: cells if each has area 1, NAND2 if the smallest NAND2 has, else the file's own."""
        nand = self.smallest(2, NAND2)
        if {cell.area for cell in self.cells.values()} == {1}:
            return "cells"
        return "NAND2" if nand and nand.area == 1 else LIBRARY_UNIT


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
