"""Energy of one multiply-accumulate in designs, beside that in their 8-bit baselines."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.configuration import Configuration
from vsq.hw.emit.design import design
from vsq.synth.flow.synthesis import Flow, Netlist
from vsq.synth.gatesim.netlist import flat
from vsq.synth.gatesim.simulation import Simulation
from vsq.synth.gatesim.stimulus import ACTIVITY
from vsq.synth.gatesim.workload import Operands, operands
from vsq.synth.library.power import Power
from vsq.synth.measure.area import BUFFERS, baseline_of, synthesize_all, with_baselines
from vsq.synth.measure.energy import Energy, energies
from vsq.synth.measure.records import Record, records

MEMORIES = "memories"
_REFERENCE = MacConfig.parse("16/16/-/-:V=1")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """An energy measurement's setup: the flow and its library's power data, the data, input slew, hazards or not."""

    flow: Flow
    power: Power
    source: str
    slew: float
    hazards: bool


@dataclass(frozen=True, kw_only=True)
class OperationEnergy:
    """Joules of one operation by component, memories aside, and those of the baseline.

    Args:
        config, baseline: What was measured, and what it is compared with.
        components, baseline_components: Their energies.
        utilization: Share of cycles in which operands enter.
    """

    config: Configuration
    components: dict[str, Energy]
    baseline: Configuration
    baseline_components: dict[str, Energy]
    utilization: float

    @property
    def total(self) -> float:
        """All components."""
        return total(self.components)

    @property
    def ratio(self) -> float:
        """Total to the baseline's."""
        return self.total / total(self.baseline_components)

    @property
    def logic_ratio(self) -> float:
        """Total without memories to the baseline's."""
        mine, other = (
            total({name: energy for name, energy in parts.items() if name != MEMORIES})
            for parts in (self.components, self.baseline_components)
        )
        return mine / other

    def records(self) -> list[Record]:
        """Return every figure."""
        of = f"of {self.baseline.full_name}"
        figures = [
            ("total", "energy per operation", self.total * 1e12, "pJ"),
            ("total", "ratio", self.ratio, of),
            ("total", "logic ratio", self.logic_ratio, of),
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


def total(components: dict[str, Energy]) -> float:
    """Return the joules of all components."""
    return sum(energy.total for energy in components.values())


def energy_per_operation(configs: Sequence[Configuration], setup: Setup) -> list[OperationEnergy]:
    """Return the energy of designs in steady state, one for each configuration.

    Memories are not synthesized: each bit read or written costs :func:`bit_energy`.

    Raises:
        InputError: If the library can not hold a design, or the data is not there.
    """
    designs = with_baselines(configs)
    data = {config: operands(config.mac, setup.source) for config in designs}
    bit = bit_energy(setup) if any(BUFFERS in design(config).components for config in designs) else 0.0
    measured = {
        config: measure(config, netlist, data[config], setup, bit)
        for config, netlist in zip(designs, synthesize_all(designs, setup.flow), strict=True)
    }
    return [
        OperationEnergy(
            config=config,
            components=measured[config][0],
            baseline=baseline_of(config),
            baseline_components=measured[baseline_of(config)][0],
            utilization=measured[config][1],
        )
        for config in dict.fromkeys(configs)
    ]


def bit_energy(setup: Setup) -> float:
    """Return the joules of reading or writing one bit of a memory: 1/16 of a 16-bit multiply-accumulate on noise.

    Source: Eyeriss (Chen et al., ISCA 2016, table IV): an access to a register file of 0.5 kB costs as much as one
    16-bit multiply-accumulate. Hazards are left out, as they are of the multiplier and not of a register file.
    """
    setup = replace(setup, hazards=False)
    (netlist,) = synthesize_all([_REFERENCE], setup.flow)
    energy, _ = measure(_REFERENCE, netlist, operands(_REFERENCE, "gaussian"), setup, bit=0.0)
    return total(energy) / _REFERENCE.weight.bits


def measure(
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
        accesses = activity.reads + activity.writes
        bits = sum(memory.width * count for memory, count in zip(gates.memories, accesses, strict=True))
        components[MEMORIES] = Energy(internal=bits * bit)
    operations = config.lane_count * config.mac.vector_size * utilization
    return {component: energy.per(operations) for component, energy in components.items()}, utilization
