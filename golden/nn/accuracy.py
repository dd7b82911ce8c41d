"""Accuracy against configuration, per-vector beside per-channel scales (``vsq accuracy``).

Each score is cached in a JSON file as soon as it is known, from which another run resumes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.io.files import Store
from vsq.golden.nn.calibration import Calibration
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import Mode, quantize
from vsq.golden.nn.scheme import InputGamma, Scheme
from vsq.golden.workloads.workload import Workload

if TYPE_CHECKING:
    import altair

FLOAT = "fp32"
KINDS = {"per_vector": "per-vector", "float_scales": "fp32 scales", "per_channel": "per-channel"}


@dataclass(frozen=True)
class AccuracyRow:
    """Scores of one configuration by full name, and of the same element formats with other scales.

    ``float_scales`` has a float32 scale for each vector in place of integer ones, ``per_channel`` one scale per output
    channel for weights, and one for inputs.
    """

    config: str
    mode: Mode
    per_vector: float
    float_scales: float
    per_channel: float


@dataclass(frozen=True)
class AccuracyReport:
    """All scores of one task: the float model's, and the rows in the order of the request."""

    task: str
    metric: str
    float_score: float
    rows: list[AccuracyRow]

    def table(self) -> Table:
        """Return the scores as a table."""
        table = Table(
            Column("configuration", overflow="fold"),
            "mode",
            *(Column(name, justify="right") for name in (*KINDS.values(), "gain")),
            title=f"{self.task}: {self.metric}, {FLOAT} {self.float_score:.4f}",
        )
        for row in self.rows:
            scores = (f"{getattr(row, kind):.4f}" for kind in KINDS)
            table.add_row(row.config, row.mode, *scores, f"{row.per_vector - row.per_channel:+.4f}")
        return table

    def chart(self) -> "altair.LayerChart | altair.FacetChart":
        """Return one line a configuration and mode, a mark for each kind of scales; the float model is dashed."""
        import altair as alt

        values = [
            {
                "configuration": row.config,
                "mode": row.mode,
                "row": f"{row.config} {row.mode}",
                "scales": title,
                "score": getattr(row, kind),
                "gain": row.per_vector - row.per_channel,
            }
            for row in self.rows
            for kind, title in KINDS.items()
        ]
        kinds = list(KINDS.values())
        x = alt.X("score:Q", title=f"{self.task}: {self.metric}").scale(zero=False, padding=15)
        y = alt.Y("row:N", title="configuration and mode", sort=None).axis(grid=True)
        score = alt.Tooltip("score:Q", title=self.metric, format=".4f")
        marks = (
            alt.Chart(alt.InlineData(values=values))
            .mark_point(filled=True, size=110, opacity=0.9)
            .encode(
                x=x,
                y=y,
                color=alt.Color("scales:N", title="scales").scale(domain=kinds),
                shape=alt.Shape("scales:N", title="scales").scale(domain=kinds, range=["circle", "diamond", "square"]),
                tooltip=[
                    *("configuration:N", "mode:N", "scales:N", score),
                    alt.Tooltip("gain:Q", title="per-vector over per-channel", format="+.4f"),
                ],
            )
            .interactive(bind_y=False)
        )
        line = (
            alt.Chart(alt.InlineData(values=[{"score": self.float_score, "model": FLOAT}]))
            .mark_rule(strokeDash=[6, 4], size=2)
            .encode(
                x=x, strokeDash=alt.StrokeDash("model:N", title=None).scale(range=[[6, 4]]), tooltip=["model:N", score]
            )
        )
        return alt.layer(marks, line).properties(width=640, height=alt.Step(34))


def measure(
    task: Workload,
    configs: Sequence[MacConfig],
    *,
    modes: Sequence[Mode | str] = (Mode.PTQ,),
    input_gamma: InputGamma | str = InputGamma.STATIC,
    calibration: Calibration | str = Calibration.MAX,
    split: bool = False,
    path: Path | None = None,
    console: Console | None = None,
) -> AccuracyReport:
    """Quantize the task's model for every configuration and mode, and score it.

    Args:
        configs: Configurations; each is also measured with float32 scales and with per-channel scales.
        modes, input_gamma, calibration: As :func:`vsq.golden.nn.quantize.quantize` and :class:`Scheme` have them.
        split: Whether weights are split into three planes first (SplitQuant).
        path: JSON cache of the scores, which is read if it exists; None for no cache.
        console: Where the progress is shown; None shows nothing.

    Raises:
        InputError: If the task has no training for ``qat``, or ``path`` holds something else or cannot be written.
    """
    chosen = [choice("mode", mode, Mode) for mode in modes]
    if Mode.QAT in chosen and task.train is None:
        raise InputError(f"workload {task.name}: it has no training; leave out mode qat")
    about = {
        "task": task.name,
        "metric": task.metric,
        "input_gamma": str(input_gamma),
        "calibration": str(calibration),
        "split": split,
        "torch": torch.__version__,
    }
    store = Store(path, about, "scores")
    triples = [_variants(config, input_gamma=input_gamma, calibration=calibration) for config in configs]
    cells = {f"{scheme} {mode}": (scheme, mode) for mode in chosen for triple in triples for scheme in triple}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console or Console(quiet=True), transient=True) as progress:
        bar = progress.add_task("", total=len(cells) + 1)
        for key in (FLOAT, *cells):
            progress.update(bar, description=f"{task.name}: {key}")
            if key not in store.results:
                model = task.model()
                if key in cells:
                    scheme, mode = cells[key]
                    model = split_model(model) if split else model
                    model = quantize(model, scheme, task.calibrate, mode=mode, inplace=True)
                    if mode == Mode.QAT and task.train is not None:
                        task.train(model)
                store.keep(key, task.evaluate(model))
            progress.advance(bar)
    rows = [
        AccuracyRow(str(triple[0]), mode, *(store.results[f"{scheme} {mode}"] for scheme in triple))
        for mode in chosen
        for triple in triples
    ]
    return AccuracyReport(task.name, task.metric, store.results[FLOAT], rows)


def _variants(config: MacConfig, **options: Any) -> tuple[Scheme, Scheme, Scheme]:
    """Return the configuration as it is, with float32 scales, and with per-channel scales: one for each of KINDS."""
    plain = MacConfig(weight=config.weight, activation=config.activation, vector_size=config.vector_size)
    per_vector, per_channel = (Scheme(config=one, **options) for one in (config, plain))
    return per_vector, replace(per_channel, float_scales=True), per_channel
