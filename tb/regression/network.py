"""Workloads on the RTL of a processing element (``vsq network``): every integer of every layer compared with golden."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.mapping import Output, gather, plan
from vsq.golden.model.pe import ProcessingElement, Result, Streams
from vsq.tb.playback.pe import Playback
from vsq.tb.simulation.simulators import find

FIELDS = ("acc", "overflow", "codes", "scales")


@dataclass(frozen=True, kw_only=True)
class LayerRun:
    """The result of one layer: how many integers were compared and how many differ, operands, cycles."""

    name: str
    integers: int
    wrong: int
    operands: int
    cycles: int


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """All layers of a run; ``note`` says what the outputs are worth, ``right`` whether golden says the same."""

    config: PeConfig
    layers: list[LayerRun]
    note: str
    right: bool
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether layers ran, no integer differs, and the outputs are worth what golden's are."""
        return bool(self.layers) and self.right and not any(layer.wrong for layer in self.layers)

    def table(self) -> Table:
        """Return one row a layer."""
        names = ("integers", "wrong", "operands", "cycles", "lanes busy")
        table = Table(
            "layer",
            *(Column(name, justify="right") for name in names),
            title=str(self.config),
            caption=f"{self.note}; {self.seconds:.0f} s: {'pass' if self.passed else 'FAIL'}",
        )
        for layer in self.layers:
            busy = f"{layer.operands / layer.cycles:.1%}"
            table.add_row(layer.name, *(f"{getattr(layer, name):,}" for name in names[:-1]), busy)
        return table


def run(
    workload: str,
    config: PeConfig,
    *,
    simulator: str = "verilator",
    images: int | None = None,
    folder: Path | None = None,
    console: Console | None = None,
) -> NetworkRun:
    """Run a workload in a simulator and in the golden model.

    Parameters
    ----------
    workload
        ``digits``, the whole network, or ``minilm``, its first query projection of 128 tokens.
    config
        The element.
    simulator
        ``verilator`` or ``icarus``.
    images
        Test images of digits, the first ones; None means all.
    folder
        Where the simulation is built; None means a temporary folder.
    console
        Where the progress is shown; None shows nothing.

    Raises
    ------
    InputError
        If there is no such workload, it does not fit the element, or something that it needs is missing.
    """
    if workload not in _WORKLOADS:
        raise InputError(f"workload {workload!r}: an element runs {' or '.join(_WORKLOADS)}; choose one of them")
    find(simulator)
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress(console=console or Console(quiet=True), transient=True) as progress,
    ):
        bar = progress.add_task(f"{workload}: building the simulation", total=None)
        observed = _Observed(lambda: Playback(config, simulator, folder or Path(scratch)))
        layers = []

        def take(name: str, got: Output, expected: Output) -> None:
            layers.append(observed.layer(name, got, expected))
            progress.update(bar, description=f"{workload}: {name} done")

        note, right = _WORKLOADS[workload](config, images, observed.execute, take)
    return NetworkRun(config=config, layers=layers, note=note, right=right, seconds=time.perf_counter() - start)


class _Observed:
    """A playback, built for the first commands, and the operands and cycles since the last layer."""

    def __init__(self, build: Callable[[], Playback]) -> None:
        self._build, self._operands, self._cycles = build, 0, 0

    @cached_property
    def _playback(self) -> Playback:
        return self._build()

    def execute(self, streams: Streams) -> list[Result]:
        """Run the commands."""
        self._operands += sum(command.rows * command.vectors for command in streams.commands)
        return self._playback.run(streams)

    def layer(self, name: str, got: Output, expected: Output) -> LayerRun:
        """Compare a layer's outputs."""
        integers = wrong = 0
        for field in FIELDS:
            ours, golden = getattr(got, field), getattr(expected, field)
            if golden is not None:
                integers += golden.size
                wrong += golden.size if ours is None or ours.shape != golden.shape else int((ours != golden).sum())
        cycles, operands = self._playback.cycles - self._cycles, self._operands
        self._cycles, self._operands = self._playback.cycles, 0
        return LayerRun(name=name, integers=integers, wrong=wrong, operands=operands, cycles=cycles)


Execute = Callable[[Streams], list[Result]]
Take = Callable[[str, Output, Output], None]


def _digits(config: PeConfig, count: int | None, execute: Execute, take: Take) -> tuple[str, bool]:
    from vsq.golden.workloads import digits
    from vsq.golden.workloads.pe_network import PeNetwork

    if count is not None and count > digits.TEST_IMAGES:
        raise InputError(f"--images {count}: digits has {digits.TEST_IMAGES} test images; ask for no more")
    data = digits.load()
    element = PeNetwork.of(data.quantize(config.mac).network, config)
    images, labels = data.test_images[:count], data.test_labels[:count]
    outputs: Iterator[tuple[Output, Output]] = zip(element.trace(images, execute), element.trace(images), strict=True)
    for layer, (got, expected) in zip(element.network.layers, outputs, strict=True):
        take(layer.layer.name, got, expected)
    scores = [float(np.mean(element.logits(output).argmax(axis=1) == labels)) for output in (got, expected)]
    return f"accuracy of {len(images)} images {scores[0]:.4f}, golden {scores[1]:.4f}", scores[0] == scores[1]


def _minilm(config: PeConfig, count: int | None, execute: Execute, take: Take) -> tuple[str, bool]:
    from vsq.golden.workloads.pe_minilm import TOKENS, query_projection

    if count is not None:
        raise InputError(f"--images {count}: minilm has {TOKENS} tokens and no images; leave it out")
    projection = query_projection(config)
    streams = plan(config, projection.layer, *projection.inputs.operand())
    got, expected = (
        gather(config, results, TOKENS, len(projection.layer.weights))
        for results in (execute(streams), ProcessingElement(config).run(streams))
    )
    take("layers.0.attention.query", got, expected)
    cosines = []
    for output in (got, expected):
        assert output.codes is not None
        z = output.codes if output.scales is None else output.codes * output.scales[..., None]
        real, values = projection.real.ravel().astype(float), z.reshape(TOKENS, -1).ravel() * projection.unit
        cosines.append(float(real @ values / np.sqrt((real @ real) * (values @ values))))
    return f"cosine to the float layer {cosines[0]:.4f}, golden {cosines[1]:.4f}", cosines[0] == cosines[1]


_WORKLOADS: dict[str, Callable[[PeConfig, int | None, Execute, Take], tuple[str, bool]]] = {
    "digits": _digits,
    "minilm": _minilm,
}
