"""Workloads on the RTL of a processing element (``vsq network``): every integer of every layer compared with golden."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import CommandResult, Streams
from vsq.golden.workloads.chain import Chain, ElementChain
from vsq.golden.workloads.workload import load
from vsq.tb.playback.playback import opened
from vsq.tb.playback.transports import Transport
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
    console: Console | None = None,
) -> NetworkRun:
    """Run a workload in a simulator and in the golden model.

    Args:
        workload: A name in :data:`vsq.golden.workloads.workload.WORKLOADS`.
        config: The element.
        simulator: ``verilator`` or ``icarus``.
        images: Inputs of the workload, images or tokens, the first ones; None means all.
        console: Where the progress is shown; None shows nothing.

    Raises:
        InputError: If there is no such workload, it does not fit the element, or something that it needs is missing.
    """
    find(simulator)
    chain: Chain = load(workload).chain().first(images)
    element = ElementChain(chain, config)
    start = time.perf_counter()
    with (
        ExitStack() as stack,
        Progress(console=console or Console(quiet=True), transient=True) as progress,
    ):
        bar = progress.add_task(f"{workload}: building the simulation", total=None)
        observed = _Observed(lambda: stack.enter_context(opened(config, simulator)))
        layers = []
        for (name, got), (_, expected) in zip(element.trace(observed.execute), element.trace(), strict=True):
            layers.append(observed.layer(name, got, expected))
            progress.update(bar, description=f"{workload}: {name} done")
    score, golden = (chain.score(element.outputs(output)) for output in (got, expected))
    note = f"{chain.metric} of {len(chain.inputs)} {chain.items} {score:.4f}, golden {golden:.4f}"
    return NetworkRun(
        config=config, layers=layers, note=note, right=score == golden, seconds=time.perf_counter() - start
    )


class _Observed:
    """A playback, built for the first commands, and the operands and cycles since the last layer."""

    def __init__(self, build: Callable[[], Transport]) -> None:
        self._build, self._operands, self._cycles = build, 0, 0

    @cached_property
    def _playback(self) -> Transport:
        return self._build()

    def execute(self, streams: Streams) -> list[CommandResult]:
        """Run the commands."""
        self._operands += sum(command.rows * command.vectors for command in streams.commands)
        interface = self._playback.interface
        played = self._playback.play(interface.streams(streams))
        self._cycles += played.cycles
        return list(interface.decoded(streams.commands, played.results))

    def layer(self, name: str, got: CommandResult, expected: CommandResult) -> LayerRun:
        """Compare a layer's outputs."""
        integers = wrong = 0
        for field in FIELDS:
            ours, golden = getattr(got, field), getattr(expected, field)
            if golden is not None:
                integers += golden.size
                wrong += golden.size if ours is None or ours.shape != golden.shape else int((ours != golden).sum())
        cycles, operands, self._cycles, self._operands = self._cycles, self._operands, 0, 0
        return LayerRun(name=name, integers=integers, wrong=wrong, operands=operands, cycles=cycles)
