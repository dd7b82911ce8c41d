"""Area of vector MACs, split by component, and as a ratio to the 8-bit baseline of the same run."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal

from vsq.golden.contract.config import IntFormat, MacConfig, Rounding
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.synth.flow.memory import BIT
from vsq.synth.flow.synthesis import Flow, Netlist, synthesise
from vsq.synth.library.liberty import Library
from vsq.synth.measure.records import Record

TOP = "top"  # the component that stands for cells of the top module itself


@dataclass(frozen=True, kw_only=True)
class Area:
    """Cells by type, their ``area``, and the part of it in flip-flops and latches, both in the library's unit.

    Memories are beside it, in bits.
    """

    cells: Counter[str]
    area: Decimal
    sequential: Decimal
    memory_bits: int = 0

    @classmethod
    def of(cls, cells: Counter[str], library: Library) -> "Area":
        """Return sum over the cells of number * area; exact, as the library's areas are decimals."""
        logic = Counter({name: count for name, count in cells.items() if name != BIT})
        parts = {name: count * library.cells[name].area for name, count in logic.items()}
        sequential = (area for name, area in parts.items() if library.cells[name].sequential)
        return cls(
            cells=logic,
            area=sum(parts.values(), Decimal()),
            sequential=sum(sequential, Decimal()),
            memory_bits=cells[BIT],
        )


@dataclass(frozen=True, kw_only=True)
class MacArea:
    """The area of one configuration: in total, by component, and divided by the baseline's total."""

    config: MacConfig
    netlist: Netlist
    total: Area
    components: dict[str, Area]
    baseline: MacConfig
    ratio: Decimal

    def records(self, unit: str) -> list[Record]:
        """Return every figure; ``unit`` is the library's."""
        name = self.config.full_name
        figures = [("total", "ratio", self.ratio, f"of {self.baseline.full_name}")]
        for component, area in {"total": self.total, **self.components}.items():
            figures += [
                (component, "area", area.area, unit),
                (component, "sequential area", area.sequential, unit),
                *((component, f"cells {cell}", Decimal(count), "1") for cell, count in sorted(area.cells.items())),
            ]
        return [
            Record(configuration=name, component=component, quantity=quantity, value=float(value), unit=unit)
            for component, quantity, value, unit in figures
        ]


def baseline_of(config: MacConfig) -> MacConfig:
    """Return the per-channel 8-bit MAC to compare with: ``8/8/-/-``, or ``8/8U/-/-`` for unsigned activations.

    Everything else that is no format stays as in ``config``: vector size, vectors per result, pipeline depth and so on.
    """
    return replace(
        config,
        weight=IntFormat(bits=8, signed=True),
        activation=IntFormat(bits=8, signed=config.activation.signed),
        weight_scale=None,
        activation_scale=None,
        scale_product_bits=None,
        rounding=Rounding.HALF_UP,
        accumulator_bits=None,
    )


def measure(configs: Iterable[MacConfig], flow: Flow) -> list[MacArea]:
    """Synthesise the configurations and their baselines in one run, on every core.

    Returns
    -------
    list of MacArea
        One for each configuration, in the order given.

    Raises
    ------
    InputError
        If the library cannot hold a design.
    """
    wanted = list(dict.fromkeys(configs))
    # The baselines are the largest designs, so they start first.
    designs = list(dict.fromkeys([*map(baseline_of, wanted), *wanted]))
    netlists = dict(zip(designs, synthesise_all(designs, flow), strict=True))
    components = {config: by_component(netlist, flow.library) for config, netlist in netlists.items()}
    totals = {
        config: Area.of(sum((part.cells for part in parts.values()), Counter()), flow.library)
        for config, parts in components.items()
    }
    return [
        MacArea(
            config=config,
            netlist=netlists[config],
            total=totals[config],
            components=components[config],
            baseline=baseline_of(config),
            ratio=totals[config].area / totals[baseline_of(config)].area,
        )
        for config in wanted
    ]


def by_component(netlist: Netlist, library: Library) -> dict[str, Area]:
    """Split a netlist's area by the submodules of its top; cells of the top itself are the component ``top``."""
    cells = {TOP: Counter[str]()}
    for name, count in netlist.modules[netlist.top].items():
        if name in netlist.modules:
            part = cells.setdefault(name.removeprefix(f"{netlist.top}_"), Counter())
        else:
            part = cells[TOP]
        for cell, inside in _leaf_cells(netlist, name).items():
            part[cell] += count * inside
    return {name: Area.of(part, library) for name, part in cells.items() if part}


def _leaf_cells(netlist: Netlist, name: str) -> Counter[str]:
    """Return the library cells of one instance of ``name``, a module or a cell, at every depth."""
    if name not in netlist.modules:
        return Counter({name: 1})
    total = Counter[str]()
    for child, count in netlist.modules[name].items():
        for cell, inside in _leaf_cells(netlist, child).items():
            total[cell] += count * inside
    return total


def synthesise_all(configs: Sequence[MacConfig] | Sequence[PeConfig], flow: Flow) -> list[Netlist]:
    """Return the netlists of vector MACs or processing elements, in order; every core works.

    Designs are emitted one by one while Yosys, a process for each, already maps the first.
    """
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        jobs = [pool.submit(synthesise, made.rtlil(), made.default_name, flow) for made in map(design, configs)]
        return [job.result() for job in jobs]
    finally:
        pool.shutdown(cancel_futures=True)
