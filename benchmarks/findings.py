"""Findings in the paper's space: ``python -m benchmarks.findings [--store DIR]``.

Prints the tables of ``docs/findings.md`` and draws its pictures, from the figures in ``docs/explore/figures.csv``. With
``--store``, that of ``make explore`` and of the commands in ``docs/findings.md``, the file is written first.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.findings_plots import PICTURES
from benchmarks.findings_table import (
    BASELINE,
    FOLDER,
    GAMMAS,
    ROUNDED,
    TABLE,
    Table,
    best_below,
    collected,
    front,
    mirrored,
    points,
    prices,
    read,
    write,
)
from vsq.golden.io import charts
from vsq.synth.report.rows import POINTS

_QUANTILES = ("median", "10 %", "90 %", "points")
_NEAR = 0.006  # two images of digits


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
    print(f"\n{title}\n\n" + "\n".join(lines))


def quantiles(values: Iterable[float]) -> list[str]:
    """Return the cells of :data:`_QUANTILES`."""
    found = [*values]
    low, middle, high = np.quantile(found, (0.1, 0.5, 0.9)) if found else [np.nan] * 3
    return [*(f"{value:.4f}" for value in (middle, low, high)), str(len(found))]


def elements(table: Table) -> Iterable[Sequence[str]]:
    """Yield the cells of processing elements: ratios of area, a bit of memory being one NAND2, and of energy."""

    def area(config: str) -> float:
        return table[config, "area"].value + table[config, "memory bits"].value

    whole, unit = area(f"{BASELINE}@"), table[f"{BASELINE}@", "energy"].value
    for config, name in table:
        if "@" in config and name == "energy":
            energy = table[config, name].value
            yield config, f"{area(config) / whole:.3f}", f"{energy / unit:.3f}", f"{energy:.2f}"


def fronts(table: Table, gamma: str) -> None:
    """Print the front, and the paper's points beside what beats them."""
    found = points(table, gamma)
    thirds = sum(one.third for one in found.values())
    best = front(found.values())
    title = f"front, {gamma} gamma, of {len(found)} points, {thirds} of them scored on a third"
    show(title, ("configuration", "area", "cosine"), (one.cells for one in best))
    heads = ("configuration", "area", "cosine", "beaten by", "area", "cosine")
    paper = [found[config] for config in (BASELINE, *POINTS) if config in found]
    rows = [(*one.cells, *(other.cells if (other := best_below(one, best)) else "---")) for one in paper]
    show(f"the paper's points, {gamma} gamma", heads, rows)


def rounded(table: Table) -> Iterable[Sequence[str]]:
    """Yield the cells of what R costs, of configurations that both gammas have."""
    for bits in ROUNDED:
        both = {gamma: prices(table, gamma, bits) for gamma in GAMMAS}
        shared = set[str].intersection(*(set(found) for found in both.values()))
        yield from ((gamma, str(bits), *quantiles(found[one] for one in shared)) for gamma, found in both.items())


def gains(table: Table) -> Iterable[Sequence[str]]:
    """Yield the cells of what row gamma gains over the static one, by the bits of the activations' scales."""
    static, row = (points(table, gamma, thirds=True) for gamma in GAMMAS)
    shared = {config: config.split("/")[3] for config in static if ":" not in config and config in row}
    for bits in ("-", "4", "6", "8", "10"):
        yield bits, *quantiles(row[one].score - static[one].score for one, its in shared.items() if its == bits)


def methods(table: Table, names: Sequence[str]) -> Iterable[Sequence[str]]:
    """Yield the cells of configurations that methods were tried on."""
    for config in dict.fromkeys(config for config, name in table if name.endswith("gptq")):
        yield config, *(f"{table[config, name].value:.4f}" if (config, name) in table else "-" for name in names)


def ranks(table: Table) -> None:
    """Print how near accuracies on digits are to each other, and whether they rank as MiniLM's scores do."""
    scores, name = points(table, "static", thirds=True), "digits static"
    both = [(table[config, name].value, one.score) for config, one in scores.items() if (config, name) in table]
    middle = np.median([digits for digits, _ in both])
    near = sum(abs(digits - middle) <= _NEAR for digits, _ in both)
    print(f"\ndigits: {near} of {len(both)} points within {_NEAR} of their median {middle:.4f}")
    for least in (0.0, 0.9):
        some = [pair for pair in both if pair[1] >= least]
        rank = spearmanr(*zip(*some, strict=True)).statistic
        print(f"rank correlation (Spearman) of {len(some)} with MiniLM from {least} on: {rank:.2f}")


def tables(table: Table) -> None:
    """Print the tables of the page."""
    for gamma in GAMMAS:
        fronts(table, gamma)
    pairs = {gamma: mirrored(points(table, gamma, thirds=True)) for gamma in GAMMAS}
    rows = [(gamma, *quantiles(more.score - less.score for more, less in found)) for gamma, found in pairs.items()]
    show("cosine of W > A, less that of both sides exchanged", ("gamma", *_QUANTILES), rows)
    show("cosine lost by rounded products", ("gamma", "R", *_QUANTILES), rounded(table))
    show("cosine gained by row gamma", ("as", *_QUANTILES), gains(table))
    names = [f"minilm {gamma}{kind}" for gamma in GAMMAS for kind in ("", " gptq")]
    show("all sentences, plain and with methods", ("configuration", *names), methods(table, names))
    show("processing elements, to 8/8/-/-", ("element", "area", "energy", "pJ"), elements(table))
    ranks(table)


def main() -> None:
    """Print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, metavar="DIR", help="write the file of figures from this store first")
    args = parser.parse_args()
    if args.store:
        write(collected(args.store), TABLE)
    table = read(TABLE)
    tables(table)
    for name, picture in PICTURES.items():
        charts.save(picture(table), FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
