"""Layouts in the report: figures of the cells only beside those with wires, as ``vsq layout --json`` wrote them."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

from rich.markup import escape
from rich.table import Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.synth.report.comparison import plain_table, shown

_Type = TypeVar("_Type")

_KINDS = ("cells only", "with wires")
# By figure, named as its ratio is: unit, format, and the quantities of both kinds, None where it has no sense.
_FIGURES: dict[str, tuple[str, str, tuple[str | None, str]]] = {
    "area": ("um2", ",.0f", ("cell area", "core area")),
    "used by cells": ("1", ".1%", (None, "utilization")),
    "wire length": ("um", ",.0f", (None, "wire length")),
    "vias": ("1", ",.0f", (None, "vias")),
    "critical path": ("ns", ".2f", ("critical path, cells only", "critical path, with wires")),
    "energy": ("pJ", ".3f", ("energy per operation, cells only", "energy per operation, with wires")),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a design by kind: means over its layouts, ratios to the 8-bit design; None where there is none."""

    configuration: str
    name: str
    values: Mapping[str, float | None]
    ratios: Mapping[str, float | None]

    @property
    def title(self) -> str:
        """The figure with its unit."""
        unit, _, _ = _FIGURES[self.name]
        return self.name if unit == "1" else f"{self.name}, {unit}"

    def cells(self) -> list[str]:
        """Return values and ratios for people."""
        _, spec, _ = _FIGURES[self.name]
        return [*(shown(value, spec) for value in self.values.values()), *map(shown, self.ratios.values())]

    def document(self) -> dict[str, object]:
        """Return everything for programs."""
        unit, _, _ = _FIGURES[self.name]
        named = {"configuration": self.configuration, "figure": self.name, "unit": unit}
        return {**named, **self.values, "ratios": dict(self.ratios)}


@dataclass(frozen=True, kw_only=True)
class Layouts:
    """Layouts of several designs, of one file.

    Attributes:
        scope: A sentence on what the figures are of.
        library, data, routed: The library, what energy was measured on, and whether wires are routed or estimated.
        figures: By design.
        refused: Designs and seeds that have no figures, since the check refused their layouts.
        pictures: SVG as data URIs by design, of its first layout, if the folder of the layouts still has it.
    """

    scope: str
    library: str
    data: str
    routed: bool
    figures: Sequence[Figure]
    refused: Sequence[str]
    pictures: Mapping[str, str]

    @classmethod
    def load(cls, path: Path) -> "Layouts":
        """Read a file; one that is missing, damaged, of something else or without figures is an InputError."""
        try:
            return cls._read(json.loads(path.read_text(encoding="utf-8")), path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise InputError(f"{path}: no file of layouts; give one that 'vsq layout --json' wrote") from None

    @classmethod
    def _read(cls, content: dict[str, Any], beside: Path) -> "Layouts":
        routed = _typed(content["routed"], bool)
        found: dict[str, list[dict[str, float]]] = {}
        pictures: dict[str, str] = {}
        for one in content["layouts"]:
            name = MacConfig.parse(_typed(one["configuration"], str)).full_name
            values = {
                record["quantity"]: _number(record["value"])
                for record in one["records"]
                if record["component"] == "total"
            }
            if not routed:
                values["wire length"] = values["half-perimeter wire length"]
            found.setdefault(name, []).append(values)
            picture = beside / _typed(content["folder"], str) / f"{_typed(one['name'], str)}.svg"
            if name not in pictures and picture.is_file():
                pictures[name] = f"data:image/svg+xml;base64,{b64encode(picture.read_bytes()).decode()}"
        if not found:
            raise ValueError("no layouts")
        ratios = {(one["configuration"], one["figure"]): one for one in content["ratios"]}
        return cls(
            scope=_typed(content["scope"], str),
            library=_typed(content["library"]["name"], str),
            data=_typed(content["data"], str),
            routed=routed,
            figures=[
                _figure(name, figure, layouts, ratios.get((name, figure), {}))
                for name, layouts in found.items()
                for figure in _FIGURES
                if routed or figure != "vias"
            ],
            refused=[f"{_typed(one['configuration'], str)}, seed {one['seed']:d}" for one in content["refused"]],
            pictures=pictures,
        )

    @property
    def title(self) -> str:
        """A title, with the library."""
        return f"Layouts, library {self.library}, {'routed' if self.routed else 'wires estimated from the placement'}"

    @property
    def note(self) -> str:
        """Sentences on what the figures are of."""
        refused = f" No figures, since the check refused them: {'; '.join(self.refused)}." if self.refused else ""
        return (
            f"{self.scope} Means over the layouts of a design; ratios are to the 8-bit one. Area with wires is that of "
            f"the rows of cells; energy is of a multiply-accumulate on data {self.data}.{refused}"
        )

    @property
    def heads(self) -> list[str]:
        """The titles of the columns."""
        return ["configuration", "figure", *_KINDS, *(f"ratio, {kind}" for kind in _KINDS)]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table, a row for each figure of each design."""
        return [[figure.configuration, figure.title, *figure.cells()] for figure in self.figures]

    def table(self) -> Table:
        """Return the figures as text."""
        _, *heads = self.heads
        table = plain_table(escape(self.title), escape(self.note), heads)
        for row in self.rows:
            table.add_row(*row)
        return table

    def document(self) -> dict[str, object]:
        """Return everything for programs, but the pictures."""
        return {
            "scope": self.scope,
            "library": self.library,
            "data": self.data,
            "routed": self.routed,
            "refused": list(self.refused),
            "figures": [figure.document() for figure in self.figures],
        }


def _figure(
    configuration: str, name: str, layouts: Sequence[Mapping[str, float]], ratios: Mapping[str, object]
) -> Figure:
    _, _, quantities = _FIGURES[name]
    return Figure(
        configuration=configuration,
        name=name,
        values={
            kind: None if quantity is None else mean(one[quantity] for one in layouts)
            for kind, quantity in zip(_KINDS, quantities, strict=True)
        },
        ratios={kind: None if (ratio := ratios.get(kind)) is None else _number(ratio) for kind in _KINDS},
    )


def _typed(value: object, expected: type[_Type]) -> _Type:
    if not isinstance(value, expected):
        raise TypeError("of another type")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError("no figure")
    return float(value)
