"""Energy of one multiply-accumulate, of vector MACs and of processing elements, beside the 8-bit baseline's."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Streams as PeStreams
from vsq.synth.flow.synthesis import Flow, Netlist
from vsq.synth.gatesim.mac import Streams, mac_activity
from vsq.synth.gatesim.netlist import flat
from vsq.synth.gatesim.pe import commands, pe_activity
from vsq.synth.gatesim.workload import operands
from vsq.synth.library.power import Power
from vsq.synth.measure.area import TOP, baseline_of, synthesise_all
from vsq.synth.measure.energy import Energy, energies
from vsq.synth.measure.pe_area import COMPONENTS, pe_baseline_of
from vsq.synth.measure.records import Record

MEMORIES = "memories"
_COMPONENT_OF = {module: name for name, modules in COMPONENTS.items() for module in modules} | {TOP: "control"}
_REFERENCE = MacConfig.parse("16/16/-/-:V=1")

Config = TypeVar("Config", MacConfig, PeConfig)


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

    Parameters
    ----------
    config, baseline
        What was measured, and what it is compared with.
    components, baseline_components
        Their energies.
    utilisation
        Share of cycles in which operands enter.
    """

    config: MacConfig | PeConfig
    components: dict[str, Energy]
    baseline: MacConfig | PeConfig
    baseline_components: dict[str, Energy]
    utilisation: float

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
            ("total", "utilisation", self.utilisation, "1"),
        ]
        for component, energy in self.components.items():
            figures += [
                (component, "energy per operation", energy.total * 1e12, "pJ"),
                (component, "internal energy per operation", energy.internal * 1e12, "pJ"),
                (component, "switching energy per operation", energy.switching * 1e12, "pJ"),
                (component, "leakage power", energy.leakage * 1e9, "nW"),
            ]
        name = self.config.full_name
        return [
            Record(configuration=name, component=component, quantity=quantity, value=float(value), unit=unit)
            for component, quantity, value, unit in figures
        ]


def total(components: dict[str, Energy]) -> float:
    """Return the joules of all components."""
    return sum(energy.total for energy in components.values())


def mac_energies(configs: Sequence[MacConfig], setup: Setup) -> list[OperationEnergy]:
    """Return the energy of vector MACs that take a vector in every cycle, one for each configuration.

    Raises
    ------
    InputError
        If the library can not hold a design, or the data is not there.
    """
    designs = {config: baseline_of(config) for config in configs}
    streams = {config: Streams.of(config, operands(config, setup.source)) for config in _all(designs)}
    netlists = synthesise_all(list(streams), setup.flow)
    measured = {
        config: (_mac(netlist, stream, setup), 1.0)
        for (config, stream), netlist in zip(streams.items(), netlists, strict=True)
    }
    return _compared(designs, measured)


def pe_energies(configs: Sequence[PeConfig], setup: Setup) -> list[OperationEnergy]:
    """Return the energy of processing elements in steady state, one for each configuration.

    Memories are not synthesised: each bit read or written costs :func:`bit_energy`.

    Raises
    ------
    InputError
        If the library can not hold a design, or the data is not there.
    """
    designs = {config: pe_baseline_of(config) for config in configs}
    streams = {config: commands(config, operands(config.mac, setup.source)) for config in _all(designs)}
    bit = bit_energy(setup)
    netlists = synthesise_all(list(streams), setup.flow)
    measured = {
        config: pe_energy(config, netlist, played, setup, bit)
        for (config, played), netlist in zip(streams.items(), netlists, strict=True)
    }
    return _compared(designs, measured)


def bit_energy(setup: Setup) -> float:
    """Return the joules of reading or writing one bit of a memory: 1/16 of a 16-bit multiply-accumulate on noise.

    Source: Eyeriss (Chen et al., ISCA 2016, table IV): an access to a register file of 0.5 kB costs as much as one
    16-bit multiply-accumulate. Hazards are left out, as they are of the multiplier and not of a register file.
    """
    setup = replace(setup, hazards=False)
    streams = Streams.of(_REFERENCE, operands(_REFERENCE, "gaussian"))
    (netlist,) = synthesise_all([_REFERENCE], setup.flow)
    return total(_mac(netlist, streams, setup)) / _REFERENCE.weight.bits


def _all(designs: Mapping[Config, Config]) -> list[Config]:
    """Return configurations and baselines, each once."""
    return list({design: None for pair in designs.items() for design in pair})


def _compared(
    designs: Mapping[Config, Config], measured: Mapping[Config, tuple[dict[str, Energy], float]]
) -> list[OperationEnergy]:
    return [
        OperationEnergy(
            config=config,
            components=measured[config][0],
            baseline=baseline,
            baseline_components=measured[baseline][0],
            utilisation=measured[config][1],
        )
        for config, baseline in designs.items()
    ]


def _mac(netlist: Netlist, streams: Streams, setup: Setup) -> dict[str, Energy]:
    gates = flat(netlist)
    activity = mac_activity(gates, setup.flow.library, streams, hazards=setup.hazards)
    found = energies(gates, activity, setup.power, setup.slew)
    return {component: energy.per(streams.config.vector_size) for component, energy in found.items()}


def pe_energy(
    config: PeConfig, netlist: Netlist, streams: Sequence[PeStreams], setup: Setup, bit: float
) -> tuple[dict[str, Energy], float]:
    """Return one element's energy per operation by component, and the share of cycles in which operands enter."""
    gates = flat(netlist)
    measured = pe_activity(gates, setup.flow.library, config, streams, hazards=setup.hazards)
    accesses = measured.activity.reads + measured.activity.writes
    bits = sum(memory.width * count for memory, count in zip(gates.memories, accesses, strict=True))
    components: defaultdict[str, Energy] = defaultdict(Energy)
    for module, energy in energies(gates, measured.activity, setup.power, setup.slew).items():
        components[_COMPONENT_OF.get(module, module)] += energy
    components[MEMORIES] = Energy(internal=bits * bit)
    operations = config.lane_count * config.mac.vector_size * measured.utilisation
    return {component: energy.per(operations) for component, energy in components.items()}, measured.utilisation
