"""Benchmark: area of generated dot products and MACs against ``sum(a*b)`` through Yosys, in one run and one library.

``python -m benchmarks.area --json area.json --plot area.html`` measures everything;
``python -m benchmarks.area --check benchmarks/baseline.json`` measures the generator alone and fails if it grew.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Module, Signal, signed
from rich.console import Console

from benchmarks.area_function import check_dot
from benchmarks.area_tables import ALTERNATIVES, BOUND, GENERATOR, PAPER, dot_table, mac_table
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat
from vsq.golden.io import charts
from vsq.hw.emit.design import MacDesign, design
from vsq.synth.flow import scripts
from vsq.synth.flow.adders import useful_adders
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, run_recipe, synthesize
from vsq.synth.library.liberty import NAND2, Library
from vsq.synth.measure.area import by_component, measure, total
from vsq.synth.measure.records import Record, document, write_document
from vsq.synth.report.rows import POINTS

BITS = ((3, 3), (4, 4), (6, 6), (8, 8), (4, 8))
VECTOR_SIZES = (8, 16, 32, 64)

# The paper's design points with their area, and what is compared with them: rounded scale products, and the 5 nm chip's
# scale path with the same MAC without it.
DESIGN_POINTS = {name: ratios.area for name, ratios in POINTS.items() if ratios.area is not None} | dict.fromkeys(
    ("4/8/6/10:R=8", "4/4/8/8:R=8,acc=24", "4/4/-/-:acc=24")
)
# A tolerance for tool versions; ABC is deterministic within one.
TOLERANCE = 0.01


def read_document(path: Path) -> dict[str, Any]:
    """Return a document that :func:`vsq.synth.measure.records.write_document` wrote.

    Raises:
        InputError: If the file is missing or is no such document.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        records = [Record(**record) for record in read["records"]]
    except OSError as error:
        raise InputError(f"report {path}: {error.strerror}; give a report written with --json") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"report {path}: not a report with records; give one written with --json") from None
    return {**read, "records": records}


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A dot product of V signed weights and activations."""

    weight_bits: int
    activation_bits: int
    vector_size: int

    def __str__(self) -> str:
        return f"dot {self.weight_bits}x{self.activation_bits} V={self.vector_size}"

    @property
    def config(self) -> MacConfig:
        """The combinational MAC whose component ``dot`` it is."""
        weight, activation = (IntFormat(bits=bits, signed=True) for bits in (self.weight_bits, self.activation_bits))
        return MacConfig(weight=weight, activation=activation, vector_size=self.vector_size, pipeline=0)

    @property
    def product_bits(self) -> int:
        """Bits of all partial products."""
        return self.weight_bits * self.activation_bits * self.vector_size

    @property
    def result_bits(self) -> int:
        """Bits of the sum: V products of 2^(n+m-2) at most."""
        return self.weight_bits + self.activation_bits + (self.vector_size - 1).bit_length()

    @property
    def full_adder_bound(self) -> int:
        """Least full adders for the array of all product bits, as each removes one bit; recoded products need fewer."""
        return self.product_bits - self.result_bits

    def area_bound(self, library: Library) -> float | None:
        """Area of the bound's full adders and of one NAND2 a partial-product bit; None without a full-adder cell."""
        nand, adder = library.smallest(2, NAND2), library.full_adder
        if nand is None or adder is None:
            return None
        return float(self.product_bits * nand.area + self.full_adder_bound * adder.area)


def implementations(dot: Dot, library: Library, names: Iterable[str]) -> dict[str, Callable[[], Netlist]]:
    """Return, by name, what maps the dot product onto the library.

    ``vsq`` is the generator's, by the project's flow. The others are ``sum(a*b)`` through the same flow, with the same
    map of carries and the same ABC scripts: without adder cells unless their name says ``adders``, and with Yosys's
    ``synth -booth`` if it says ``booth``.
    """
    jobs: dict[str, Callable[[], Netlist]] = {}
    for name in names:
        if name == GENERATOR:
            top = f"{design(dot.config).default_name}_dot"
            jobs[name] = partial(synthesize, design(dot.config).rtlil(), top, Flow(library=library))
        else:
            jobs[name] = partial(
                run_recipe,
                sum_of_products(dot),
                "sum_of_products",
                library,
                "-booth" if "booth" in name else "",
                abc=scripts.for_area(library),
                adders=useful_adders(library) if "adders" in name else (),
                ripple_carry=True,
            )
    return jobs


def sum_of_products(dot: Dot) -> str:
    """Return RTLIL of ``sum(a*b)`` as a user of Amaranth writes it."""
    m = Module()
    lanes = range(dot.vector_size)
    weights = [Signal(signed(dot.weight_bits), name=f"w{lane}") for lane in lanes]
    activations = [Signal(signed(dot.activation_bits), name=f"a{lane}") for lane in lanes]
    total = Signal(signed(dot.result_bits), name="d")
    m.d.comb += total.eq(sum(w * a for w, a in zip(weights, activations, strict=True)))
    return str(amaranth_rtlil.convert(m, name="sum_of_products", ports=[*weights, *activations, total]))


def measure_dots(dots: Sequence[Dot], library: Library, names: Sequence[str]) -> list[Record]:
    """Return area and full adders of every dot product by every implementation, and the bounds.

    Every netlist is simulated before its area counts.
    """
    records = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [
            (dot, name, pool.submit(job)) for dot in dots for name, job in implementations(dot, library, names).items()
        ]
        for dot, name, job in jobs:
            netlist = job.result()
            check_dot(netlist, library, (dot.weight_bits, dot.activation_bits), dot.vector_size)
            measured = total(by_component(netlist, library, MacDesign.components))
            adders = measured.cells[library.full_adder.name] if library.full_adder else 0
            records += [
                _record(dot, name, "area", float(measured.area), library.unit),
                _record(dot, name, "full adders", adders, "1"),
            ]
    for dot in dots:
        records.append(_record(dot, BOUND, "full adders", dot.full_adder_bound, "1"))
        if (area := dot.area_bound(library)) is not None:
            records.append(_record(dot, BOUND, "area", area, library.unit))
    return records


def measure_macs(library: Library) -> list[Record]:
    """Return total area, and ratio to the 8-bit baseline, of the design points, with the paper's ratios."""
    records = []
    for area in measure(map(MacConfig.parse, DESIGN_POINTS), Flow(library=library)):
        figures = [record for record in area.records(library.unit) if record.component == "total"]
        records += [record for record in figures if record.quantity in ("area", "ratio")]
        if (paper := DESIGN_POINTS[area.config.full_name]) is not None:
            records.append(_record(area.config.full_name, PAPER, "ratio", paper, "of 8/8/-/-"))
    return records


def _record(subject: object, component: str, quantity: str, value: float, unit: str) -> Record:
    return Record(configuration=str(subject), component=component, quantity=quantity, value=value, unit=unit)


def regressions(records: Iterable[Record], baseline: dict[str, Any], library: Library) -> list[str]:
    """Return one line for every area that the generator needs more of than the baseline document says.

    Raises:
        InputError: If the baseline was measured with another library.
    """
    if baseline["library"]["sha256"] != library.digest:
        raise InputError(
            f"baseline of library {baseline['library']['name']}: this run uses another, {library.name}; "
            "give the library of the baseline"
        )
    known = {(old.configuration, old.component): old.value for old in baseline["records"] if old.quantity == "area"}
    lines = []
    for record in records:
        if record.quantity == "area" and record.component in (GENERATOR, "total"):
            before = known.get((record.configuration, record.component))
            if before is None:
                lines.append(f"{record.configuration}: the baseline does not have it")
            elif record.value > before * (1 + TOLERANCE):
                lines.append(f"{record.configuration}: area {record.value:,.0f}, in the baseline {before:,.0f}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` finds an area that grew, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.area", description=__doc__.splitlines()[0])
    parser.add_argument("--library", default="nand2", help="built-in library or Liberty file (default: nand2)")
    parser.add_argument("--vector-sizes", type=int, nargs="+", default=VECTOR_SIZES, metavar="V")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw area against vector size: .html, .svg or .png")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare the generator alone with earlier figures")
    options = parser.parse_args(arguments)
    try:
        if options.plot:
            charts.check(options.plot)
        library = Library.load(options.library)
        baseline = read_document(options.check) if options.check else None
        dots = [Dot(weight_bits=n, activation_bits=m, vector_size=v) for n, m in BITS for v in options.vector_sizes]
        records = measure_dots(dots, library, [GENERATOR] if baseline else [GENERATOR, *ALTERNATIVES])
        records += measure_macs(library)
        if options.json:
            write_document(options.json, document("area benchmark", Flow(library=library), records))
        if options.plot:
            from benchmarks.area_plot import dot_chart  # it needs Altair

            charts.save(dot_chart(records, library.unit), options.plot)
        if baseline:
            grown = regressions(records, baseline, library)
            print("\n".join(grown) or f"no area grew by more than {TOLERANCE:.0%}")
            return int(bool(grown))
    except InputError as error:
        print(f"bench_area: error: {error}", file=sys.stderr)
        return 2
    title = f"area in {library.unit}, library {library.name}"
    Console().print(dot_table(records, title), mac_table(records, title))
    return 0


if __name__ == "__main__":
    sys.exit(main())
