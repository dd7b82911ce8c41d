"""Figures of the paper's space, from the store of an exploration or from a table; and its fronts.

Scores are mean cosines of MiniLM's sentence embeddings to the float model's: of all 100 sentences, or of a third of
them, which points say.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vsq.explore.estimates import by_component
from vsq.explore.fit import Fit
from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.results import beaten
from vsq.explore.space import point
from vsq.explore.store import RecordStore
from vsq.golden.io.files import write_text

FOLDER = Path(__file__).parents[1] / "docs" / "explore"
TABLE = FOLDER / "figures.csv"
GAMMAS = ("static", "row")
ROUNDED = (8, 6, 4)  # bits of scale products, R
BASELINE = "8/8/-/-"


class Figure(NamedTuple):
    """A figure of the table; scores have standard errors."""

    value: float
    error: float | None = None


Table = dict[tuple[str, str], Figure]  # by configuration and name


class Point(NamedTuple):
    """A configuration with its best-known score and area, to that of 8/8/-/-."""

    config: str
    score: float
    area: float
    third: bool  # whether the score is of a third of the sentences
    estimated: bool  # whether the area is

    @property
    def cells(self) -> tuple[str, str, str]:
        """The cells of a table: what is a score of a third has a prime, what is an estimated area a tilde."""
        return self.config, f"{'~' * self.estimated}{self.area:.3f}", f"{self.score:.4f}" + "'" * self.third


def collected(folder: Path) -> Table:
    """Return what a store holds, whatever versions it is of; areas that were not measured are fitted to counts."""
    found: Table = {}
    counts, areas = {}, {}
    for _, entry in RecordStore(folder):
        name, settings, records = entry["configuration"], entry["settings"], entry["records"]
        if (mac := point(name).mac).scale_product_bits and not mac.scale_shift:
            continue  # R has all bits of the product
        whole = {one["quantity"]: one["value"] for one in records if one["component"] == "total"}
        if entry["measure"] == "accuracy" and records:
            words = [settings["workload"], settings["input_gamma"]]
            words += [settings["weight_codes"]] * (settings["weight_codes"] != "nearest") + ["third"] * settings[
                "glance"
            ]
            error = whole.get(f"standard error of {records[0]['unit']}")
            found[name, " ".join(words)] = Figure(whole["accuracy"], error)
        elif entry["measure"] == "counts" and records:
            counts[name] = by_component(entry)
        elif entry["measure"] == "area" and records:
            found[name, "area"] = Figure(whole["area"])
            areas[name] = {part: each["area"] for part, each in by_component(entry).items() if "area" in each}
            if "memory bits" in whole:
                found[name, "memory bits"] = Figure(whole["memory bits"])
        elif entry["measure"] == "energy" and records:
            found[name, "energy"] = Figure(whole["energy per operation"])
    known = [name for name in areas if name in counts]
    if known:
        fit = Fit.of([counts[name] for name in known], [areas[name] for name in known])
        found |= {(name, "area estimated"): Figure(fit(each)) for name, each in counts.items() if name not in areas}
    return dict(sorted(found.items()))


def write(table: Table, path: Path) -> None:
    """Write a table as CSV, six digits each."""
    rows = [
        f"{config},{name},{one.value:.6g},{'' if one.error is None else f'{one.error:.2g}'}"
        for (config, name), one in table.items()
    ]
    write_text(path, "\n".join(["configuration,figure,value,error", *rows]) + "\n")


def read(path: Path) -> Table:
    """Return the table of a file."""
    with path.open(newline="") as file:
        return {
            (row["configuration"], row["figure"]): Figure(
                float(row["value"]), float(row["error"]) if row["error"] else None
            )
            for row in csv.DictReader(file)
        }


def points(table: Table, gamma: str, *, thirds: bool = False) -> dict[str, Point]:
    """Return the vector MACs that have a score, of all sentences if that is known, or of ``thirds``, and an area."""
    name, found = f"minilm {gamma}", {}
    unit = table[BASELINE, "area"].value
    for config in dict.fromkeys(config for config, _ in table if "@" not in config):
        whole = None if thirds else table.get((config, name))
        score = whole or table.get((config, f"{name} third"))
        measured = table.get((config, "area"))
        area = measured or table.get((config, "area estimated"))
        if score and area:
            found[config] = Point(config, score.value, area.value / unit, third=not whole, estimated=not measured)
    return found


def front(found: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats, by area; scores nearer than their noise are ties."""
    several = [*found]
    values = np.array([(one.score, -one.area) for one in several])
    out = beaten(values, np.array([AccuracyMeasure.noise, 0.0]))
    return sorted((one for one, is_beaten in zip(several, out, strict=True) if not is_beaten), key=lambda one: one.area)


def best_below(one: Point, best: Iterable[Point]) -> Point | None:
    """Return the point of the best score, of those with at most its area and a better score; None if there is none."""
    others = [each for each in best if each.area <= one.area and each.score > one.score + AccuracyMeasure.noise]
    return max(others, key=lambda each: each.score, default=None)


def prices(table: Table, gamma: str, bits: int) -> dict[str, float]:
    """Return the cosine that R costs configurations on a third of the sentences."""
    name = f"minilm {gamma} third"
    return {
        config: score.value - rounded.value
        for (config, figure), score in table.items()
        if figure == name and (rounded := table.get((f"{config}:R={bits}", name)))
    }


def mirrored(found: Mapping[str, Point]) -> Iterable[tuple[Point, Point]]:
    """Yield points with more weight than activation bits and scales on both sides, beside those with both exchanged."""
    for config, one in found.items():
        if ":" not in config and "-" not in config:
            w, a, ws, as_ = config.split("/")
            if int(w) > int(a) and (other := found.get(f"{a}/{w}/{as_}/{ws}")):
                yield one, other
