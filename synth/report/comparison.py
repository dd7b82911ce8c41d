"""Area, critical paths and energy of designs beside their 8-bit baselines: figures, tables, and records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich import box
from rich.table import Table

from vsq.golden.contract.config import Reset
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, configuration, several
from vsq.hw.emit.design import TOP, design
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.library.liberty import LIBRARY_UNIT, Library
from vsq.synth.library.macros import Macro, matching
from vsq.synth.measure.area import BIT_AREA, BUFFERS, DesignArea, checked_bit_area, measure, with_baselines
from vsq.synth.measure.energy import CLOCK, INPUTS, MEMORIES, PRICES, OperationEnergy, Setup, energy_per_operation
from vsq.synth.measure.records import Record
from vsq.synth.measure.timing import CriticalPath

# Components in the order of the datapath.
_LANES = ("decoder", "dot", "scale", "accumulator")
_ORDER = (INPUTS, *_LANES, "collector", "ppu", "control", TOP, BUFFERS, CLOCK, MEMORIES)


@dataclass(frozen=True, kw_only=True)
class AreaReport:
    """Areas of vector MACs, or of processing elements, one for each design, and the flow that they come from."""

    flow: Flow
    areas: list[DesignArea]

    def table(self) -> Table:
        """Return one row a design: total area and its split by component, sequential share, cells and ratio.

        Designs with buffers have, instead of the last three, memory bits and ratios of lanes, of logic, of everything,
        and of everything with as many bits of buffers as the baseline.
        """
        unit, baselines = self.flow.library.unit, _names(area.baseline for area in self.areas)
        components = [name for name in components_in_order(area.components for area in self.areas) if name != BUFFERS]
        title = f"rea in {unit}, library {self.flow.library.name}"
        if any(area.total.memories for area in self.areas):
            prices = self.areas[0].prices
            of_macros = _said(prices.macros)
            table = plain_table(
                f"Processing elements, a{title}",
                f"Ratios to {baselines}: of the vector MACs alone, of all logic, and with buffers at "
                f"{prices.bit} {unit} a bit{of_macros}, as many entries as the baseline or as many bytes.",
                ("logic", *components, "memory bits", "MACs", "logic ", "equal bytes", "all"),
            )
        else:
            table = plain_table(
                f"A{title}",
                f"Ratio: to {baselines} of this run. Cells only: no wires, buffers or clock tree.",
                ("total", *components, "FFs", "cells", "ratio"),
            )
        for area in self.areas:
            total, parts = area.total, (area.components.get(name) for name in components)
            figures = [f"{total.area:,.0f}", *(shown(part.area if part else None, ",.0f") for part in parts)]
            if total.memories:
                ratios = (area.lanes_ratio, area.logic_ratio, area.equal_bytes_ratio)
                figures += [f"{total.memory_bits:,}", *map(shown, ratios)]
            else:
                figures += [f"{total.sequential / total.area:.1%}", f"{total.cells.total():,}"]
            table.add_row(_two_lines(area.config), *figures, shown(area.ratio))
        return table

    def records(self) -> list[Record]:
        """Return every figure."""
        return [record for area in self.areas for record in area.records(self.flow.library.unit)]


def timing_table(reports: Sequence[AreaReport], paths: Sequence[Sequence[Mapping[str, CriticalPath]]]) -> Table:
    """Return area against delay: for each design one row a goal.

    Args:
        reports: Areas of the same designs, a report for each goal.
        paths: Critical paths of each report's netlists.
    """
    components = components_in_order(path for found in paths for path in found)
    table = plain_table(
        f"Critical paths in ns, library {reports[0].flow.library.name}",
        "Components alone, from port to port; cells only: no wires, no loads at outputs, no clock skew.",
        ("goal", "area", "total", *components, "MHz"),
    )
    for place in range(len(reports[0].areas)):
        for number, (report, found) in enumerate(zip(reports, paths, strict=True)):
            area, path = report.areas[place], found[place]
            delays = (shown(path[name].delay if name in path else None, ".2f") for name in ("total", *components))
            name = "" if number else _two_lines(area.config)
            frequency = f"{path['total'].frequency:.0f}"
            table.add_row(name, report.flow.goal, f"{area.total.area:,.0f}", *delays, frequency)
    return table


@dataclass(frozen=True, kw_only=True)
class EnergyReport:
    """Energies of vector MACs, or of processing elements, one for each design, and how they were measured."""

    setup: Setup
    energies: list[OperationEnergy]

    def table(self) -> Table:
        """Return one row a design: total, its split by component, and ratios to the baseline.

        Designs with memories have a ratio for each of :data:`vsq.synth.measure.energy.PRICES` of a bit.
        """
        setup, found = self.setup, self.energies
        components = components_in_order(one.components for one in found)
        prices = PRICES if MEMORIES in components else (1.0,)
        caption = (
            "; logic: without memories; x: with memory bits at so many times their price" if len(prices) > 1 else ""
        )
        table = plain_table(
            f"Energy of a multiply-accumulate in pJ, library {setup.power.library.name}, {setup.power.voltage} V, "
            f"data {setup.source}{', with hazards' if setup.hazards else ''}",
            f"Ratio to {_names(one.baseline for one in found)} on the same data"
            f"{caption}{_said(setup.macros)}. No wires, no clock tree, no leakage.",
            ("total", *components, *({0.0: "logic", 1.0: "ratio"}.get(price, f"x{price:g}") for price in prices)),
        )
        for one in found:
            parts = (one.components.get(name) for name in components)
            joules = [one.total * 1e12, *(part.total * 1e12 if part else None for part in parts)]
            table.add_row(_two_lines(one.config), *map(shown, [*joules, *map(one.ratio_at, prices)]))
        return table

    def records(self) -> list[Record]:
        """Return every figure."""
        return [record for one in self.energies for record in one.records()]


def area(
    designs: Configuration | str | Iterable[Configuration | str],
    *,
    pe: bool = False,
    liberty: str | Path = "nand2",
    goal: str = Goal.AREA,
    flatten: bool = False,
    bit_area: Decimal | int | str = BIT_AREA,
    dont_use: Sequence[str] = (),
    macros: Sequence[str | Path] = (),
) -> AreaReport:
    """Synthesize designs of one kind and their 8-bit baselines, on every core; return their areas.

    Args:
        designs: Vector MACs, or processing elements: configurations, or texts such as ``4/4/4/6`` and
            ``4/4/4/6@lanes=32``.
        pe: Whether texts without ``@`` name processing elements too.
        liberty: A built-in library (``nand2``, ``gates``) or a Liberty file.
        goal: What to minimize: ``area``, ``delay``, or ``balanced`` between them.
        flatten: Whether to optimize across components; there is no split by component then.
        bit_area: Area of a buffer bit of a processing element, in two-input NANDs, where no macro has its shape.
        dont_use: Patterns of names of cells that are not used, such as ``*_probe_*``.
        macros: Liberty files of SRAM macros for the buffers, with areas in the unit of ``liberty``.

    Raises:
        InputError: If the kinds are mixed, a value is out of range, the library cannot hold a design, a pattern matches
            none of its cells, a macro no memory, or vector MACs a price of buffers.
    """
    if goal not in tuple(Goal):
        raise InputError(f"goal {goal!r}: choose one of {', '.join(Goal)}")
    configs, bit = of_one_kind(designs, pe=pe), checked_bit_area(bit_area)
    if bit != BIT_AREA and configs[0].kind != "pe":
        raise InputError(f"bit area {bit}: a vector MAC has no buffers; leave it out, or give processing elements")
    flow = Flow(library=Library.load(liberty, dont_use), goal=Goal(goal), flatten=flatten)
    if macros and flow.library.unit != LIBRARY_UNIT:
        raise InputError(
            f"macro {macros[0]}: areas of library {flow.library.name} are in {flow.library.unit}; "
            "give --liberty, of the macro's process"
        )
    return AreaReport(flow=flow, areas=measure(configs, flow, bit, _macros(macros, configs)))


def energy(
    designs: Configuration | str | Iterable[Configuration | str],
    liberty: str | Path,
    *,
    pe: bool = False,
    data: str = "gaussian",
    slew: float = 0.1,
    hazards: bool = False,
    dont_use: Sequence[str] = (),
    macros: Sequence[str | Path] = (),
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
        dont_use: Patterns of names of cells that are not used, such as ``*_probe_*``.
        macros: Liberty files of SRAM macros for the buffers, with power data.

    Raises:
        InputError: If the kinds are mixed, a value is out of range, the library or a macro has no power data, the
            library cannot hold a design, a pattern matches none of its cells, a macro no memory, or the data is not
            there.
    """
    if not slew > 0:
        raise InputError(f"slew {slew}: a transition takes time; give more than 0")
    configs = of_one_kind(designs, pe=pe)
    for config in configs:
        if config.mac.reset != Reset.SYNC:
            raise InputError(
                f"{config.full_name}: energy is of designs with a synchronous reset; leave reset={config.mac.reset} out"
            )
    found = _macros(macros, configs)
    for macro in found.values():
        macro.energy(slew)
    setup = Setup.of(liberty, data, slew, hazards=hazards, dont_use=dont_use, macros=found)
    return EnergyReport(setup=setup, energies=energy_per_operation(configs, setup))


def _said(macros: Mapping[MemoryShape, Macro]) -> str:
    """Return which macros stand in for which memories, as the end of a sentence."""
    return "".join(f", {macro.size} by {macro.name}" for macro in macros.values())


def _macros(paths: Sequence[str | Path], configs: Sequence[Configuration]) -> dict[MemoryShape, Macro]:
    """Return macros by shape, each of which a memory of these designs or of their baselines has."""
    memories = (shape for config in with_baselines(configs) for shape in design(config).memories)
    return matching(paths, memories)


def of_one_kind(
    designs: Configuration | str | Iterable[Configuration | str], *, pe: bool = False
) -> list[Configuration]:
    """Return the designs of a comparison, as :func:`area` takes them, in order.

    Raises:
        InputError: If there is no design, if both kinds are there, or if a text is malformed.
    """
    found = [configuration(design, pe=pe and isinstance(design, str)) for design in several(designs)]
    if not found:
        raise InputError("no design: there is nothing to measure; give a configuration such as 4/4/4/6")
    firsts = {config.kind: config for config in reversed(found)}
    if len(firsts) > 1:
        raise InputError(
            f"{firsts['mac'].full_name} and {firsts['pe'].full_name}: a vector MAC is not compared with a processing "
            "element; give one kind"
        )
    return found


def plain_table(title: str, caption: str, columns: Sequence[str]) -> Table:
    """Return an empty table: the configuration on the left, figures to its right."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title=title, caption=caption)
    table.add_column("configuration", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def shown(value: Decimal | float | None, spec: str = ".3f") -> str:
    """Return a figure for people; a dash for None."""
    return "-" if value is None else f"{value:{spec}}"


def _two_lines(config: Configuration) -> str:
    """Return the configuration, and below it its options."""
    return config.full_name.replace(":", "\n", 1)


def _names(baselines: Iterable[Configuration]) -> str:
    return ", ".join(dict.fromkeys(config.full_name for config in baselines))


def components_in_order(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return the components that occur in any row, in the order of the datapath."""
    present = {name for row in rows for name in row}
    return [name for name in _ORDER if name in present]
