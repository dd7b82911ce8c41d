"""Tables and plot of the area benchmark, made from its records."""

import importlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import replacing
from vsq.synth.measure.records import Record
from vsq.synth.report.tables import plain_table

GENERATOR, BOUND, PAPER = "vsq", "bound", "paper"
# What a user of sum(a*b) has without a flow of his own: the best of these three is the one to beat.
CLASSIC = ("plain", "booth", "adders")
ALTERNATIVES = (*CLASSIC, "both")

Figures = dict[str, dict[tuple[str, str], float]]


def figures_of(records: Iterable[Record]) -> Figures:
    """Return ``figures[subject][component, quantity]``."""
    figures: Figures = defaultdict(dict)
    for record in records:
        figures[record.configuration][record.component, record.quantity] = record.value
    return figures


def dot_table(records: Iterable[Record], title: str) -> Table:
    """Return one row a dot product: area by implementation, and the generator's as a ratio to the best others."""
    table = plain_table(
        f"Dot products, {title}",
        f"FAs: full adders, of the generator / least. Ratios of the generator: /3 to the best of {', '.join(CLASSIC)}; "
        "/4 to the best of all; /bound to the least full adders and one NAND2 a product bit.",
        ("FAs", GENERATOR, *ALTERNATIVES, "/3", "/4", "/bound"),
    )
    for subject, row in figures_of(records).items():
        if (BOUND, "full adders") in row and (ALTERNATIVES[0], "area") in row:
            area = {name: row[name, "area"] for name in (GENERATOR, *ALTERNATIVES)}
            to_bound = f"{area[GENERATOR] / row[BOUND, 'area']:.2f}" if (BOUND, "area") in row else "-"
            table.add_row(
                subject.removeprefix("dot "),
                "/".join(f"{row[name, 'full adders']:.0f}" for name in (GENERATOR, BOUND)),
                *(f"{value:,.0f}" for value in area.values()),
                *(f"{area[GENERATOR] / min(area[name] for name in names):.2f}" for names in (CLASSIC, ALTERNATIVES)),
                to_bound,
            )
    return table


def mac_table(records: Iterable[Record], title: str) -> Table:
    """Return one row a design point: area, ratio to the 8-bit baseline, and the paper's ratio."""
    table = plain_table(
        f"Whole MACs, {title}",
        "Ratio: to 8/8/-/-. The paper's is of a whole processing element, with its buffers and post-processing.",
        ("area", "ratio", "paper (PE)"),
    )
    for subject, row in figures_of(records).items():
        if ("total", "ratio") in row:
            paper = row.get((PAPER, "ratio"))
            table.add_row(
                subject,
                f"{row['total', 'area']:,.0f}",
                f"{row['total', 'ratio']:.3f}",
                "-" if paper is None else f"{paper:.3f}",
            )
    return table


def plot_dots(records: Iterable[Record], path: Path, unit: str) -> None:
    """Draw area per lane against vector size, one panel for each pair of widths, with the bound.

    Raises
    ------
    InputError
        If matplotlib is missing, or the file cannot be written.
    """
    try:
        figure = importlib.import_module("matplotlib.figure").Figure
    except ImportError:
        raise InputError("plot: matplotlib is not installed; run 'pip install matplotlib'") from None
    panels: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for subject, row in figures_of(records).items():
        if subject.startswith("dot "):
            _, bits, size = subject.split()
            vector_size = int(size.removeprefix("V="))
            for (name, quantity), value in row.items():
                if quantity == "area":
                    panels[bits][name].append((vector_size, value / vector_size))
    drawing = figure(figsize=(4 * len(panels), 4), layout="constrained")
    for axes, (bits, lines) in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, points in lines.items():
            axes.plot(*zip(*sorted(points), strict=True), "k--" if name == BOUND else "o-", label=name)
        axes.set_title(f"{bits.replace('x', ' x ')} bits")
        axes.set_xscale("log", base=2)
        axes.set_xlabel("vector size V")
        axes.set_ylim(bottom=0)
    drawing.axes[0].set_ylabel(f"area per lane ({unit})")
    drawing.axes[-1].legend()
    with replacing(path) as part:
        drawing.savefig(part, format=path.suffix.removeprefix(".") or "svg")
