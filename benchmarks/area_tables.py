"""Tables of the area benchmark, made from its records."""

from collections import defaultdict
from collections.abc import Iterable

from rich.table import Table

from vsq.synth.measure.records import Record
from vsq.synth.report.comparison import plain_table

GENERATOR, BOUND, PAPER = "vsq", "bound", "paper"
# sum(a*b) by arrays or Booth's recoding, each without and with adder cells: the best is the one to beat.
ALTERNATIVES = ("plain", "booth", "adders", "booth + adders")

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
        "FAs: full adders, of the generator / least. Ratios of the generator: /best to the best other; /bound to the "
        "least full adders and one NAND2 a product bit.",
        ("FAs", GENERATOR, *(name.replace(" ", "\n", 1) for name in ALTERNATIVES), "/best", "/bound"),
    )
    for subject, row in figures_of(records).items():
        if (BOUND, "full adders") in row and (ALTERNATIVES[0], "area") in row:
            area = {name: row[name, "area"] for name in (GENERATOR, *ALTERNATIVES)}
            to_bound = f"{area[GENERATOR] / row[BOUND, 'area']:.2f}" if (BOUND, "area") in row else "-"
            table.add_row(
                subject.removeprefix("dot "),
                "/".join(f"{row[name, 'full adders']:.0f}" for name in (GENERATOR, BOUND)),
                *(f"{value:,.0f}" for value in area.values()),
                f"{area[GENERATOR] / min(area[name] for name in ALTERNATIVES):.2f}",
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
