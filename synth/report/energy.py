"""Energy of a multiply-accumulate in designs beside their 8-bit baselines: figures, a table, and records."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from vsq.golden.contract.configuration import Configuration
from vsq.golden.contract.errors import InputError
from vsq.synth.flow.synthesis import Flow
from vsq.synth.library.liberty import Library
from vsq.synth.library.power import Power
from vsq.synth.measure.area import BUFFERS
from vsq.synth.measure.designs import of_one_kind
from vsq.synth.measure.energy import CLOCK, INPUTS
from vsq.synth.measure.energy_per_mac import MEMORIES, OperationEnergy, Setup, energy_per_operation
from vsq.synth.measure.records import Record
from vsq.synth.report.tables import COMPONENTS, plain_table, two_lines

_ORDER = (INPUTS, *COMPONENTS, BUFFERS, CLOCK, MEMORIES)


@dataclass(frozen=True, kw_only=True)
class EnergyReport:
    """Energies of vector MACs, or of processing elements, one for each design, and how they were measured."""

    setup: Setup
    energies: list[OperationEnergy]

    def table(self) -> Table:
        """Return one row a design: total, its split by component, and ratios to the baseline."""
        setup, found = self.setup, self.energies
        components = [name for name in _ORDER if any(name in one.components for one in found)]
        memories = MEMORIES in components
        table = plain_table(
            f"Energy of a multiply-accumulate in pJ, library {setup.power.library.name}, {setup.power.voltage} V, "
            f"data {setup.source}{', with hazards' if setup.hazards else ''}",
            f"Ratio to {', '.join(dict.fromkeys(one.baseline.full_name for one in found))} on the same data"
            f"{'; logic: without memories' if memories else ''}. No wires, no clock tree, no leakage.",
            ("total", *components, *(["logic"] if memories else []), "ratio"),
        )
        for one in found:
            table.add_row(
                two_lines(one.config),
                f"{one.total * 1e12:.3f}",
                *(f"{one.components[name].total * 1e12:.3f}" if name in one.components else "-" for name in components),
                *([f"{one.logic_ratio:.3f}"] if memories else []),
                f"{one.ratio:.3f}",
            )
        return table

    def records(self) -> list[Record]:
        """Return every figure."""
        return [record for one in self.energies for record in one.records()]


def energy(
    designs: Configuration | str | Iterable[Configuration | str],
    liberty: str | Path,
    *,
    pe: bool = False,
    data: str = "gaussian",
    slew: float = 0.1,
    hazards: bool = False,
) -> EnergyReport:
    """Simulate mapped netlists of designs of one kind, and of their 8-bit baselines, on data; return their energies.

    Args:
        designs: Vector MACs, or processing elements: configurations, or texts such as ``4/4/4/6`` and
            ``4/4/4/6@lanes=32``.
        liberty: A Liberty file with power data.
        pe: Whether texts without ``@`` name processing elements too.
        data: What enters: ``digits``, ``minilm``, ``gaussian``, or an ``.npz`` file of a layer.
        slew: Transition time of inputs, in the library's unit of time.
        hazards: Whether transitions within a cycle count, at one delay a gate.

    Raises:
        InputError: If the kinds are mixed, a value is out of range, the library has no power data or cannot hold a
            design, or the data is not there.
    """
    if not slew > 0:
        raise InputError(f"slew {slew}: a transition takes time; give more than 0")
    configs = of_one_kind(designs, pe=pe)
    library = Library.load(liberty)
    setup = Setup(flow=Flow(library=library), power=Power.of(library), source=data, slew=slew, hazards=hazards)
    return EnergyReport(setup=setup, energies=energy_per_operation(configs, setup))
