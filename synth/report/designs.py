"""Measurements of ``vsq report``: the absolute figures of each processing element, cached; interrupted runs resume."""

import os
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from shutil import which

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import Configuration, configuration
from vsq.golden.io.files import Store
from vsq.golden.io.pool import pool
from vsq.hw.emit.design import design
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.gatesim.stimulus import operands
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import by_component, synthesize_all, total
from vsq.synth.measure.energy import Setup, bit_energy, per_operation
from vsq.synth.measure.records import Record, document, records
from vsq.synth.measure.timing import critical_paths
from vsq.synth.report.rows import POINTS

# The elements of the report unless others are asked for: the paper's, and its headlines with narrower scale products.
DEFAULT_CONFIGS = (*POINTS, "4/4/4/6:R=8", "4/8/6/10:R=8", "4/8/6/10:R=8,acc=24")

SLEW = 0.1  # input transition time of energy, in the library's unit
_MEMORY_BIT = "memory bit"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The measurement settings that all designs share."""

    liberty: str | None  # library of critical paths and energy; None leaves both out
    data: str  # what energy is measured on, as vsq.synth.gatesim.stimulus.operands names it
    timing: bool  # whether OpenSTA is here for critical paths
    dont_use: tuple[str, ...] = ()  # patterns of names of the library's cells to set aside

    @classmethod
    def of(cls, liberty: str | None, data: str, dont_use: Sequence[str] = ()) -> "Settings":
        """Return the settings that this machine allows; the library and the data must be readable."""
        if liberty is None:
            return cls(liberty=None, data=data, timing=False)
        timed = Setup.of(liberty, data, SLEW, dont_use=dont_use).flow.library.timed
        operands(MacConfig.parse("4/4/4/6"), data)
        timing = timed and which("sta") is not None
        return cls(liberty=liberty, data=data, timing=timing, dont_use=tuple(dont_use))

    @property
    def setup(self) -> Setup:
        """The setup of energy measurements, with the library."""
        assert self.liberty is not None
        return Setup.of(self.liberty, self.data, SLEW, dont_use=self.dont_use)

    @property
    def about(self) -> dict[str, object]:
        """The settings that must be equal for a cached figure to be used again."""
        digest = Library.load(self.liberty, self.dont_use).digest if self.liberty else None
        return {"liberty": digest, "data": self.data, "timing": self.timing, "slew": SLEW}

    def notes(self, bit_area: Decimal) -> list[str]:
        """Return notes on the figures, and on those that are left out, for people."""
        found = [
            f"Area is of cells of the library {Library.load().name}, and of buffers at {bit_area} two-input NANDs a "
            'bit; "logic" is without buffers, "MACs" are dot products, scale paths and accumulators alone.',
            "The paper gives neither lanes nor buffer sizes nor cells. Ours have no wires and no clock tree.",
        ]
        if self.liberty is None:
            omission = "Critical paths and energy are left out: no library with timing and power was given (--liberty)."
            return [*found, omission]
        library = Library.load(self.liberty, self.dont_use)
        return [
            *found,
            f"Energy is of one multiply-accumulate on the layer {self.data}, with the library {library.name}; "
            '"logic" is without memories.',
            *library.notes,
            "Critical paths are of netlists mapped for delay, with buffers and sized cells, the rest of those for area."
            if self.timing
            else "Critical paths are left out: OpenSTA (sta) or the library's timing is missing.",
        ]


def measure(
    configs: Sequence[Configuration], settings: Settings, out: Path, console: Console | None = None
) -> dict[Configuration, list[Record]]:
    """Measure every element on every core, and keep each one's records in ``out/figures.json`` as they are known."""
    tools = document("report", Flow(library=Library.load()), [])
    about = {name: tools[name] for name in ("versions", "library", "flow")} | {"settings": settings.about}
    store = Store(out / "figures.json", about, "figures", anew=True)
    missing = [config for config in configs if config.full_name not in store.results]
    if missing and settings.liberty and _MEMORY_BIT not in store.results:
        store.keep(_MEMORY_BIT, bit_energy(settings.setup))
    bit = store.results.get(_MEMORY_BIT, 0.0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(quiet=True), transient=True) as progress:
        bar = progress.add_task("processing elements", total=len(configs), completed=len(configs) - len(missing))
        with pool(os.cpu_count() or 1) as executor:
            jobs = {executor.submit(figures, config.full_name, settings, bit): config for config in missing}
            for job in as_completed(jobs):
                store.keep(jobs[job].full_name, [asdict(record) for record in job.result()])
                progress.advance(bar)
    return {config: [Record(**record) for record in store.results[config.full_name]] for config in configs}


def figures(name: str, settings: Settings, bit: float) -> list[Record]:
    """Return the absolute figures of one element; ``bit`` is the energy of a memory bit's access in joules."""
    config = configuration(name)
    library = Library.load()
    (netlist,) = synthesize_all([config], Flow(library=library))
    components = by_component(netlist, library, design(config).components)
    values: list[tuple[str, str, float, str]] = []
    for component, area in {"total": total(components), **components}.items():
        values += [
            (component, "area", float(area.area), library.unit),
            (component, "memory bits", area.memory_bits, "bit"),
        ]
    if settings.liberty:
        setup = settings.setup
        library = setup.flow.library
        (netlist,) = synthesize_all([config], setup.flow)
        if settings.timing:
            (fast,) = synthesize_all([config], Flow(library=library, goal=Goal.DELAY))
            paths = critical_paths(fast, library)
            values += [(component, "critical path", path.delay, "ns") for component, path in paths.items()]
        data = operands(config.mac, settings.data)
        energies, utilization = per_operation(config, netlist, data, setup, bit)
        values += [(component, "energy", energy.total * 1e12, "pJ") for component, energy in energies.items()]
        values.append(("total", "utilization", utilization, "1"))
    return records(name, values)
