"""An exploration: measures what the store lacks, of every point, a sample, or those that may be on the front."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vsq.explore.estimates import estimates, hopeless, samples
from vsq.explore.measures import MEASURES
from vsq.explore.measures.measure import Measure
from vsq.explore.results import Results, headline, kinds
from vsq.explore.sampler import coordinates, sample
from vsq.explore.space import Space, expand
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.io.engine import Engine, Lost


def measures(texts: Sequence[str]) -> list[Measure]:
    """Return the measures that texts name, ``accuracy:workload=minilm,input_gamma={static,row}`` being two.

    Raises:
        InputError: If there is none, or one is unknown, or a setting of it is.
    """
    found = dict.fromkeys(_measure(name) for text in texts for name in expand(text))
    if not found:
        raise InputError(f"no measure: give one of {', '.join(MEASURES)}")
    return [*found]


def _measure(text: str) -> Measure:
    name, _, settings = text.partition(":")
    if name not in MEASURES:
        raise InputError(f"measure {name!r}: there is none of that name; {did_you_mean(name, MEASURES)}")
    return MEASURES[name].parse(settings)


def explore(
    space: Space,
    chosen: Sequence[Measure],
    folder: Path,
    engine: Engine,
    *,
    front: bool = False,
    trials: int | None = None,
    retry: bool = False,
    console: Console | None = None,
) -> Results:
    """Measure each point of a space, but what the store in ``folder`` has; return the results.

    Args:
        chosen: Measures; of one kind there may be several, with other settings.
        front: Whether points are estimated first, and those alone are measured that may be on the front.
        trials: How many points are measured instead of all, each chosen by what those before have shown.
        retry: Whether points that failed are measured again.
        console: Where the progress is shown; None shows nothing.

    Raises:
        InputError: If the store cannot be written, an entry is damaged, or a cluster's scheduler is lost.
    """
    store = RecordStore(folder)

    def measure(tasks: Iterable[Task]) -> None:
        _measure_all([*dict.fromkeys(tasks)], store, engine, retry, console)

    if trials is not None:
        return _sampled(space, chosen, store, measure, trials=trials, together=2 * engine.workers)
    if not front:
        measure(Task.of(config, one) for one in chosen for config in space.points)
        return Results.of(space.points, chosen, store)
    looks = [(one, preview) for one in chosen if (preview := one.preview())]
    measure(Task.of(config, preview) for _, preview in looks for config in space.points)
    measure(task for one, preview in looks if preview != one for task in samples(one, space.points))
    estimated = {task: found for one in chosen for task, found in estimates(one, space.points, store).items()}
    first = Results.of(space.points, [one for one, _ in looks], store, estimated)
    out = {(point.config, point.measures) for point in hopeless(first)}
    others = [one for one in chosen if one.preview() is None]
    measure(
        Task.of(config, one)
        for config in space.points
        for variants in product(*first.measures)
        if (config, variants) not in out
        for one in (*variants, *others)
    )
    return Results.of(space.points, chosen, store, estimated)


def _sampled(
    space: Space,
    chosen: Sequence[Measure],
    store: RecordStore,
    measure: Callable[[Iterable[Task]], None],
    *,
    trials: int,
    together: int,
) -> Results:
    """Measure as many points as ``trials`` says, a variant of each kind of measure being part of a point."""
    points = [(config, variants) for config in space.points for variants in product(*kinds(chosen))]

    def figures(places: Sequence[int]) -> Iterator[list[float] | None]:
        measure(Task.of(config, one) for config, variants in map(points.__getitem__, places) for one in variants)
        for config, variants in map(points.__getitem__, places):
            found = [(one, headline(one, store.read(Task.of(config, one)))) for one in variants]
            known = [figure.value * (1 if one.higher_is_better else -1) for one, figure in found if figure]
            yield known if len(known) == len(found) else None

    axes = coordinates((config, map(str, variants)) for config, variants in points)
    measured = sample(axes, figures, trials=trials, figures=len(kinds(chosen)), together=together)
    return Results.of([*dict.fromkeys(points[place][0] for place in measured)], chosen, store)


def _measure_all(tasks: list[Task], store: RecordStore, engine: Engine, retry: bool, console: Console | None) -> None:
    """Measure what the store has no entry of, or a failure that is tried again, and show the progress.

    Workers write entries themselves: this process, an executor or a worker may be killed at any moment, and only the
    tasks in flight are lost, which the next run takes up.
    """
    missing = []
    for task in tasks:
        path = store.path(task)
        if retry and store.failed(task):
            path.unlink()
        if not path.exists():
            missing.append(task)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    shown = Progress(TextColumn("{task.description}"), *columns, console=console or Console(quiet=True), transient=True)
    with shown as progress, closing(engine.run(store.measure, missing)) as ended:
        bar = progress.add_task("", total=len(tasks), completed=len(tasks) - len(missing))
        for task, found in ended:
            if isinstance(found, Lost):
                store.give_up(task, found.reason)
            progress.update(bar, advance=1, description=f"{task.measure.name} of {task.configuration}")
