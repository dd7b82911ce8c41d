"""Area of designs beside their 8-bit baselines: figures, a table, and records."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.table import Table

from vsq.golden.contract.configuration import Configuration
from vsq.golden.contract.errors import InputError
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import BIT_AREA, DesignArea, checked_bit_area, measure
from vsq.synth.measure.designs import of_one_kind
from vsq.synth.measure.records import Record
from vsq.synth.report.tables import area_table


@dataclass(frozen=True, kw_only=True)
class AreaReport:
    """Areas of vector MACs, or of processing elements, one for each design, and the flow that they come from."""

    flow: Flow
    areas: list[DesignArea]

    def table(self) -> Table:
        """Return one row a design."""
        return area_table(self.areas, self.flow)

    def records(self) -> list[Record]:
        """Return every figure."""
        return [record for area in self.areas for record in area.records(self.flow.library.unit)]


def area(
    designs: Configuration | str | Iterable[Configuration | str],
    *,
    pe: bool = False,
    liberty: str | Path = "nand2",
    goal: str = Goal.AREA,
    flatten: bool = False,
    bit_area: Decimal | int | str = BIT_AREA,
) -> AreaReport:
    """Synthesize designs of one kind and their 8-bit baselines, on every core; return their areas.

    Args:
        designs: Vector MACs, or processing elements: configurations, or texts such as ``4/4/4/6`` and
            ``4/4/4/6@lanes=32``.
        pe: Whether texts without ``@`` name processing elements too.
        liberty: A built-in library (``nand2``, ``gates``) or a Liberty file.
        goal: What to minimize: ``area`` or ``delay``.
        flatten: Whether to optimize across components; there is no split by component then.
        bit_area: Area of a buffer bit of a processing element, in two-input NANDs.

    Raises:
        InputError: If the kinds are mixed, a value is out of range, or the library cannot hold a design.
    """
    if goal not in tuple(Goal):
        raise InputError(f"goal {goal!r}: choose one of {', '.join(Goal)}")
    configs, bit = of_one_kind(designs, pe=pe), checked_bit_area(bit_area)
    flow = Flow(library=Library.load(liberty), goal=Goal(goal), flatten=flatten)
    return AreaReport(flow=flow, areas=measure(configs, flow, bit))
