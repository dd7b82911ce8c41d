"""A laid-out MAC with what was measured of it: size, wires, critical path and energy, without and with the wires."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import design
from vsq.synth.flow.netlist import Netlist
from vsq.synth.gatesim.netlist import Gates, flat
from vsq.synth.gatesim.simulation import Activity, Simulation
from vsq.synth.gatesim.stimulus import ACTIVITY, Operands
from vsq.synth.layout.conductors import conductors, contacts, extent
from vsq.synth.layout.connectivity import LayoutError, check_cells, check_ports, check_wires, instances_of
from vsq.synth.layout.def_file import Def, parse
from vsq.synth.layout.lef import Lef, check_process
from vsq.synth.layout.netlist import check_gates, instances, net_names, ports, verilog
from vsq.synth.layout.parasitics import drivers, estimate, extract, half_perimeters, pin_places
from vsq.synth.layout.qflow import TOP
from vsq.synth.layout.spef import spef
from vsq.synth.measure.energy import Energy, Setup, energies, pin_loads, total
from vsq.synth.measure.records import Record, records
from vsq.synth.measure.timing import CriticalPath, critical_paths


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A MAC to be laid out: its gates, and their activity on data."""

    config: MacConfig
    gates: Gates
    activity: Activity
    operations: float  # multiply-accumulates a cycle
    cells: tuple[tuple[str, int], ...]  # how many of each

    @classmethod
    def of(cls, config: MacConfig, netlist: Netlist, data: Operands, lef: Lef, setup: Setup) -> "Subject":
        """Simulate a mapped netlist on data.

        Raises:
            InputError: If a pin is constant, or the LEF lacks a cell or a pin, or is of another process.
        """
        gates = flat(netlist)
        check_gates(gates, config.full_name)
        for gate in gates.gates:
            macro = lef.macros.get(gate.cell)
            if macro is None:
                raise InputError(
                    f"LEF: it has no cell {gate.cell}, which {config.full_name} needs; give that of it too"
                )
            if odd := gate.pins.keys() - macro.pins.keys():
                raise InputError(
                    f"LEF: cell {gate.cell} has no pin {min(odd)}, as Liberty says; give the LEF of this library"
                )
        check_process(lef, {gate.cell: setup.flow.library.cells[gate.cell].area for gate in gates.gates})
        simulation = Simulation(gates, setup.flow.library, hazards=setup.hazards)
        activity, utilization = ACTIVITY[config.kind](simulation, config, data)
        return cls(
            config=config,
            gates=gates,
            activity=activity,
            operations=config.vector_size * utilization,
            cells=tuple(sorted(Counter(gate.cell for gate in gates.gates).items())),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A layout with its figures; pairs are without wires, and with them.

    Attributes:
        config, seed, routed: What was laid out, how it was placed, and whether its wires are routed or estimated.
        layout: The file's content.
        parts: The component of each cell.
        core: Width and height of the cells' rows in um, with fillers.
        cell_area: Square um of all cells in LEF, without fillers.
        half_perimeter: Sum over the nets of half of the box around their pins, in um.
        lengths: Um of wire by layer; none if not routed.
        vias: Their number; 0 if not routed.
        pin_capacitance, wire_capacitance: Farads of all nets.
        paths: Critical paths.
        energies: By component, of one multiply-accumulate.
        wires: As SPEF.
    """

    config: MacConfig
    seed: int
    routed: bool
    layout: Def = field(repr=False)
    parts: dict[str, str] = field(repr=False)
    core: tuple[float, float]
    liberty_area: float
    cell_area: float
    half_perimeter: float
    lengths: dict[str, float]
    vias: int
    pin_capacitance: float
    wire_capacitance: float
    paths: tuple[CriticalPath, CriticalPath]
    energies: tuple[dict[str, Energy], dict[str, Energy]]
    wires: str = field(repr=False)

    @property
    def core_area(self) -> float:
        """Square um of the rows."""
        return self.core[0] * self.core[1]

    @property
    def utilization(self) -> float:
        """The cells' share of the rows; the rest is of fillers and below stripes of the supply."""
        return self.cell_area / self.core_area

    @property
    def wire_length(self) -> float:
        """Um of wire; of half the perimeters, if it is not routed."""
        return sum(self.lengths.values()) if self.routed else self.half_perimeter

    @property
    def joules(self) -> tuple[float, float]:
        """Energy of one multiply-accumulate without and with wires."""
        without, within = self.energies
        return total(without), total(within)

    def records(self) -> list[Record]:
        """Return every figure."""
        figures = [
            ("total", "seed", self.seed, "1"),
            ("total", "core area", self.core_area, "um2"),
            ("total", "cell area", self.cell_area, "um2"),
            ("total", "utilization", self.utilization, "1"),
            ("total", "half-perimeter wire length", self.half_perimeter, "um"),
            *(("total", f"wire length on {layer}", length, "um") for layer, length in self.lengths.items()),
            *([("total", "wire length", self.wire_length, "um"), ("total", "vias", self.vias, "1")] * self.routed),
            ("total", "pin capacitance", self.pin_capacitance * 1e12, "pF"),
            ("total", "wire capacitance", self.wire_capacitance * 1e12, "pF"),
        ]
        for which, path, joules in zip(("cells only", "with wires"), self.paths, self.energies, strict=True):
            figures.append(("total", f"critical path, {which}", path.delay, "ns"))
            parts = {"total": total(joules), **{name: energy.total for name, energy in joules.items()}}
            figures += [(name, f"energy per operation, {which}", value * 1e12, "pJ") for name, value in parts.items()]
        return records(self.config.full_name, figures)


def file_name(config: MacConfig, seed: int, *, routed: bool) -> str:
    """Return the name of the files of a layout, but for their suffixes."""
    return f"{design(config).default_name}_seed{seed}_{'routed' if routed else 'placed'}"


def measure(subject: Subject, text: str, lef: Lef, setup: Setup, *, seed: int, routed: bool) -> Layout:
    """Check a layout, and measure it.

    Args:
        subject: What was laid out.
        text: The layout as DEF.
        lef: The library's cells.
        setup: How energy is measured.
        seed: The placement's.
        routed: Whether the layout has wires; otherwise they are estimated.

    Raises:
        LayoutError: If the layout is not the netlist, or if a net is open or touches another; there are no figures.
    """
    gates, library = subject.gates, setup.flow.library
    wanted = instances(gates)
    try:
        layout = parse(text)
        check_cells(layout, lef, wanted)
        inputs, outputs = ports(gates)
        check_ports(layout, [*inputs, *outputs])
        driver = drivers(layout, {cell: library.cells[cell].inputs for cell, _ in subject.cells}, inputs)
        if routed:
            metal = conductors(layout, lef)
            touching = [*contacts(metal, layout.scale)]
            check_wires(layout, metal, touching)
            wires = extract(layout, lef, metal, touching, driver)
        else:
            wires = estimate(layout, lef, driver)
    except (ValueError, KeyError) as error:
        raise LayoutError(f"its DEF is not understood: {error}") from None
    cells = instances_of(layout, lef)
    numbers = {name: number for number, name in net_names(gates).items()}
    farads = np.zeros(gates.nets)
    for name, net in wires.items():
        farads[numbers[name]] = net.capacitance
    written = spef(TOP, wires, inputs)
    laid_out = Netlist(top=TOP, modules={TOP: dict(subject.cells)}, verilog=verilog(gates, cells))
    found = tuple(
        {
            component: energy.per(subject.operations)
            for component, energy in energies(gates, subject.activity, setup.power, setup.slew, given).items()
        }
        for given in (None, farads)
    )
    components = dict(zip(wanted, (gate.component for gate in gates.gates), strict=True))
    lengths = {layer.name: 0.0 for layer in lef.layers} if routed else {}
    for routed_net in layout.nets.values():
        for segment in routed_net.segments:
            lengths[segment.layer] += segment.length / layout.scale
    left, bottom, right, top = extent(layout, lef)
    return Layout(
        config=subject.config,
        seed=seed,
        routed=routed,
        layout=layout,
        parts={name: components[cell] for name, cell in cells.items()},
        core=((right - left) / layout.scale, (top - bottom) / layout.scale),
        liberty_area=float(library.area(dict(subject.cells))),
        cell_area=sum(lef.macros[cell].area * count for cell, count in subject.cells),
        half_perimeter=sum(half_perimeters(layout, pin_places(layout, lef)).values()),
        lengths=lengths,
        vias=sum(len(net.vias) for net in layout.nets.values()),
        pin_capacitance=float(pin_loads(gates, setup.power).sum()),
        wire_capacitance=float(farads.sum()),
        paths=(
            critical_paths(laid_out, library)["total"],
            critical_paths(laid_out, library, written)["total"],
        ),
        energies=(found[0], found[1]),
        wires=written,
    )
