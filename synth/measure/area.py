"""Area of designs, split by component, and as a ratio to the 8-bit design of the same run.

Logic is counted in the library's cells, buffers in bits. A bit's area depends on what the buffers are made of, so that
it is an input, and every ratio is given without and with them.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from itertools import repeat
from types import MappingProxyType

from vsq.golden.contract.config import MacConfig, Rounding
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.formats.elements import IntFormat
from vsq.hw.emit.design import design
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow.netlist import Netlist, cells_by_component
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import NAND2, Library
from vsq.synth.library.macros import Macro
from vsq.synth.measure.records import Record, records

# The default area of one buffer bit in two-input NANDs: a small SRAM macro, whose six-transistor cells of about half a
# NAND fill about half of it. Latches have about 3, flip-flops 6.
BIT_AREA = Decimal(1)

BUFFERS = "buffers"
LANES = ("dot", "scale", "accumulator")  # the parts of a vector MAC that are not control


@dataclass(frozen=True, kw_only=True)
class Area:
    """Cells by type, their ``area``, the part of it in flip-flops and latches, and the memories beside it by shape."""

    cells: Counter[str]
    area: Decimal
    sequential: Decimal
    memories: Counter[MemoryShape] = field(default_factory=Counter)

    @classmethod
    def of(cls, cells: Counter[str], library: Library) -> "Area":
        """Return sum over the cells of number * area; exact, as the library's areas are decimals."""
        logic, memories = Counter[str](), Counter[MemoryShape]()
        for name, count in cells.items():
            if shape := MemoryShape.of(name):
                memories[shape] = count
            else:
                logic[name] = count
        parts = {name: count * library.cells[name].area for name, count in logic.items()}
        sequential = (area for name, area in parts.items() if library.cells[name].sequential)
        return cls(
            cells=logic,
            area=sum(parts.values(), Decimal()),
            sequential=sum(sequential, Decimal()),
            memories=memories,
        )

    @property
    def memory_bits(self) -> int:
        """Bits of all memories."""
        return sum(shape.bits * count for shape, count in self.memories.items())


@dataclass(frozen=True, kw_only=True)
class MemoryPrices:
    """The areas of memories in the library's unit: of ``macros`` by shape, and of a bit where there is none."""

    bit: Decimal
    macros: Mapping[MemoryShape, Macro] = field(default_factory=dict)

    def area(self, memories: Mapping[MemoryShape, int]) -> Decimal:
        """Return the area of so many memories of each shape."""
        return sum(
            (
                count * (self.macros[shape].area if shape in self.macros else self.bit * shape.bits)
                for shape, count in memories.items()
            ),
            Decimal(),
        )


@dataclass(frozen=True, kw_only=True)
class DesignArea:
    """One design's components and its baseline's, of one run, and what memories cost."""

    config: Configuration
    netlist: Netlist
    components: dict[str, Area]
    baseline: Configuration
    baseline_components: dict[str, Area]
    prices: MemoryPrices

    @property
    def total(self) -> Area:
        """The whole design."""
        return total(self.components)

    @property
    def with_buffers(self) -> Decimal:
        """Area of all cells and memories."""
        return self.total.area + self.prices.area(self.total.memories)

    @property
    def baseline_with_buffers(self) -> Decimal:
        """The baseline's."""
        other = total(self.baseline_components)
        return other.area + self.prices.area(other.memories)

    @property
    def logic_ratio(self) -> Decimal:
        """Logic area to the baseline's."""
        return self.total.area / total(self.baseline_components).area

    @property
    def ratio(self) -> Decimal:
        """Area with buffers to the baseline's with its own, of as many entries."""
        return self.with_buffers / self.baseline_with_buffers

    @property
    def equal_bytes_ratio(self) -> Decimal:
        """Area with the baseline's bits of buffers to the baseline's: narrow entries are as many more, for no logic."""
        other = total(self.baseline_components)
        return (self.total.area + self.prices.area(other.memories)) / self.baseline_with_buffers

    @property
    def lanes_ratio(self) -> Decimal | None:
        """Area of the vector MACs alone to that of the baseline's; None if the design is flattened."""
        mine, other = (
            sum((parts[name].area for name in LANES if name in parts), Decimal())
            for parts in (self.components, self.baseline_components)
        )
        return mine / other if other else None

    def records(self, unit: str) -> list[Record]:
        """Return every figure; ``unit`` is the library's."""
        of = f"of {self.baseline.full_name}"
        figures = [("total", "ratio", self.ratio, of)]
        if memories := bool(self.total.memories):
            figures += [
                ("total", "area with buffers", self.with_buffers, unit),
                ("total", "logic ratio", self.logic_ratio, of),
                ("total", "ratio at equal buffer bytes", self.equal_bytes_ratio, of),
                *([] if self.lanes_ratio is None else [("lanes", "ratio", self.lanes_ratio, of)]),
                (BUFFERS, "area of a bit", self.prices.bit, unit),
                *((BUFFERS, f"area of {shape.kind}", macro.area, unit) for shape, macro in self.prices.macros.items()),
            ]
        for component, area in {"total": self.total, **self.components}.items():
            figures += [
                (component, "area", area.area, unit),
                (component, "sequential area", area.sequential, unit),
                *([(component, "memory bits", Decimal(area.memory_bits), "bit")] if memories else []),
                *((component, f"cells {cell}", Decimal(count), "1") for cell, count in sorted(area.cells.items())),
            ]
        return records(self.config.full_name, figures)


def baseline_of(config: Configuration) -> Configuration:
    """Return the per-channel 8-bit design to compare with: ``8/8/-/-``, or ``8/8U/-/-`` for unsigned activations.

    Everything else that is no format stays: vector size, vectors per result, pipeline depth, lanes, buffers and so on.
    """
    mac = replace(
        config.mac,
        weight=IntFormat(bits=8, signed=True),
        activation=IntFormat(bits=8, signed=config.mac.activation.signed),
        weight_scale=None,
        activation_scale=None,
        scale_product_bits=None,
        dual_precision=False,
        rounding=Rounding.HALF_UP,
        accumulator_bits=None,
        window=None,
        finite=True,
    )
    return mac if isinstance(config, MacConfig) else replace(config, mac=mac)


def with_baselines(configs: Sequence[Configuration]) -> list[Configuration]:
    """Return the configurations once each, and their baselines first, which are the largest designs."""
    return list(dict.fromkeys([*map(baseline_of, configs), *configs]))


def measure(
    configs: Iterable[Configuration],
    flow: Flow,
    bit_area: Decimal = BIT_AREA,
    macros: Mapping[MemoryShape, Macro] = MappingProxyType({}),
) -> list[DesignArea]:
    """Synthesize designs and their baselines in one run, on every core; return one area for each, in order.

    ``bit_area`` is that of one bit of a memory of no macro's shape, in two-input NANDs of the library.

    Raises:
        InputError: If the library cannot hold a design, or has no NAND to measure buffers by.
    """
    wanted = list(dict.fromkeys(configs))
    nand = flow.library.smallest(2, NAND2)
    if nand is None and any(BUFFERS in design(config).components for config in wanted):
        raise InputError(f"library {flow.library.name}: it has no two-input NAND to measure buffers by; give another")
    designs = with_baselines(wanted)
    netlists = dict(zip(designs, synthesize_all(designs, flow), strict=True))
    components = {
        config: by_component(netlist, flow.library, design(config).components) for config, netlist in netlists.items()
    }
    return [
        DesignArea(
            config=config,
            netlist=netlists[config],
            components=components[config],
            baseline=baseline_of(config),
            baseline_components=components[baseline_of(config)],
            prices=MemoryPrices(bit=bit_area * nand.area if nand else Decimal(), macros=macros),
        )
        for config in wanted
    ]


def checked_bit_area(value: Decimal | int | str) -> Decimal:
    """Return the area of a buffer bit, in two-input NANDs, that a user gives: a number from 0, else an InputError."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or number < 0:
        raise InputError(f"bit area {str(value)!r}: must be a number from 0, in two-input NANDs; give for example 1")
    return number


def total(components: Mapping[str, Area]) -> Area:
    """Return the sum of components."""
    parts = components.values()
    return Area(
        cells=sum((part.cells for part in parts), Counter()),
        area=sum((part.area for part in parts), Decimal()),
        sequential=sum((part.sequential for part in parts), Decimal()),
        memories=sum((part.memories for part in parts), Counter()),
    )


def by_component(netlist: Netlist, library: Library, components: Mapping[str, Sequence[str]]) -> dict[str, Area]:
    """Split a netlist's area, each module counted as often as it is instantiated.

    ``components`` are as in :func:`vsq.synth.flow.netlist.cells_by_component`.
    """
    cells = cells_by_component(netlist.modules, netlist.top, components)
    return {name: Area.of(part, library) for name, part in cells.items() if part}


def synthesize_all(configs: Iterable[Configuration], flow: Flow) -> list[Netlist]:
    """Return the netlists of designs, in order; they are emitted one by one while Yosys maps others on every core."""
    designs = [design(config) for config in configs]
    texts, names = (made.rtlil() for made in designs), (made.default_name for made in designs)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(synthesize, texts, names, repeat(flow)))
