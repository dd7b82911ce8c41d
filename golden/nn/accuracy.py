"""Accuracy against configuration, per-vector beside per-channel scales (``vsq accuracy``).

Scores are kept in a JSON file as soon as they are known; another run takes from it what it already holds.
"""

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from golden.config import MacConfig
from golden.errors import InputError
from golden.files import replacing, write_text
from golden.nn.calibration import Calibration
from golden.nn.quantize import Mode, quantize
from golden.nn.scheme import Scheme
from golden.nn.splitquant import split_model
from golden.nn.tasks import Task

FLOAT = "fp32"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Scores of one configuration: as it is, and with the same element formats but per-channel scales.

    Parameters
    ----------
    config
        Full name.
    mode
        ``ptq`` or ``qat``.
    per_vector, per_channel
        Scores; of a configuration without vector scales they are the same.
    """

    config: str
    mode: Mode
    per_vector: float
    per_channel: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """All scores of one task: the float model's, and the rows in the order of the request."""

    task: str
    metric: str
    float_score: float
    rows: list[Row]

    def table(self) -> Table:
        """Return the scores as a table."""
        table = Table(
            Column("configuration", overflow="fold"),
            "mode",
            *(Column(name, justify="right") for name in ("per-vector", "per-channel", "difference")),
            title=f"{self.task}: {self.metric}, {FLOAT} {self.float_score:.4f}",
        )
        for row in self.rows:
            gain = row.per_vector - row.per_channel
            table.add_row(row.config, row.mode, f"{row.per_vector:.4f}", f"{row.per_channel:.4f}", f"{gain:+.4f}")
        return table

    def plot(self, path: Path) -> None:
        """Draw the scores as bars; the suffix chooses the format.

        Raises
        ------
        InputError
            If matplotlib is missing, or the file cannot be written.
        """
        try:
            figure = importlib.import_module("matplotlib.figure").Figure
        except ImportError:
            raise InputError("plot: matplotlib is not installed; run 'pip install matplotlib'") from None
        drawing = figure(figsize=(2 + 1.2 * len(self.rows), 4), layout="constrained")
        axes = drawing.subplots()
        places = range(len(self.rows))
        for shift, name in ((-0.2, "per_vector"), (0.2, "per_channel")):
            heights = [getattr(row, name) for row in self.rows]
            axes.bar([place + shift for place in places], heights, width=0.4, label=name.replace("_", "-"))
        axes.axhline(self.float_score, color="black", linestyle="dashed", label=FLOAT)
        axes.set_xticks(list(places), [f"{row.config}\n{row.mode}" for row in self.rows])
        axes.set_ylabel(f"{self.task}: {self.metric}")
        axes.legend()
        with replacing(path) as part:
            drawing.savefig(part, format=path.suffix.removeprefix(".") or "svg")


def measure(
    task: Task,
    configs: Sequence[MacConfig],
    *,
    modes: Sequence[Mode | str] = (Mode.PTQ,),
    calibration: Calibration | str = Calibration.MAX,
    split: bool = False,
    path: Path | None = None,
    console: Console | None = None,
) -> Report:
    """Quantize the task's model for every configuration and mode, and score it.

    Parameters
    ----------
    configs
        Configurations; each is also measured without vector scales.
    modes
        ``ptq``, ``qat``.
    calibration
        Of the static gammas of inputs.
    split
        Whether weights are split into three planes first (SplitQuant).
    path
        JSON file of the scores, which is read if it exists; None keeps none.
    console
        Where the progress is shown; None shows nothing.

    Raises
    ------
    InputError
        If the task has no training for ``qat``, or ``path`` holds something else or cannot be written.
    """
    chosen = [Mode(_choice("mode", mode, Mode)) for mode in modes]
    if Mode.QAT in chosen and task.train is None:
        raise InputError(f"workload {task.name}: it has no training; leave out mode qat")
    calibration = Calibration(_choice("calibration", calibration, Calibration))
    about = {
        "task": task.name,
        "metric": task.metric,
        "calibration": str(calibration),
        "split": split,
        "torch": torch.__version__,
    }
    scores = _load(path, about)
    pairs = [(config, _per_channel(config)) for config in configs]
    cells = list(dict.fromkeys((one, mode) for mode in chosen for pair in pairs for one in pair))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(quiet=True), transient=True) as progress:
        bar = progress.add_task(f"{task.name}: {FLOAT}", total=len(cells) + 1)

        def score(key: str, model: Any) -> None:
            progress.update(bar, description=f"{task.name}: {key}")
            if key not in scores:
                scores[key] = task.evaluate(model())
                if path is not None:
                    write_text(path, json.dumps(about | {"scores": scores}, indent=2) + "\n")
            progress.advance(bar)

        score(FLOAT, task.model)
        for config, mode in cells:
            score(
                _key(config, mode),
                lambda c=config, m=mode: _quantized(task, Scheme(config=c, calibration=calibration), m, split),
            )
    return Report(
        task=task.name,
        metric=task.metric,
        float_score=scores[FLOAT],
        rows=[
            Row(
                config=config.full_name,
                mode=mode,
                per_vector=scores[_key(config, mode)],
                per_channel=scores[_key(plain, mode)],
            )
            for mode in chosen
            for config, plain in pairs
        ],
    )


def _quantized(task: Task, scheme: Scheme, mode: Mode, split: bool) -> torch.nn.Module:
    """Return the task's model, quantized, and trained if the mode says so."""
    model = split_model(task.model()) if split else task.model()
    model = quantize(model, scheme, task.calibrate, mode=mode)
    if mode == Mode.QAT and task.train is not None:
        task.train(model)
    return model


def _per_channel(config: MacConfig) -> MacConfig:
    """Return the same element formats and V, without vector scales."""
    return MacConfig(weight=config.weight, activation=config.activation, vector_size=config.vector_size)


def _key(config: MacConfig, mode: Mode) -> str:
    return f"{config.full_name} {mode}"


def _choice(name: str, value: str, kind: type[StrEnum]) -> str:
    if value not in tuple(kind):
        raise InputError(f"{name} {value!r}: choose one of {', '.join(kind)}")
    return value


def _load(path: Path | None, about: dict[str, Any]) -> dict[str, float]:
    """Return the scores that the file already holds."""
    if path is None or not path.exists():
        return {}
    try:
        content = json.loads(path.read_text())
        scores = content.pop("scores")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: no file of accuracies; choose another name, or remove it") from None
    for name, value in about.items():
        if content.get(name) != value:
            raise InputError(f"{path}: its {name} is {content.get(name)!r}, not {value!r}; choose another name")
    return dict(scores)
