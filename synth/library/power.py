"""The energy data of a Liberty file: pin capacitances, tables of internal energy, supply voltage and leakage."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.synth.library.liberty import Library
from vsq.synth.library.syntax import Group, names, truth_table

Floats = NDArray[np.float64]
Table = Callable[[float, Floats], Floats]  # joules of a transition at an input slew (in the file's unit), and at loads

_SLEW = ("input_transition_time", "input_net_transition")
_UNITS = {"ff": 1e-15, "pf": 1e-12, "w": 1.0, "mw": 1e-3, "uw": 1e-6, "nw": 1e-9, "pw": 1e-12}


@dataclass(frozen=True, kw_only=True, eq=False)
class Arc:
    """Internal energy of a transition at a pin."""

    pin: str
    related: str | None  # the pin that causes it; None: itself
    when: int | None  # the states, as a truth table over the cell's inputs; None: all
    rise: Table
    fall: Table

    def energy(self, slew: float, loads: Floats) -> Floats:
        """Return the mean of rise and fall, in joules: over time there are as many of one as of the other."""
        return (self.rise(slew, loads) + self.fall(slew, loads)) / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class CellPower:
    """One cell: input pins with their capacitances in farads, arcs, leakage in watts."""

    inputs: dict[str, float]
    arcs: list[Arc]
    leakage: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Power:
    """The power data of a library: ``voltage`` in volts, and cells by name."""

    library: Library
    voltage: float
    cells: dict[str, CellPower]

    @classmethod
    def of(cls, library: Library) -> "Power":
        """Read the power data.

        Raises:
            InputError: If the file has none, or in a form that is not read; the message names it.
        """
        root = library.root
        if not any(pin.find("internal_power") for cell in root.find("cell") for pin in cell.find("pin")):
            raise InputError(
                f"Liberty file {library.path}: it has no internal_power groups, so there is no energy; give a "
                "characterised library, such as osu018_stdcells.lib of the Debian package qflow-tech-osu018"
            )
        try:
            reader = _Reader(library)
            cells = {group.name: reader.cell(group) for group in root.find("cell") if group.name in library.cells}
            conditions = root.find("operating_conditions")
            voltage = conditions[0].attributes["voltage"] if conditions else root.attributes["nom_voltage"]
            return cls(library=library, voltage=float(voltage), cells=cells)
        except (ValueError, KeyError) as error:
            raise InputError(
                f"Liberty file {library.path}: its power data is not read ({type(error).__name__}: {error}); "
                "give one with NLDM tables"
            ) from None


class Tables:
    """Units and templates of one Liberty file, and its tables of energy.

    Attributes:
        farad, watt: The units of capacitance and of leakage.

    Args:
        root: The file.

    Raises:
        ValueError: If units are missing or others than these.
    """

    def __init__(self, root: Group) -> None:
        if root.attributes.get("voltage_unit", "1V") != "1V":
            raise ValueError("voltage_unit is not 1V")
        # With it, energies are in the unit of capacitance.
        self.farad = _unit("capacitive_load_unit", root.tables)
        self.watt = _unit("leakage_power_unit", root.attributes)
        self._templates = {group.name: group for group in root.find("power_lut_template")}

    def energy(self, group: Group) -> Table:
        """Return the table of a group such as ``rise_power``.

        Raises:
            ValueError: If its template is missing, or its values are not finite numbers, one a place.
        """
        axes: dict[str, Floats] = {}
        if group.name != "scalar":
            template = self._templates.get(group.name)
            if template is None:
                raise ValueError(f"{group.kind} names the template {group.name!r}, which is missing")
            for number in (1, 2):
                if variable := template.attributes.get(f"variable_{number}"):
                    index = f"index_{number}"
                    axes["slew" if variable in _SLEW else "load"] = _numbers(index, template.tables | group.tables)
        values, places = _numbers("values", group.tables), [len(axis) for axis in axes.values()]
        if len(values) != prod(places):
            raise ValueError(f"{group.kind} has {len(values)} values for {prod(places)} places")
        values = values.reshape(places)
        slews, loads = axes.get("slew", np.zeros(1)), axes.get("load", np.zeros(1))
        if list(axes) == ["load", "slew"]:
            values = values.T
        values, loads = values.reshape(len(slews), len(loads)) * self.farad, loads * self.farad

        def energy(slew: float, at: Floats) -> Floats:
            """Return energies by bilinear interpolation; beyond the table's ends they go on straight."""
            by_load = np.array([_interpolate(slews, column, np.array([slew]))[0] for column in values.T])
            return _interpolate(loads, by_load, at)

        return energy


class _Reader:
    """The cells of one library with power data."""

    def __init__(self, library: Library) -> None:
        self._library, self._tables = library, Tables(library.root)

    def cell(self, group: Group) -> CellPower:
        inputs = self._library.cells[group.name].inputs
        pins, arcs = {}, []
        for pin in group.find("pin"):
            for name in pin.arguments:
                if name in inputs:
                    pins[name] = float(pin.attributes["capacitance"]) * self._tables.farad
                arcs += [self._arc(name, power, inputs) for power in pin.find("internal_power")]
        return CellPower(inputs=pins, arcs=arcs, leakage=leakage(group) * self._tables.watt)

    def _arc(self, pin: str, group: Group, inputs: tuple[str, ...]) -> Arc:
        when = group.attributes.get("when")
        if when is not None and not names(when) <= set(inputs):
            when = None  # states of a register are not told apart
        tables = {
            kind: self._tables.energy(table)
            for kind in ("rise_power", "fall_power", "power")
            for table in group.find(kind)
        }
        return Arc(
            pin=pin,
            related=group.attributes.get("related_pin"),
            when=None if when is None else truth_table(when, inputs),
            rise=tables.get("rise_power") or tables["power"],
            fall=tables.get("fall_power") or tables["power"],
        )


def _interpolate(axis: Floats, values: Floats, at: Floats) -> Floats:
    if len(axis) == 1:
        return np.full(at.shape, values[0])
    low = np.clip(np.searchsorted(axis, at) - 1, 0, len(axis) - 2)
    share = (at - axis[low]) / (axis[low + 1] - axis[low])
    result: Floats = values[low] + share * (values[low + 1] - values[low])
    return result


def leakage(cell: Group) -> float:
    """Return the leakage power of a cell, in the file's unit; 0 if it has none.

    Without ``cell_leakage_power``, its groups ``leakage_power`` give it: those without ``when``, else the states' mean.

    Raises:
        ValueError: If a value is not a finite number.
    """
    if "cell_leakage_power" in cell.attributes:
        return number("cell_leakage_power", cell.attributes["cell_leakage_power"])
    groups = cell.find("leakage_power")
    values = [number("leakage_power", group.attributes.get("value", "")) for group in groups]
    always = [value for group, value in zip(groups, values, strict=True) if "when" not in group.attributes]
    return sum(always) if always else sum(values) / max(1, len(values))


def number(name: str, text: str) -> float:
    """Return the finite number that the text is.

    Raises:
        ValueError: If it is none; the message has ``name``.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"{name} {text!r} is not a finite number")
    return value


def _unit(name: str, texts: dict[str, str]) -> float:
    text = texts.get(name, "")
    found = re.fullmatch(r"([\d.]*)\W*([a-z]+)\W*", text.lower().strip())
    if not found or found[2] not in _UNITS:
        raise ValueError(f"{name} {text!r} is not one of {', '.join(_UNITS)}" if text else f"{name} is missing")
    return number(name, found[1] or "1") * _UNITS[found[2]]


def _numbers(name: str, texts: dict[str, str]) -> Floats:
    words = re.findall(r"[^\s,\"\\]+", texts.get(name, ""))
    if not words:
        raise ValueError(f"{name} of a table are missing")
    return np.array([number(name, word) for word in words])
