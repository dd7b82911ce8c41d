"""Area and timing as tables for people; :mod:`vsq.synth.measure.records` has them for programs."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.table import Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import MacDesign
from vsq.synth.flow.synthesis import Flow
from vsq.synth.measure.area import TOP, MacArea
from vsq.synth.measure.pe_area import PeArea
from vsq.synth.measure.timing import CriticalPath


def area_table(areas: Sequence[MacArea], flow: Flow) -> Table:
    """Return one row a configuration: total area, its split by component, sequential share, cells, ratio."""
    library = flow.library
    components = _components(area.components for area in areas)
    baselines = dict.fromkeys(area.baseline.full_name for area in areas)
    table = plain_table(
        f"Area in {library.unit}, library {library.name}",
        f"Ratio: to {', '.join(baselines)} of this run. Cells only: no wires, buffers or clock tree.",
        ("total", *components, "FFs", "cells", "ratio"),
    )
    for area in areas:
        parts = (area.components.get(name) for name in components)
        table.add_row(
            two_lines(area.config),
            f"{area.total.area:,.0f}",
            *(f"{part.area:,.0f}" if part else "-" for part in parts),
            f"{area.total.sequential / area.total.area:.1%}",
            f"{area.total.cells.total():,}",
            f"{area.ratio:.3f}",
        )
    return table


def pe_area_table(areas: Sequence[PeArea], flow: Flow) -> Table:
    """Return one row an element: logic by component, memory bits, and ratios of lanes, logic and everything."""
    parts = ("dot", "scale", "accumulator", "collector", "ppu", "control")
    table = plain_table(
        f"Processing elements, area in {flow.library.unit}, library {flow.library.name}",
        f"Ratios to {', '.join(dict.fromkeys(area.baseline.full_name for area in areas))}: of the vector MACs alone, "
        f"of all logic, and with buffers at {areas[0].bit_area} {flow.library.unit} a bit.",
        ("logic", *parts, "memory bits", "MACs", "logic ", "all"),
    )
    for area in areas:
        table.add_row(
            two_lines(area.config),
            f"{area.total.area:,.0f}",
            *(f"{area.components[name].area:,.0f}" if name in area.components else "-" for name in parts),
            f"{area.total.memory_bits:,}",
            *(f"{ratio:.3f}" for ratio in (area.lanes_ratio, area.logic_ratio, area.ratio)),
        )
    return table


def timing_table(areas: Sequence[MacArea], paths: Sequence[Mapping[str, CriticalPath]], flow: Flow) -> Table:
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


def two_lines(config: MacConfig | PeConfig) -> str:
    """Return the configuration, and below it its options."""
    return config.full_name.replace(":", "\n", 1)


def _components(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the components that occur in any row, in the order of the datapath."""
    present = {name for row in rows for name in row}
    return [name for name in (*MacDesign.parts.values(), TOP) if name in present]


def plain_table(title: str, caption: str, columns: Sequence[str]) -> Table:
    """Return an empty table: the configuration on the left, figures to its right."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title=title, caption=caption)
    table.add_column("configuration", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
