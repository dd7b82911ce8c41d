"""Energy of a mapped netlist, from its switching activity and the library's own tables, split by component."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsq.synth.gatesim.netlist import NOWHERE, Gate, Gates, group_by_cell, nets_at
from vsq.synth.gatesim.schedule import clock_nets
from vsq.synth.gatesim.simulation import Activity
from vsq.synth.library.power import Arc, Power

Floats = NDArray[np.float64]

CLOCK = "clock"
INPUTS = "inputs"  # the component of nets that the top's inputs drive


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules, a cycle or an operation: inside cells, and in charging the pins on nets; ``leakage`` in watts."""

    internal: float = 0.0
    switching: float = 0.0
    leakage: float = 0.0

    @property
    def total(self) -> float:
        """Joules, without leakage."""
        return self.internal + self.switching

    def per(self, operations: float) -> "Energy":
        """Return the energies of one of several operations in a cycle; leakage stays as it is."""
        return Energy(internal=self.internal / operations, switching=self.switching / operations, leakage=self.leakage)

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(
            internal=self.internal + other.internal,
            switching=self.switching + other.switching,
            leakage=self.leakage + other.leakage,
        )


def energies(gates: Gates, activity: Activity, power: Power, slew: float) -> dict[str, Energy]:
    """Return the energy of each component of a netlist.

    - Switching: ``1/2 * C * V^2`` for each transition of a net, where C is the sum of the capacitances of the input
      pins on it; it belongs to the net's driver. Wires have no capacitance.
    - Internal: for each transition of a pin the weighted mean over its arcs of the energy at ``slew`` (input
      transition time, in the file's unit) and C. An arc's weight is the probability of its ``when``, times, if it
      has a related pin, that pin's transitions a cycle and the probability that the output depends on it. Pins are
      taken as independent of each other, each with the share of cycles in which it is 1.
    - Clock pins of registers are the component ``clock``.

    Source of the rule: Liberty's definition of ``internal_power``, weighted as OpenSTA's later versions do.
    """
    model = _Model(gates, activity, power, slew)
    owners = {net: INPUTS for nets in gates.inputs.values() for net in nets}
    for gate in gates.gates:
        owners |= {net: gate.component for pin, net in gate.pins.items() if pin not in power.cells[gate.cell].inputs}
    for memory in gates.memories:
        owners |= dict.fromkeys(memory.ports["read_data"], memory.component)
    owners |= dict.fromkeys(model.clocks, CLOCK)
    found: defaultdict[str, Energy] = defaultdict(Energy)
    for net, component in owners.items():
        found[component] += Energy(switching=model.switching[net])
    for cell, members in group_by_cell(gates.gates).items():
        for pin, values in model.internal(cell, members).items():
            for gate, value in zip(members, values, strict=True):
                component = CLOCK if gate.pins.get(pin) in model.clocks else gate.component
                found[component] += Energy(internal=value)
        for gate in members:
            found[gate.component] += Energy(leakage=power.cells[cell].leakage)
    return dict(found)


def pin_loads(gates: Gates, power: Power) -> Floats:
    """Return the capacitance of the input pins on each net in farads; the last entry is for unconnected pins."""
    loads = np.zeros(gates.nets + 1)
    for gate in gates.gates:
        for pin, capacitance in power.cells[gate.cell].inputs.items():
            loads[gate.pins.get(pin, NOWHERE)] += capacitance
    loads[NOWHERE] = 0
    return loads


class _Model:
    """One netlist with its activity: loads, energies of nets, and internal energies of gates."""

    def __init__(self, gates: Gates, activity: Activity, power: Power, slew: float) -> None:
        self._activity, self._power, self._slew = activity, power, slew
        self._loads = pin_loads(gates, power)
        self.switching = 0.5 * self._loads[:-1] * power.voltage**2 * activity.toggles
        self.clocks = clock_nets(gates, power.library)

    def internal(self, cell: str, members: Sequence[Gate]) -> dict[str, Floats]:
        """Return joules a cycle of each pin of all gates of one cell type, [gates]."""
        arcs: defaultdict[str, list[Arc]] = defaultdict(list)
        for arc in self._power.cells[cell].arcs:
            arcs[arc.pin].append(arc)
        return {pin: self._pin(cell, pin, found, members) for pin, found in arcs.items()}

    def _pin(self, cell: str, pin: str, arcs: Sequence[Arc], members: Sequence[Gate]) -> Floats:
        nets = nets_at(members, pin)
        weights = np.array([self._weight(cell, arc, members) for arc in arcs])
        total = weights.sum(axis=0)
        # A pin that never moves, or moves only by several inputs at once, has equal weights.
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / len(arcs))
        energies = np.array([arc.energy(self._slew, self._loads[nets]) for arc in arcs])
        result: Floats = np.append(self._activity.toggles, 0)[nets] * (weights * energies).sum(axis=0)
        return result

    def _weight(self, cell: str, arc: Arc, members: Sequence[Gate]) -> Floats:
        about = self._power.library.cells[cell]
        weight = np.ones(len(members))
        if arc.when is not None:
            weight = self._probability(arc.when, about.inputs, members)
        if arc.related is not None:
            weight = weight * np.append(self._activity.toggles, 0)[nets_at(members, arc.related)]
            if arc.pin in about.functions:
                table = difference(about.functions[arc.pin], about.inputs.index(arc.related), len(about.inputs))
                weight = weight * self._probability(table, about.inputs, members)
        return weight

    def _probability(self, table: int, inputs: Sequence[str], members: Sequence[Gate]) -> Floats:
        """Return the probability that the table is 1, its inputs being independent."""
        ones = [np.append(self._activity.ones, 0)[nets_at(members, pin)] for pin in inputs]
        total = np.zeros(len(members))
        for code in range(1 << len(inputs)):
            if table >> code & 1:
                factors = [one if code >> k & 1 else 1 - one for k, one in enumerate(ones)]
                total += np.prod(factors, axis=0)
        return total


def difference(table: int, position: int, inputs: int) -> int:
    """Return the truth table of where a function depends on one input: f(input = 0) XOR f(input = 1)."""
    return sum(((table >> code ^ table >> (code ^ 1 << position)) & 1) << code for code in range(1 << inputs))
