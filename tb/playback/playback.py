"""Beats through the RTL of any design without Python in the simulation."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vsq.golden.contract.configuration import Configuration
from vsq.hw.emit.design import design
from vsq.tb.designs import environment
from vsq.tb.interface.base import Streams, length, select
from vsq.tb.playback.pace import Pace
from vsq.tb.playback.process import Process
from vsq.tb.playback.text import Texts
from vsq.tb.playback.transport import Played, Transport
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.base import Scoreboard
from vsq.tb.simulation import simulators

_BLOCK = 1 << 16  # beats
_TRANSPORTS: dict[str, type[Transport]] = {"verilator": Process, "icarus": Texts}


@dataclass(frozen=True, kw_only=True)
class Totals:
    """A whole run: the board that compared it, clock cycles, and CPU seconds of the simulation alone."""

    board: Any
    cycles: int
    seconds: float


class PlaybackError(AssertionError):
    """A failure that :func:`check` detected; ``streams`` are the beats that led to it."""

    def __init__(self, message: str, streams: Streams) -> None:
        super().__init__(message)
        self.streams = streams


class Playback:
    """The RTL of one configuration, ready to run; leaving the ``with`` block ends it.

    Args:
        config: The configuration.
        simulator: ``verilator`` or ``icarus``.
        verilog: A design to play instead of the generated one; its top module is :data:`vsq.tb.regression.job.TOP`.
        arguments: Of Icarus's simulation, for designs that read them.

    Raises:
        InputError: If the simulator is missing or too old.
        RuntimeError: If the Verilog does not compile.
    """

    def __init__(
        self,
        config: Configuration,
        simulator: str = "verilator",
        *,
        verilog: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.arguments = arguments
        self.interface: Any = environment(config).interface(config)
        tool = simulators.find(simulator)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsq-playback-")))
            text = verilog or design(config).verilog(TOP)
            self._transport = _TRANSPORTS[simulator](self.interface, tool, text, folder)
            stack.callback(self._transport.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Playback":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def play(self, streams: Streams, pace: Pace | None = None, *, fresh: bool = True) -> Played:
        """Play beats and return what comes out until nothing moves any more.

        Args:
            streams: Any number of beats of each stream.
            pace: When the streams pause; None for never.
            fresh: Whether to start a design that was just reset; else, under Verilator alone, the last run goes on.

        Raises:
            RuntimeError: If the simulation breaks.
        """
        self.send(streams, pace, fresh=fresh)
        return self.receive()

    def send(self, streams: Streams, pace: Pace | None = None, *, fresh: bool = True) -> None:
        """Do the first half of :meth:`play`: under Verilator, let the simulation start."""
        self._transport.send(streams, pace, self.arguments, fresh=fresh)

    def receive(self) -> Played:
        """Do the second half of :meth:`play`: wait for the results."""
        return self._transport.receive()


def play(
    config: Configuration,
    streams: Streams,
    pace: Pace | None = None,
    *,
    simulator: str = "verilator",
    verilog: str | None = None,
    context: str = "playback",
) -> Totals:
    """Play streams from reset, and compare every result; under Verilator the model runs beside the simulation.

    Args:
        config: The configuration.
        streams: The beats, of any number.
        pace: When the streams pause; None for never.
        simulator, verilog: As for :class:`Playback`.
        context: What a report of a mismatch starts with.

    Raises:
        PlaybackError: If a result is not the golden model's; the message decodes the beats that led to it.
        InputError, RuntimeError: As :class:`Playback`.
    """
    board, cycles, seconds = environment(config).scoreboard(config, context, covered=False), 0, 0.0
    total = max(map(length, streams.values()))
    in_blocks = len(streams) == 1 and pace is None and simulator == "verilator"
    size = _BLOCK if in_blocks else max(1, total)
    with Playback(config, simulator, verilog=verilog) as playback:
        for start in range(0, total, size):
            block = _cut(streams, start, start + size)
            playback.send(block, pace, fresh=start == 0)
            board.on_beats(block)
            played = playback.receive()
            try:
                check(board, block, played)
            except AssertionError as error:
                begin = playback.interface.start_of(streams, start)
                raise PlaybackError(str(error), _cut(streams, begin, start + size)) from None
            cycles, seconds = cycles + played.cycles, seconds + played.seconds
    return Totals(board=board, cycles=cycles, seconds=seconds)


def check(board: Scoreboard, streams: Streams, played: Played) -> None:
    """Compare what came out of beats, which the board has already seen.

    Raises:
        AssertionError: If a result is wrong, early, missing or too many, a waiting one changed, or a beat was not
            accepted.
    """
    board.compare_all(played.results, played.after.tolist())
    assert not played.unstable, f"{board.context}: a result changed while it waited"
    for sent, (stream, columns) in zip(played.sent, streams.items(), strict=True):
        assert sent == length(columns), f"{board.context}: {sent} of {length(columns)} {stream} beats were accepted"
    assert board.complete, f"{board.context}: {board.results} of {board.expected} results came"


def _cut(streams: Streams, start: int, end: int) -> Streams:
    """Return the beats of these places of each stream."""
    return select(streams, {stream: np.arange(start, min(end, length(columns))) for stream, columns in streams.items()})
