"""Workloads on the RTL of a processing element (``vsq network``): every integer of every layer compared with golden."""

import time
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.mapping import RAW
from vsq.golden.model.pe import CommandResult, Streams
from vsq.golden.nn.planes.integers import element_of_planes
from vsq.golden.workloads.chain import Chain, ElementChain
from vsq.golden.workloads.workload import load
from vsq.tb.playback.playback import opened
from vsq.tb.simulation.simulators import find


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
        names = ("integers", "wrong", "operands", "cycles")
        table = Table(
            "layer",
            *(Column(name, justify="right") for name in (*names, "lanes busy")),
            title=str(self.config),
            caption=f"{self.note}; {self.seconds:.0f} s: {'pass' if self.passed else 'FAIL'}",
        )
        for layer in self.layers:
            busy = f"{layer.operands / layer.cycles:.1%}"
            table.add_row(layer.name, *(f"{getattr(layer, name):,}" for name in names), busy)
        return table


def run(
    workload: str,
    config: PeConfig,
    *,
    simulator: str = "verilator",
    images: int | None = None,
    split: bool = False,
    console: Console | None = None,
) -> NetworkRun:
    """Run a workload in a simulator and in the golden model.

    Args:
        workload: A name in :data:`vsq.golden.workloads.workload.WORKLOADS`.
        images: Inputs of the workload, images or tokens, the first ones; None means all.
        split: Whether layers run as three planes each (SplitQuant), on the element that
            :func:`vsq.golden.nn.planes.integers.element_of_planes` makes of ``config``, and scores in PyTorch are told.
        console: Where the progress is shown; None shows nothing.
    """
    find(simulator)
    if split:
        element_of_planes(config)  # refuses what it cannot run before the workload is trained
    chain: Chain = replace(load(workload).chain().first(images), split=split)
    element = ElementChain(chain, config)
    start = time.perf_counter()
    layers: list[LayerRun] = []
    costs: dict[str, int] = {}  # of the layer that ran last
    with Progress(console=console or Console(quiet=True), transient=True) as progress:
        bar = progress.add_task(f"{workload}: golden model", total=None)
        golden = list(element.trace())  # first, since it tells what does not fit the element
        progress.update(bar, description=f"{workload}: building the simulation")
        with opened(element.config, simulator) as playback:

            def execute(streams: Streams) -> list[CommandResult]:
                played = playback.play(playback.interface.streams(streams))
                operands = sum(command.rows * command.vectors for command in streams.commands)
                costs.update(operands=operands, cycles=played.cycles)
                return list(playback.interface.decoded(streams.commands, played.results))

            for (name, got), (_, expected) in zip(element.trace(execute), golden, strict=True):
                integers, wrong = _compared(got, expected)
                layers.append(LayerRun(name=name, integers=integers, wrong=wrong, **costs))
                progress.update(bar, description=f"{workload}: {name} done")
    score, right = (chain.score(element.outputs(output)) for output in (got, expected))
    scores = {"": score, "golden": right} | (chain.in_pytorch(config.mac) if split else {})
    named = ", ".join(f"{name} {value:.4f}".strip() for name, value in scores.items())
    return NetworkRun(
        config=element.config,
        layers=layers,
        note=f"{chain.metric} of {len(chain.inputs)} {chain.items} {named}",
        right=score == right,
        seconds=time.perf_counter() - start,
    )


def _compared(got: CommandResult, expected: CommandResult) -> tuple[int, int]:
    """Return how many integers a layer's outputs have, and how many of them are wrong."""
    integers = wrong = 0
    for field in (*RAW, "codes", "scales"):
        ours, golden = getattr(got, field), getattr(expected, field)
        if golden is not None:
            integers += golden.size
            wrong += golden.size if ours is None or ours.shape != golden.shape else int((ours != golden).sum())
    return integers, wrong
