"""Transports of a playback: how beats come to the simulation of a design, and results from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vsq.golden.model.packing import Words, slices
from vsq.tb.interface.base import Interface, Streams
from vsq.tb.playback.pace import Pace
from vsq.tb.regression.job import TOP
from vsq.tb.simulation.simulators import Simulator
from vsq.tb.templates import filled


@dataclass(frozen=True, kw_only=True)
class Played:
    """The output of a playback.

    Args:
        results: The words of each result, undefined ones as :data:`vsq.tb.interface.base.DONT_CARE`.
        after: For each result the beats of each stream accepted since the reset.
        sent: The beats of each stream accepted in all.
        cycles, seconds: Clock cycles until nothing moves any more, and CPU time of the simulation alone, which Icarus
            does not tell.
        unstable: Whether a waiting result changed.
    """

    results: list[Words]
    after: NDArray[Any]
    sent: tuple[int, ...]
    cycles: int
    seconds: float = 0.0
    unstable: bool


class Transport(ABC):
    """A simulation of a design in a folder, whose Verilog is ``verilog``."""

    def __init__(self, interface: Interface[Any], simulator: Simulator, verilog: str, folder: Path) -> None:
        self._interface, self._simulator, self._folder = interface, simulator, folder
        self._sources = {"dut.v": verilog}

    @abstractmethod
    def send(self, streams: Streams, pace: Pace | None, arguments: Sequence[str], *, fresh: bool) -> None:
        """Start a run."""

    @abstractmethod
    def receive(self) -> Played:
        """Wait for the end of the run."""

    @abstractmethod
    def close(self) -> None:
        """End the simulation."""

    def _bench(self, template: str, slots: Sequence[int], words: str, **values: object) -> str:
        """Return the bench around the design; the words of its streams stand in slots of so many bits of ``words``."""
        interface, ports, low = self._interface, [], 0
        for i, ((stream, packed), bits) in enumerate(zip(interface.inputs.items(), slots, strict=True)):
            ports += [f".{stream}_valid(offers[{i}])", f".{stream}_ready(accepts[{i}])"]
            ports += slices({f"{stream}_{name}": width for name, width in packed.widths.items()}, words, low)
            low += bits
        result, output = interface.result, interface.output
        ports += [f".{result}_valid(out_valid)", f".{result}_ready(taking)"]
        ports += slices({f"{result}_{name}": width for name, width in output.widths.items()}, "payload")
        return filled(
            Path(__file__).with_name(template),
            streams=len(slots),
            payload_bits=output.bits,
            top=TOP,
            ports=",\n    ".join(ports),
            **values,
        )
