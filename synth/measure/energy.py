"""Energy of designs: of a mapped netlist, from its switching activity and the library's own tables, split by component;
and of one multiply-accumulate, beside that in the 8-bit baselines.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow
from vsq.synth.gatesim.netlist import NOWHERE, Gate, Gates, clocks_of, flat, group_by_cell, nets_at
from vsq.synth.gatesim.simulation import Activity, Simulation
from vsq.synth.gatesim.stimulus import ACTIVITY, Operands, operands
from vsq.synth.library.liberty import Cell, Library
from vsq.synth.library.macros import Macro
from vsq.synth.library.power import Arc, Floats, Power
from vsq.synth.measure.area import BUFFERS, baseline_of, synthesize_all, with_baselines
from vsq.synth.measure.records import Record, records

CLOCK = "clock"
INPUTS = "inputs"  # the component of nets that the top's inputs drive
MEMORIES = "memories"
PRICES = (0.0, 0.25, 1.0, 4.0)  # of a memory bit, in that of :func:`bit_energy`: ratios are given at each
_REFERENCE = MacConfig.parse("16/16/-/-:V=1")


@dataclass(frozen=True)
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
        return Energy(self.internal / operations, self.switching / operations, self.leakage)

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(self.internal + other.internal, self.switching + other.switching, self.leakage + other.leakage)


def energies(
    gates: Gates, activity: Activity, power: Power, slew: float, wires: Floats | None = None
) -> dict[str, Energy]:
    """Return the energy of each component of a netlist.

    - Switching: ``1/2 * C * V^2`` for each transition of a net, where C is the sum of the capacitances of the input
      pins on it, and that of its wire, from ``wires`` in farads, [nets]; it belongs to the net's driver. Wires have no
      capacitance without it.
    - Internal: for each transition of a pin the weighted mean over its arcs of the energy at ``slew`` (input
      transition time, in the file's unit) and C. An arc's weight is the probability of its ``when``, times, if it
      has a related pin, that pin's transitions a cycle and the probability that the output depends on it. Pins are
      taken as independent of each other, each with the share of cycles in which it is 1.
    - Clock pins of registers are the component ``clock``.

    Source of the rule: Liberty's definition of ``internal_power``, weighted as OpenSTA's later versions do.
    """
    loads, clocks = pin_loads(gates, power), clocks_of(gates, power.library).nets
    if wires is not None:
        loads[:-1] += wires
    switching = 0.5 * loads[:-1] * power.voltage**2 * activity.toggles
    owners = {net: INPUTS for nets in gates.inputs.values() for net in nets}
    for gate in gates.gates:
        owners |= {net: gate.component for pin, net in gate.pins.items() if pin not in power.cells[gate.cell].inputs}
    for memory in gates.memories:
        owners |= dict.fromkeys(memory.ports["read_data"], memory.component)
    owners |= dict.fromkeys(clocks, CLOCK)
    found: defaultdict[str, Energy] = defaultdict(Energy)
    for net, component in owners.items():
        found[component] += Energy(switching=switching[net])
    for cell, members in group_by_cell(gates.gates).items():
        data = power.cells[cell]
        internal = _internal(power.library.cells[cell], data.arcs, members, activity, slew, loads)
        for pin, values in internal.items():
            for gate, value in zip(members, values, strict=True):
                component = CLOCK if gate.pins.get(pin) in clocks else gate.component
                found[component] += Energy(internal=value)
        for gate in members:
            found[gate.component] += Energy(leakage=data.leakage)
    return dict(found)


def pin_loads(gates: Gates, power: Power) -> Floats:
    """Return the capacitance of the input pins on each net in farads; the last entry is for unconnected pins."""
    loads = np.zeros(gates.nets + 1)
    for gate in gates.gates:
        for pin, capacitance in power.cells[gate.cell].inputs.items():
            loads[gate.pins.get(pin, NOWHERE)] += capacitance
    loads[NOWHERE] = 0
    return loads


def _internal(
    cell: Cell, arcs: Sequence[Arc], members: Sequence[Gate], activity: Activity, slew: float, loads: Floats
) -> dict[str, Floats]:
    """Return joules a cycle of each pin of all gates of one cell type, [gates]."""
    toggles, ones = np.append(activity.toggles, 0), np.append(activity.ones, 0)  # unconnected pins stand still
    inputs = [ones[nets_at(members, pin)] for pin in cell.inputs]

    def probability(table: int) -> Floats:
        """Return the probability that the table is 1, its inputs being independent."""
        total = np.zeros(len(members))
        for code in range(1 << len(inputs)):
            if table >> code & 1:
                total += np.prod([one if code >> k & 1 else 1 - one for k, one in enumerate(inputs)], axis=0)
        return total

    def weight(arc: Arc) -> Floats:
        weight = np.ones(len(members)) if arc.when is None else probability(arc.when)
        if arc.related is not None:
            weight = weight * toggles[nets_at(members, arc.related)]
            if arc.pin in cell.functions:
                position = cell.inputs.index(arc.related)
                weight = weight * probability(difference(cell.functions[arc.pin], position, len(inputs)))
        return weight

    found = {}
    for pin in dict.fromkeys(arc.pin for arc in arcs):
        nets, of_pin = nets_at(members, pin), [arc for arc in arcs if arc.pin == pin]
        weights = np.array([weight(arc) for arc in of_pin])
        total = weights.sum(axis=0)
        # A pin that never moves, or moves only by several inputs at once, has equal weights.
        weights = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / len(of_pin))
        joules = np.array([arc.energy(slew, loads[nets]) for arc in of_pin])
        found[pin] = toggles[nets] * (weights * joules).sum(axis=0)
    return found


def difference(table: int, position: int, inputs: int) -> int:
    """Return the truth table of where a function depends on one input: f(input = 0) XOR f(input = 1)."""
    return sum(((table >> code ^ table >> (code ^ 1 << position)) & 1) << code for code in range(1 << inputs))


@dataclass(frozen=True)
class Setup:
    """An energy measurement's setup: flow, its library's power data, data, input slew, hazards or not, and macros."""

    flow: Flow
    power: Power
    source: str
    slew: float
    hazards: bool
    macros: Mapping[MemoryShape, Macro] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        liberty: str | Path,
        source: str,
        slew: float,
        *,
        hazards: bool = False,
        dont_use: Sequence[str] = (),
        macros: Mapping[MemoryShape, Macro] = MappingProxyType({}),
    ) -> "Setup":
        """Return the setup with a library, which must have power data."""
        library = Library.load(liberty, dont_use)
        return cls(Flow(library=library), Power.of(library), source, slew, hazards, macros)


@dataclass(frozen=True)
class OperationEnergy:
    """Energy of one operation by component, and in the baseline; leakage is that of the whole design."""

    config: Configuration
    components: dict[str, Energy]
    utilization: float  # share of cycles in which operands enter
    baseline: Configuration
    baseline_components: dict[str, Energy]

    @property
    def total(self) -> float:
        """All components."""
        return total(self.components)

    @property
    def ratio(self) -> float:
        """Total to the baseline's."""
        return self.ratio_at(1)

    def ratio_at(self, price: float) -> float:
        """Return the total to the baseline's if a memory bit had so many times its price; 0 leaves memories out."""
        return total(self.components, price) / total(self.baseline_components, price)

    def records(self) -> list[Record]:
        """Return every figure."""
        of = f"of {self.baseline.full_name}"
        figures = [
            ("total", "energy per operation", self.total * 1e12, "pJ"),
            ("total", "ratio", self.ratio, of),
            ("total", "logic ratio", self.ratio_at(0), of),
            *(
                ("total", f"ratio at {price:g} x memories", self.ratio_at(price), of)
                for price in PRICES
                if MEMORIES in self.components and price not in (0, 1)
            ),
            ("total", "utilization", self.utilization, "1"),
        ]
        for component, energy in self.components.items():
            figures += [
                (component, "energy per operation", energy.total * 1e12, "pJ"),
                (component, "internal energy per operation", energy.internal * 1e12, "pJ"),
                (component, "switching energy per operation", energy.switching * 1e12, "pJ"),
                (component, "leakage power", energy.leakage * 1e9, "nW"),
            ]
        return records(self.config.full_name, figures)


def total(components: dict[str, Energy], price: float = 1) -> float:
    """Return the joules of all components, memories at so many times their price."""
    return sum(energy.total * (price if name == MEMORIES else 1) for name, energy in components.items())


def energy_per_operation(configs: Sequence[Configuration], setup: Setup) -> list[OperationEnergy]:
    """Return the energy of designs in steady state, one for each configuration.

    Memories are not synthesized: each bit read or written costs :func:`bit_energy`, or the memory is a macro.
    """
    designs = with_baselines(configs)
    data = [operands(config.mac, setup.source) for config in designs]
    bit = bit_energy(setup) if any(BUFFERS in design(config).components for config in designs) else 0.0
    measured = {
        config: per_operation(config, netlist, layer, setup, bit)
        for config, netlist, layer in zip(designs, synthesize_all(designs, setup.flow), data, strict=True)
    }
    return [
        OperationEnergy(config, *measured[config], baseline_of(config), measured[baseline_of(config)][0])
        for config in dict.fromkeys(configs)
    ]


def bit_energy(setup: Setup) -> float:
    """Return the joules of reading or writing one bit of a memory: 1/16 of a 16-bit multiply-accumulate on noise.

    Source: Eyeriss (Chen et al., ISCA 2016, table IV): an access to a register file of 0.5 kB costs as much as one
    16-bit multiply-accumulate. Hazards are left out, as they are of the multiplier and not of a register file.
    """
    setup = replace(setup, hazards=False)
    (netlist,) = synthesize_all([_REFERENCE], setup.flow)
    energy, _ = per_operation(_REFERENCE, netlist, operands(_REFERENCE, "gaussian"), setup, bit=0.0)
    return total(energy) / _REFERENCE.weight.bits


def per_operation(
    config: Configuration, netlist: Netlist, data: Operands, setup: Setup, bit: float
) -> tuple[dict[str, Energy], float]:
    """Return a design's energy per operation by component, and the share of cycles in which operands enter.

    ``bit`` is the energy of reading or writing a bit of a memory, in joules.
    """
    gates = flat(netlist)
    simulation = Simulation(gates, setup.flow.library, hazards=setup.hazards)
    activity, utilization = ACTIVITY[config.kind](simulation, config, data)
    of_module = {module: name for name, modules in design(config).components.items() for module in modules}
    components: defaultdict[str, Energy] = defaultdict(Energy)
    for module, energy in energies(gates, activity, setup.power, setup.slew).items():
        components[of_module.get(module, module)] += energy
    if gates.memories:
        energies_of = {shape: macro.energy(setup.slew) for shape, macro in setup.macros.items()}
        for one, reads, writes in zip(gates.memories, activity.reads, activity.writes, strict=True):
            if macro := energies_of.get(one.shape):
                internal = macro.read.per_cycle(reads) + macro.write.per_cycle(writes)
                components[MEMORIES] += Energy(internal=internal, leakage=macro.leakage)
            else:
                components[MEMORIES] += Energy(internal=one.shape.width * (reads + writes) * bit)
    operations = config.lanes * config.mac.vector_size * utilization
    return {component: energy.per(operations) for component, energy in components.items()}, utilization
