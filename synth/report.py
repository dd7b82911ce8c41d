"""Area reports as tables for people; :mod:`synth.records` has them for programs."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from hw.verilog import COMPONENTS
from synth.area import TOP, MacArea
from synth.flow import Flow


def area_table(areas: Sequence[MacArea], flow: Flow) -> Table:
    """Return one row a configuration: total area, its split by component, sequential share, cells, ratio."""
    library = flow.library
    present = {name for area in areas for name in area.components}
    components = [name for name in (*COMPONENTS, TOP) if name in present]
    baselines = dict.fromkeys(area.baseline.full_name for area in areas)
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title=f"Area (unit: {library.unit}), library {library.name}",
        caption=f"Ratio: to {', '.join(baselines)} of this run. Cells only: no wires, buffers or clock tree.",
    )
    table.add_column("configuration", no_wrap=True)
    for name in ("total", *components, "FFs", "cells", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for area in areas:
        parts = (area.components.get(name) for name in components)
        table.add_row(
            area.config.full_name,
            f"{area.total.area:,.0f}",
            *(f"{part.area:,.0f}" if part else "-" for part in parts),
            f"{area.total.sequential / area.total.area:.1%}",
            f"{area.total.cells.total():,}",
            f"{area.ratio:.3f}",
        )
    return table
