"""Area and timing as tables for people; :mod:`vsq.synth.measure.records` has them for programs."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table

from vsq.golden.contract.configuration import Configuration
from vsq.hw.emit.design import TOP
from vsq.synth.flow.synthesis import Flow
from vsq.synth.measure.area import DesignArea
from vsq.synth.measure.timing import CriticalPath

# Logic in the order of the datapath.
COMPONENTS = ("dot", "scale", "accumulator", "collector", "ppu", "control", TOP)


def area_table(areas: Sequence[DesignArea], flow: Flow) -> Table:
    """Return one row a design: total area and its split by component, sequential share, cells and ratio.

    Designs with buffers have, instead of the last three, memory bits and ratios of lanes, logic and everything.
    """
    unit, baselines = flow.library.unit, ", ".join(dict.fromkeys(area.baseline.full_name for area in areas))
    components = _components(area.components for area in areas)
    title = f"rea in {unit}, library {flow.library.name}"
    if any(area.total.memory_bits for area in areas):
        table = plain_table(
            f"Processing elements, a{title}",
            f"Ratios to {baselines}: of the vector MACs alone, of all logic, and with buffers at {areas[0].bit_area} "
            f"{unit} a bit.",
            ("logic", *components, "memory bits", "MACs", "logic ", "all"),
        )
    else:
        table = plain_table(
            f"A{title}",
            f"Ratio: to {baselines} of this run. Cells only: no wires, buffers or clock tree.",
            ("total", *components, "FFs", "cells", "ratio"),
        )
    for area in areas:
        parts = (area.components.get(name) for name in components)
        total, lanes = area.total, "-" if area.lanes_ratio is None else f"{area.lanes_ratio:.3f}"
        table.add_row(
            two_lines(area.config),
            f"{total.area:,.0f}",
            *(f"{part.area:,.0f}" if part else "-" for part in parts),
            *(
                (f"{total.memory_bits:,}", lanes, f"{area.logic_ratio:.3f}")
                if total.memory_bits
                else (f"{total.sequential / total.area:.1%}", f"{total.cells.total():,}")
            ),
            f"{area.ratio:.3f}",
        )
    return table


def timing_table(areas: Sequence[DesignArea], paths: Sequence[Mapping[str, CriticalPath]], flow: Flow) -> Table:
    """Return one row a configuration: total area, critical path of the whole and of each component, frequency."""
    components = _components(paths)
    table = plain_table(
        f"Critical paths in ns, library {flow.library.name}, goal {flow.goal}",
        "Components alone, from port to port; cells only: no wires, no loads at outputs, no clock skew.",
        ("area", "total", *components, "MHz"),
    )
    for area, path in zip(areas, paths, strict=True):
        table.add_row(
            two_lines(area.config),
            f"{area.total.area:,.0f}",
            f"{path['total'].delay:.2f}",
            *(f"{path[name].delay:.2f}" if name in path else "-" for name in components),
            f"{path['total'].frequency:.0f}",
        )
    return table


def two_lines(config: Configuration) -> str:
    """Return the configuration, and below it its options."""
    return config.full_name.replace(":", "\n", 1)


def _components(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the components that occur in any row, in the order of the datapath."""
    present = {name for row in rows for name in row}
    return [name for name in COMPONENTS if name in present]


def plain_table(title: str, caption: str, columns: Sequence[str]) -> Table:
    """Return an empty table: the configuration on the left, figures to its right."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title=title, caption=caption)
    table.add_column("configuration", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
