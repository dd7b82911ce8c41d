"""Area of processing elements, split by component, and as a ratio to the 8-bit element with the same lanes and buffers.

Logic is counted in the library's cells, buffers in bits. A bit's area depends on what the buffers are made of, so that
it is an input, and every ratio is given without and with them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.synth.flow.synthesis import Flow, Netlist
from vsq.synth.library.liberty import NAND2, Library
from vsq.synth.measure.area import Area, baseline_of, synthesise_all
from vsq.synth.measure.records import Record

# The default area of one buffer bit in two-input NANDs: a small SRAM macro, whose six-transistor cells of about half a
# NAND fill about half of it. Latches have about 3, flip-flops 6.
BIT_AREA = Decimal(1)

# Component: the modules of emitted elements that make it up.
COMPONENTS = {
    "dot": ("dot",),
    "scale": ("scale",),
    "accumulator": ("accumulator",),
    "collector": ("collector",),
    "ppu": ("ppu", "ppu_rescale", "ppu_scale", "ppu_divider", "ppu_packer"),
    "buffers": ("weight_buffer", "activation_buffer", "params_buffer"),
    "control": ("lanes", "lane", "control", "load_control", "issue_control", "output_control"),
}
LANES = ("dot", "scale", "accumulator")


@dataclass(frozen=True, kw_only=True)
class PeArea:
    """The area of one element: its components, and those of the baseline of the same run."""

    config: PeConfig
    netlist: Netlist
    components: dict[str, Area]
    baseline: PeConfig
    baseline_components: dict[str, Area]
    bit_area: Decimal

    @property
    def total(self) -> Area:
        """The whole element."""
        return total(self.components)

    @property
    def with_buffers(self) -> Decimal:
        """Area of the logic, and of all memory bits."""
        return self._with_buffers(self.total)

    @property
    def logic_ratio(self) -> Decimal:
        """Logic area to the baseline's."""
        return self.total.area / total(self.baseline_components).area

    @property
    def ratio(self) -> Decimal:
        """Area with buffers to the baseline's with its own."""
        return self.with_buffers / self._with_buffers(total(self.baseline_components))

    @property
    def lanes_ratio(self) -> Decimal:
        """Area of the vector MACs alone (dot product, scale path, accumulator) to that of the baseline's."""
        mine, other = (
            sum((parts[name].area for name in LANES if name in parts), Decimal())
            for parts in (self.components, self.baseline_components)
        )
        return mine / other

    def records(self, unit: str) -> list[Record]:
        """Return every figure; ``unit`` is the library's."""
        of = f"of {self.baseline.full_name}"
        figures = [
            ("total", "area with buffers", self.with_buffers, unit),
            ("total", "ratio", self.ratio, of),
            ("total", "logic ratio", self.logic_ratio, of),
            ("lanes", "ratio", self.lanes_ratio, of),
            ("buffers", "area of a bit", self.bit_area, unit),
        ]
        for component, area in {"total": self.total, **self.components}.items():
            figures += [
                (component, "area", area.area, unit),
                (component, "sequential area", area.sequential, unit),
                (component, "memory bits", Decimal(area.memory_bits), "bit"),
            ]
        name = self.config.full_name
        return [
            Record(configuration=name, component=component, quantity=quantity, value=float(value), unit=unit)
            for component, quantity, value, unit in figures
        ]

    def _with_buffers(self, area: Area) -> Decimal:
        return area.area + self.bit_area * area.memory_bits


def pe_baseline_of(config: PeConfig) -> PeConfig:
    """Return the same element around the per-channel 8-bit MAC: lanes, buffer depths and post-processing stay."""
    return replace(config, mac=baseline_of(config.mac))


def measure(configs: Iterable[PeConfig], flow: Flow, bit_area: Decimal = BIT_AREA) -> list[PeArea]:
    """Synthesise the elements and their baselines in one run, on every core; return one area for each, in order.

    Parameters
    ----------
    configs, flow
        What to synthesise, and how.
    bit_area
        Area of one buffer bit, in two-input NANDs of the library.

    Raises
    ------
    InputError
        If the library cannot hold a design, or has no NAND.
    """
    nand = flow.library.smallest(2, NAND2)
    if nand is None:
        raise InputError(f"library {flow.library.name}: it has no two-input NAND to measure buffers by; give another")
    wanted = list(dict.fromkeys(configs))
    designs = list(dict.fromkeys([*map(pe_baseline_of, wanted), *wanted]))
    netlists = dict(zip(designs, synthesise_all(designs, flow), strict=True))
    components = {config: by_component(netlist, flow.library) for config, netlist in netlists.items()}
    return [
        PeArea(
            config=config,
            netlist=netlists[config],
            components=components[config],
            baseline=pe_baseline_of(config),
            baseline_components=components[pe_baseline_of(config)],
            bit_area=bit_area * nand.area,
        )
        for config in wanted
    ]


def checked_bit_area(value: Decimal | int | str) -> Decimal:
    """Return the area of a buffer bit, in two-input NANDs, that a user gives.

    Raises
    ------
    InputError
        If it is no number from 0.
    """
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number < 0:
        raise InputError(f"bit area {str(value)!r}: must be a number from 0, in two-input NANDs; give for example 1")
    return number


def total(components: dict[str, Area]) -> Area:
    """Return the sum of components."""
    parts = components.values()
    return Area(
        cells=sum((part.cells for part in parts), Counter()),
        area=sum((part.area for part in parts), Decimal()),
        sequential=sum((part.sequential for part in parts), Decimal()),
        memory_bits=sum(part.memory_bits for part in parts),
    )


def by_component(netlist: Netlist, library: Library) -> dict[str, Area]:
    """Split an element's netlist by :data:`COMPONENTS`, each module counted as often as it is instantiated.

    Cells of the top itself belong to the control; a flattened netlist is all control.
    """
    of_module = {f"{netlist.top}_{module}": name for name, modules in COMPONENTS.items() for module in modules}
    cells = {name: Counter[str]() for name in COMPONENTS}

    def walk(module: str, count: int, component: str) -> None:
        component = of_module.get(module, component)
        for cell, inside in netlist.modules[module].items():
            if cell in netlist.modules:
                walk(cell, count * inside, component)
            else:
                cells[component][cell] += count * inside

    walk(netlist.top, 1, "control")
    return {name: Area.of(part, library) for name, part in cells.items() if part}
