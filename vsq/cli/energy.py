"""What ``vsq energy`` does: measurement, table, and the JSON report."""

from argparse import Namespace
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.contract.presets import resolve
from vsq.synth.flow.synthesis import Flow
from vsq.synth.library.liberty import Library
from vsq.synth.library.power import Power
from vsq.synth.measure.energy import CLOCK, INPUTS
from vsq.synth.measure.energy_per_mac import MEMORIES, OperationEnergy, Setup, mac_energies, pe_energies
from vsq.synth.measure.records import document, write_document
from vsq.synth.report.tables import plain_table, two_lines

_ORDER = (INPUTS, "dot", "scale", "accumulator", "collector", "ppu", "control", "buffers", CLOCK, MEMORIES)


def energy(args: Namespace, console: Console) -> int:
    """Print the energy of vector MACs or processing elements, and write it as JSON if asked."""
    library = Library.load(args.liberty)
    setup = Setup(
        flow=Flow(library=library),
        power=Power.of(library),
        source=args.data,
        slew=args.slew,
        hazards=args.hazards,
    )
    if args.pe:
        found = pe_energies([PeConfig.parse(name) for name in args.configs], setup)
    else:
        found = mac_energies([resolve(name) for name in args.configs], setup)
    console.print(energy_table(found, setup))
    for note in library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    if args.json:
        report = document("energy", setup.flow, [record for one in found for record in one.records()])
        measured = {"data": setup.source, "slew": setup.slew, "hazards": setup.hazards}
        write_document(args.json, {**report, "measured": measured})
        print(args.json)
    return 0


def energy_table(found: Sequence[OperationEnergy], setup: Setup) -> Table:
    """Return one row a configuration: total, its split by component, and ratios to the baseline."""
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
