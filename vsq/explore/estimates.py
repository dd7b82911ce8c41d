"""Estimates of figures from cheaper ones, and the points that they leave as candidates for the front."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vsq.explore.fit import Fit
from vsq.explore.measures.measure import Measure
from vsq.explore.results import DesignPoint, Headline, Results, beaten, headline
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.pe_config import Configuration

_LEAST = 12  # designs that an estimate is fitted to


def samples(measure: Measure, points: Sequence[Configuration]) -> list[Task]:
    """Return the tasks that estimates are fitted to: some of the space, always the same ones."""
    tasks = list(dict.fromkeys(Task.of(config, measure) for config in points))
    order = np.random.default_rng(0).permutation(len(tasks))
    return [tasks[place] for place in sorted(order[: measure.samples])]


def estimates(measure: Measure, points: Sequence[Configuration], store: RecordStore) -> dict[Task, Headline]:
    """Return what the entries of a measure's preview tell of its figures; nothing, if it is its own preview.

    Points whose preview has failed have no estimate, nor has any where too few samples have figures.
    """
    preview = measure.preview()
    if preview is None or preview == measure:
        return {}
    looks = {Task.of(config, measure): store.read(Task.of(config, preview)) for config in points}
    known = {task: look for task, look in looks.items() if look is not None and "failure" not in look}
    if not measure.samples:
        figures = ((task, look, found) for task, look in known.items() if (found := headline(preview, look)))
        return {task: found._replace(doubt=measure.doubt(look, found.value)) for task, look, found in figures}
    counts = {task: by_component(look) for task, look in known.items()}
    taught = {task: entry for task in samples(measure, points) if task in counts and (entry := store.read(task))}
    taught = {task: entry for task, entry in taught.items() if headline(measure, entry)}
    if len(taught) < _LEAST:
        return {}
    costs = [
        {part: found[measure.quantity] for part, found in by_component(entry).items() if measure.quantity in found}
        for entry in taught.values()
    ]
    fit = Fit.of([counts[task] for task in taught], costs)
    unit = next(found.unit for entry in taught.values() if (found := headline(measure, entry)))
    fitted = {task: fit(found) for task, found in counts.items() if task not in taught}
    return {task: Headline(value, unit, measure.doubt(known[task], value)) for task, value in fitted.items()}


def by_component(entry: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return an entry's figures by component and quantity, those of the whole left out."""
    found = defaultdict[str, dict[str, float]](dict)
    for record in entry["records"]:
        if record["component"] != "total":
            found[record["component"]][record["quantity"]] = record["value"]
    return found


def hopeless(results: Results) -> Iterator[DesignPoint]:
    """Yield the points that another one beats, whatever their figures are within the doubts of the estimates."""
    if not results.points:
        return
    doubts = np.array([[figure.doubt or 0.0 for figure in point.figures] for point in results.points])
    out = beaten(results.goodness(results.points), results.noise, doubts)
    yield from (point for point, is_beaten in zip(results.points, out, strict=True) if is_beaten)
