"""Results of an exploration: a row for each point, the front of those that no other beats, and a table."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from vsq.explore.measures.measure import Measure
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.pe_config import Configuration


class Headline(NamedTuple):
    """The figure that designs are compared by."""

    value: float
    unit: str
    doubt: float | None = None  # by how much an estimate may be off; None if it is measured


@dataclass(frozen=True)
class DesignPoint:
    """A configuration, one variant of each measure, and the figures that it is compared by, in that order."""

    config: Configuration
    measures: tuple[Measure, ...]
    figures: tuple[Headline, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The figures as numbers."""
        return tuple(figure.value for figure in self.figures)

    @property
    def units(self) -> tuple[str, ...]:
        """Their units."""
        return tuple(figure.unit for figure in self.figures)

    @property
    def estimated(self) -> bool:
        """Whether any of them is an estimate."""
        return any(figure.doubt is not None for figure in self.figures)


@dataclass(frozen=True)
class Results:
    """Points that have all their figures, some estimated perhaps, and how many others failed, by reason.

    Args:
        measures: The variants of each kind of measure; points take one of each kind.
        deviations: Of figures that were estimated first and then measured, by kind: ``|estimate / figure - 1|``.
    """

    measures: tuple[tuple[Measure, ...], ...]
    points: list[DesignPoint]
    failures: Counter[str]
    deviations: dict[str, list[float]]

    @classmethod
    def of(
        cls,
        configs: Sequence[Configuration],
        measures: Sequence[Measure],
        store: RecordStore,
        estimates: Mapping[Task, Headline] | None = None,
    ) -> "Results":
        """Return the points of configurations and measures that the store has, or estimates where it has none."""
        variants = kinds(measures)
        points, failures = list[DesignPoint](), Counter[str]()
        deviations = dict[Task, float]()
        for config in configs:
            headlines = dict[Measure, Headline | None]()
            for measure in measures:
                task = Task.of(config, measure)
                entry = store.read(task)
                if entry is not None and "failure" in entry:
                    failures[f"{measure.name}: {entry['failure']}"] += 1
                headlines[measure] = found = headline(measure, entry)
                if not estimates or task not in estimates:
                    continue
                if entry is None:
                    headlines[measure] = estimates[task]
                elif found and found.value:
                    deviations[task] = abs(estimates[task].value / found.value - 1)
            for chosen in product(*variants):
                known = [each for measure in chosen if (each := headlines[measure])]
                if len(known) == len(chosen):
                    points.append(DesignPoint(config, chosen, tuple(known)))
        by_kind = {
            kind.name: [found for task, found in deviations.items() if task.measure.name == kind.name]
            for kind, *_ in variants
        }
        return cls(variants, points, failures, by_kind)

    @cached_property
    def measured(self) -> list[DesignPoint]:
        """The points none of whose figures is estimated."""
        return [point for point in self.points if not point.estimated]

    @cached_property
    def front(self) -> list[DesignPoint]:
        """The measured points that no other beats, by the first figure.

        One beats another if it is nowhere worse and somewhere better, by more than the measure's noise.
        """
        if not (points := self.measured):
            return []
        kept = ~beaten(self.goodness(points), self.noise)
        return sorted((point for point, on in zip(points, kept, strict=True) if on), key=lambda point: point.values)

    @property
    def noise(self) -> NDArray[np.float64]:
        """By how much figures of each kind must differ to be no tie, [figures]."""
        return np.array([variants[0].noise for variants in self.measures])

    def goodness(self, points: Sequence[DesignPoint]) -> NDArray[np.float64]:
        """Return the figures of points, [points, figures], with such signs that higher is better."""
        signs = [1 if variants[0].higher_is_better else -1 for variants in self.measures]
        return np.array([point.values for point in points]) * signs

    @property
    def extent(self) -> str:
        """How many points there are, in words."""
        measured = len(self.measured)
        rest = len(self.points) - measured
        return f"{measured:,} points" + (f", and {rest:,} whose estimates no error could bring there" if rest else "")

    def table(self) -> Table:
        """Return the front, a row a point."""
        front = self.front
        table = Table(
            title="Points that no other beats",
            caption=f"{len(front)} of {self.extent}; scores nearer than their noise are ties.",
            box=box.SIMPLE_HEAD,
        )
        table.add_column("configuration", no_wrap=True)
        varied = [place for place, variants in enumerate(self.measures) if len(variants) > 1]
        for place in varied:
            table.add_column(f"{self.measures[place][0].name} with", no_wrap=True)
        units = front[0].units if front else [""] * len(self.measures)
        for variants, unit in zip(self.measures, units, strict=True):
            table.add_column(f"{variants[0].quantity}\n{unit}", justify="right", no_wrap=True)
        for point in front:
            settings = [str(point.measures[place]).partition(":")[2] or "defaults" for place in varied]
            table.add_row(point.config.full_name, *settings, *map(_shown, point.values))
        return table


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def kinds(measures: Sequence[Measure]) -> tuple[tuple[Measure, ...], ...]:
    """Return the variants of each kind of measure."""
    found = dict[str, list[Measure]]()
    for measure in measures:
        found.setdefault(measure.name, []).append(measure)
    return tuple(map(tuple, found.values()))


def headline(measure: Measure, entry: dict[str, object] | None) -> Headline | None:
    """Return the figure that designs are compared by."""
    for record in _records(entry):
        if (record["component"], record["quantity"]) == ("total", measure.quantity):
            return Headline(float(record["value"]), str(record["unit"]))
    return None


def _records(entry: dict[str, object] | None) -> Iterator[dict[str, str]]:
    yield from (entry or {}).get("records", [])  # type: ignore[misc]


def beaten(
    values: NDArray[np.float64], noise: NDArray[np.float64], doubts: NDArray[np.float64] | float = 0.0
) -> NDArray[np.bool_]:
    """Return which rows of ``values`` [points, figures], higher being better, another row beats.

    Row q beats row p if ``q >= p - noise`` everywhere and ``q > p + noise`` somewhere, whatever both are within their
    ``doubts``.
    """
    margin = noise[:, np.newaxis]
    worst = np.ascontiguousarray((values - doubts).T)  # along rows of memory all and any are several times as fast
    columns = (row[:, np.newaxis] for row in values + doubts)
    return np.array(
        [bool(((worst >= best - margin).all(axis=0) & (worst > best + margin).any(axis=0)).any()) for best in columns]
    )
