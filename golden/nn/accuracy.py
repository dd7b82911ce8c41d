"""Accuracy against configuration, per-vector beside per-channel scales (``vsq accuracy``).

The per-channel baseline is the best, on the evaluation itself and by the workload's metric, of all pairs of

    weights   one scale an output channel: of the maxima, or of the least squared error
    inputs    one static scale: of the maximum, of a percentile, by entropy, or of the least squared error;
              or one scale for each row, taken at run time

and, if other weights are asked for, of these with the best inputs. So it is chosen more favourably than the per-vector
scales are, which take what is asked for. With training, the choice is the one that is best without.

Each score is cached in a JSON file as soon as it is known, from which another run resumes.

Source: VS-Quant (Dai et al., MLSys 2021), section 4, and Wu et al. (arXiv 2004.09602) for the choices.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.io.engine import Lost, local
from vsq.golden.io.files import Store
from vsq.golden.nn.accuracy_report import FLOAT, AccuracyReport, AccuracyRow
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import Mode, quantize
from vsq.golden.quantizer.scheme import Scheme, WeightScales
from vsq.golden.workloads.metrics import Score, Scores, mean, read
from vsq.golden.workloads.workload import WORKLOADS, Workload, load

INPUTS: dict[str, dict[str, Any]] = {
    "max": {"input_gamma": "static", "calibration": "max"},
    "99.9 %": {"input_gamma": "static", "calibration": "percentile", "percentile": 99.9},
    "99.99 %": {"input_gamma": "static", "calibration": "percentile", "percentile": 99.99},
    "entropy": {"input_gamma": "static", "calibration": "entropy"},
    "mse": {"input_gamma": "static", "calibration": "mse"},
    "row": {"input_gamma": "row"},
}
WEIGHTS = (WeightScales.MAX, WeightScales.MMSE)


def measure(
    task: Workload,
    configs: Sequence[MacConfig],
    *,
    modes: Sequence[Mode | str] = (Mode.PTQ,),
    split: bool = False,
    seeds: int = 1,
    jobs: int = 1,
    path: Path | None = None,
    console: Console | None = None,
    **options: Any,
) -> AccuracyReport:
    """Quantize the task's model for every configuration and mode, and score it.

    Args:
        configs: Configurations, at least one; each is also measured with float32 scales and with per-channel scales.
        modes: As :func:`vsq.golden.nn.quantize.quantize` has them.
        split: Whether weights are split into three planes first (SplitQuant).
        seeds: The number of models and splits of the data that are drawn, of which scores are means.
        jobs: Processes that measure, if more than one, each with one thread; for the project's own workloads.
        path: JSON cache of the scores, which is read if it exists, whatever options they are of; None for no cache.
        console: Where the progress is shown; None shows nothing.
        options: Of the :class:`Scheme`, such as ``input_gamma``.

    Raises:
        InputError: If the task has no training for ``qat``, or methods that fit to data meet it, or there is nothing to
            draw for several seeds, or several jobs meet a workload of the user's own, or a process of theirs dies, or
            ``path`` holds something else or cannot be written.
    """
    chosen = [choice("mode", mode, Mode) for mode in modes]
    if not configs:
        raise InputError("accuracy: got no configurations; give at least one")
    if Mode.QAT in chosen and task.train is None:
        raise InputError(f"workload {task.name}: it has no training; leave out mode qat")
    if seeds > 1 and task.drawn is None:
        raise InputError(f"workload {task.name}: it draws nothing from a seed; leave out seeds")
    if jobs > 1 and task.name not in WORKLOADS:
        raise InputError(f"workload {task.name}: other processes cannot load it by that name; leave out jobs")
    schemes = [Scheme(config=config, **options) for config in configs]
    if Mode.QAT in chosen and any(scheme.fitted for scheme in schemes):
        raise InputError("mode qat: methods that fit integers to data are for mode ptq; leave them out, or the mode")
    about = {"task": task.name, "metric": task.metric, "split": split, "torch": torch.__version__}
    store = Store(path, about, "scores")
    try:
        read(store.results)
    except ValueError:
        raise InputError(f"{path}: no file of scores; choose another name, or remove it") from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(quiet=True), transient=True) as progress:
        cells = 1 + len(chosen) * len(schemes) * (len(WEIGHTS) * len(INPUTS) + 3)
        bench = _Bench(task, split, seeds, store, progress, progress.add_task("", total=seeds * cells))
        if jobs > 1:
            bench.measure([(None, Mode.PTQ), *_known(schemes, chosen)], jobs)
        float_scores = _over_seeds(bench.scores(None, Mode.PTQ))
        rows = [bench.row(scheme, mode) for mode in chosen for scheme in schemes]
    return AccuracyReport(task=task.name, seeds=seeds, float_scores=float_scores, rows=rows)


def baselines(scheme: Scheme) -> dict[str, Scheme]:
    """Return the choices of per-channel scales for the element formats of a scheme, by name."""
    return {
        f"W {weights}, A {name}": Scheme(config=_plain(scheme), weight_scales=weights, **inputs)
        for weights in WEIGHTS
        for name, inputs in INPUTS.items()
    }


def _key(scheme: Scheme | None, mode: Mode, seed: int) -> str:
    """Return what a score is stored under: configuration, mode, and all options that are not the default."""
    parts: list[str] = [FLOAT]
    options: dict[str, Any] = {}
    if scheme is not None:
        parts = [str(scheme), mode]
        default = Scheme(config=scheme.config, float_scales=scheme.float_scales)
        names = [each.name for each in fields(Scheme) if each.compare]
        options = {name: value for name in names if (value := getattr(scheme, name)) != getattr(default, name)}
    if seed:
        options["seed"] = seed
    return " ".join([*parts, ", ".join(f"{name}={value}" for name, value in options.items())]).rstrip()


def _known(schemes: Sequence[Scheme], modes: Sequence[Mode]) -> Iterable[tuple[Scheme, Mode]]:
    """Yield the cells that no choice among others decides on."""
    for scheme in schemes:
        yield from ((choice, Mode.PTQ) for choice in baselines(scheme).values())
        yield from ((one, mode) for mode in modes for one in (scheme, _floats(scheme)))


def _floats(scheme: Scheme) -> Scheme:
    """Return a scheme with float32 scales in place of integer ones."""
    return replace(_without_scales(scheme), float_scales=True)


def _without_scales(scheme: Scheme) -> Scheme:
    default = {"four_over_six": False, "input_rounding": None, "weight_gamma": None}
    plain: Scheme = replace(scheme, config=_plain(scheme), **default)  # type: ignore[arg-type]  # None: by formats
    return plain


def _plain(scheme: Scheme) -> MacConfig:
    config = scheme.config
    return MacConfig(weight=config.weight, activation=config.activation, vector_size=config.vector_size)


@dataclass(frozen=True)
class _Bench:
    """Measures cells of the table: a cell is a scheme and a mode, and has scores for each seed."""

    task: Workload
    split: bool
    seeds: int
    store: Store
    progress: Progress
    bar: TaskID

    def row(self, scheme: Scheme, mode: Mode) -> AccuracyRow:
        """Return the scores of a configuration beside those of the other scales."""
        choices = baselines(scheme)

        def reached(name: str) -> float:
            return _over_seeds(self.scores(choices[name], Mode.PTQ))[self.task.metric].value

        best = max(choices, key=reached)
        inputs = {name: getattr(choices[best], name) for name in ("input_gamma", "calibration", "percentile")}
        asked = replace(_without_scales(scheme), **inputs)
        if asked not in choices.values():
            name = f"W as asked, {best.split(', ')[1]}"
            choices[name] = asked
            best = max(best, name, key=reached)
        kinds = scheme, _floats(scheme), choices[best]
        per_vector, float_scales, per_channel = (self.scores(one, mode) for one in kinds)
        gain = [
            {name: Score(score.value - beside[name].value) for name, score in scores.items()}
            for scores, beside in zip(per_vector, per_channel, strict=True)
        ]
        return AccuracyRow(
            config=str(scheme),
            mode=mode,
            per_vector=_over_seeds(per_vector),
            float_scales=_over_seeds(float_scales),
            per_channel=_over_seeds(per_channel),
            baseline=best,
            gain=_over_seeds(gain),
        )

    def measure(self, cells: Iterable[tuple[Scheme | None, Mode]], jobs: int) -> None:
        """Measure cells that the store lacks in processes of their own."""
        lacking = {
            key: (self.task.name, self.split, seed, *cell)
            for cell in cells
            for seed in range(self.seeds)
            if (key := _key(*cell, seed)) not in self.store.results
        }
        with closing(local(jobs).run(_measured, lacking.items())) as ended:
            for (key, _), found in self.progress.track(ended, len(lacking), description=self.task.name):
                if isinstance(found, Lost):
                    rule = f"{key}: {found.reason}, of memory perhaps"
                    raise InputError(f"workload {self.task.name}: {rule}; give fewer jobs, and --json FILE to resume")
                self._keep(key, found)

    def scores(self, scheme: Scheme | None, mode: Mode) -> list[Scores]:
        """Return the scores of a cell by seed, the float model's without a scheme, and store those that are new."""
        keys = [_key(scheme, mode, seed) for seed in range(self.seeds)]
        for seed, key in enumerate(keys):
            if key not in self.store.results:
                self.progress.update(self.bar, description=f"{self.task.name}: {key}")
                self._keep(key, _scores(self.task, self.split, seed, scheme, mode))
            self.progress.advance(self.bar)
        found = read(self.store.results)
        return [found[key] for key in keys]

    def _keep(self, key: str, scores: Scores) -> None:
        self.store.keep(key, {name: asdict(score) for name, score in scores.items()})


def _scores(task: Workload, split: bool, seed: int, scheme: Scheme | None, mode: Mode) -> Scores:
    """Return the scores of one cell, the float model's without a scheme."""
    task = task.drawn(seed) if seed and task.drawn else task
    model = task.model()
    if scheme is not None:
        model = split_model(model) if split else model
        loop = task.fit if scheme.fitted and task.fit else task.calibrate
        model = quantize(model, scheme, loop, mode=mode, inplace=True)
        if mode == Mode.QAT and task.train is not None:
            task.train(model)
    return task.scores(model)


def _measured(lacking: tuple[str, tuple[Any, ...]]) -> Scores:
    """Return the scores of one cell, given with its key, of a workload by name, which a process loads once."""
    _, (name, *cell) = lacking
    return _scores(_loaded(name), *cell)


_loaded = cache(load)


def _over_seeds(scores: Sequence[Scores]) -> Scores:
    """Return the means over seeds with their standard errors; of a single one, its scores."""
    return scores[0] if len(scores) == 1 else {name: mean([one[name].value for one in scores]) for name in scores[0]}
