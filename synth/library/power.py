"""The energy data of a Liberty file: pin capacitances, tables of internal energy, supply voltage and leakage."""

import re
from collections.abc import Callable
from dataclasses import dataclass

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
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(
                f"Liberty file {library.path}: its power data is not read ({type(error).__name__}: {error}); "
                "give one with NLDM tables"
            ) from None


class _Reader:
    """Units and templates of one file, and what they make of its groups."""

    def __init__(self, library: Library) -> None:
        self._library, root = library, library.root
        if root.attributes.get("voltage_unit", "1V") != "1V":
            raise ValueError("voltage_unit is not 1V")
        # With it, energies are in the unit of capacitance.
        self._farad = _unit(root.tables["capacitive_load_unit"])
        self._watt = _unit(root.attributes["leakage_power_unit"])
        self._templates = {group.name: group for group in root.find("power_lut_template")}

    def cell(self, group: Group) -> CellPower:
        inputs = self._library.cells[group.name].inputs
        pins, arcs = {}, []
        for pin in group.find("pin"):
            for name in pin.arguments:
                if name in inputs:
                    pins[name] = float(pin.attributes["capacitance"]) * self._farad
                arcs += [self._arc(name, power, inputs) for power in pin.find("internal_power")]
        leakage = float(group.attributes.get("cell_leakage_power", 0)) * self._watt
        return CellPower(inputs=pins, arcs=arcs, leakage=leakage)

    def _arc(self, pin: str, group: Group, inputs: tuple[str, ...]) -> Arc:
        when = group.attributes.get("when")
        if when is not None and not names(when) <= set(inputs):
            when = None  # states of a register are not told apart
        tables = {
            kind: self._table(table) for kind in ("rise_power", "fall_power", "power") for table in group.find(kind)
        }
        return Arc(
            pin=pin,
            related=group.attributes.get("related_pin"),
            when=None if when is None else truth_table(when, inputs),
            rise=tables.get("rise_power") or tables["power"],
            fall=tables.get("fall_power") or tables["power"],
        )

    def _table(self, group: Group) -> Table:
        axes: dict[str, Floats] = {}
        if group.name != "scalar":
            template = self._templates[group.name]
            for number in (1, 2):
                if variable := template.attributes.get(f"variable_{number}"):
                    index = group.tables.get(f"index_{number}") or template.tables[f"index_{number}"]
                    axes["slew" if variable in _SLEW else "load"] = _numbers(index)
        values = _numbers(group.tables["values"]).reshape([len(axis) for axis in axes.values()])
        slews, loads = axes.get("slew", np.zeros(1)), axes.get("load", np.zeros(1))
        if list(axes) == ["load", "slew"]:
            values = values.T
        values, loads = values.reshape(len(slews), len(loads)) * self._farad, loads * self._farad

        def energy(slew: float, at: Floats) -> Floats:
            """Return energies by bilinear interpolation; beyond the table's ends they go on straight."""
            by_load = np.array([_interpolate(slews, column, np.array([slew]))[0] for column in values.T])
            return _interpolate(loads, by_load, at)

        return energy


def _interpolate(axis: Floats, values: Floats, at: Floats) -> Floats:
    if len(axis) == 1:
        return np.full(at.shape, values[0])
    low = np.clip(np.searchsorted(axis, at) - 1, 0, len(axis) - 2)
    share = (at - axis[low]) / (axis[low + 1] - axis[low])
    result: Floats = values[low] + share * (values[low + 1] - values[low])
    return result


def _unit(text: str) -> float:
    [(number, unit)] = re.findall(r"^([\d.]*)\W*([a-z]+)\W*$", text.lower().strip())
    return float(number or 1) * _UNITS[unit]


def _numbers(text: str) -> Floats:
    return np.array([float(number) for number in re.findall(r"[-+\d.][-+\d.eE]*", text)])
