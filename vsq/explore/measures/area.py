"""Area of a synthesized design."""

from dataclasses import dataclass

from vsq.explore.measures.counts import CountsMeasure
from vsq.explore.measures.measure import Measure
from vsq.golden.contract.errors import choice
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.flow.sharing import Known, synthesize_new
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import by_component, total
from vsq.synth.measure.records import Record, records

_TOP = "vsq"
_MAPPED: Known = {}  # modules that this process has mapped: many designs have the same dot product


@dataclass(frozen=True, kw_only=True)
class AreaMeasure(Measure):
    """Area in the library's unit, of the whole and of each component; memories of processing elements in bits.

    Args:
        liberty: A built-in library (``nand2``, ``gates``) or a Liberty file.
        goal: What to minimize: ``area``, ``delay``, or both (``balanced``).
    """

    name = "area"
    summary = "cells of a synthesized design, in the library's unit"
    quantity = "area"
    slack = 0.03
    samples = 48
    layers = ("golden", "hw", "synth")
    packages = ("amaranth", "pyosys")

    liberty: str = "nand2"
    goal: str = "area"

    def __post_init__(self) -> None:
        choice("goal", self.goal, Goal)
        Library.load(self.liberty)

    def preview(self) -> Measure:
        """Return the measure of the generator's counts."""
        return CountsMeasure()

    def inputs(self) -> dict[str, str]:
        """Return the library's digest."""
        return {"liberty": Library.load(self.liberty).digest}

    def figures(self, config: Configuration) -> list[Record]:
        """Return areas of cells, and memory bits."""
        from vsq.hw.emit.design import design

        config.mac.check_hardware()
        made, library = design(config), Library.load(self.liberty)
        netlist = synthesize_new(made.rtlil(_TOP), _TOP, Flow(library=library, goal=Goal(self.goal)), _MAPPED)
        components = by_component(netlist, library, made.components)
        parts = {"total": total(components), **components}
        areas = [(name, self.quantity, part.area, library.unit) for name, part in parts.items()]
        bits = [(name, "memory bits", part.memory_bits, "bit") for name, part in parts.items() if part.memory_bits]
        return records(config.full_name, [*areas, *bits])
