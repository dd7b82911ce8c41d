"""Energy of a multiply-accumulate, from the switching activity of the mapped netlist."""

from dataclasses import dataclass
from functools import cache

from vsq.explore.measures.measure import Measure
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.workloads.workload import WORKLOADS
from vsq.hw.emit.design import design
from vsq.synth.gatesim.stimulus import operands
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import BUFFERS, synthesize_all
from vsq.synth.measure.energy import Setup, bit_energy, per_operation, total
from vsq.synth.measure.records import Record, records


@dataclass(frozen=True, kw_only=True)
class EnergyMeasure(Measure):
    """Energy of one multiply-accumulate in pJ, of the whole and of each component.

    Args:
        liberty: A Liberty file with power data.
        data: What enters: a workload, ``gaussian``, or an ``.npz`` file of a layer.
        slew: Transition time of inputs, in the library's unit of time.
    """

    name = "energy"
    summary = "pJ of one multiply-accumulate, on real data; needs liberty=FILE with power data"
    quantity = "energy per operation"
    layers = ("golden", "hw", "synth")
    packages = ("amaranth", "numpy", "pyosys")

    liberty: str
    data: str = "gaussian"
    slew: float = 0.1

    def __post_init__(self) -> None:
        if not self.slew > 0:
            raise InputError(f"slew {self.slew}: a transition takes time; give more than 0")
        _setup(self)
        if self.data not in WORKLOADS:  # which are loaded by the workers alone
            operands(MacConfig.parse("4/4/4/6"), self.data)

    def preview(self) -> None:
        """Return None: candidates are chosen by other figures, such as the area, which it mostly follows."""

    def inputs(self) -> dict[str, str]:
        """Return the library's digest."""
        return {"liberty": Library.load(self.liberty).digest}

    def figures(self, config: Configuration) -> list[Record]:
        """Return energies, and the share of cycles in which operands enter."""
        config.mac.check_hardware()
        setup = _setup(self)
        (netlist,) = synthesize_all([config], setup.flow)
        bit = _bit_energy(self) if BUFFERS in design(config).components else 0.0
        energies, utilization = per_operation(config, netlist, operands(config.mac, self.data), setup, bit)
        joules = {"total": total(energies), **{name: energy.total for name, energy in energies.items()}}
        found = [(name, self.quantity, value * 1e12, "pJ") for name, value in joules.items()]
        return records(config.full_name, [*found, ("total", "utilization", utilization, "1")])


@cache
def _setup(measure: EnergyMeasure) -> Setup:
    return Setup.of(measure.liberty, measure.data, measure.slew)


@cache
def _bit_energy(measure: EnergyMeasure) -> float:
    return bit_energy(_setup(measure))
