"""Beats through the RTL of any design without Python in the simulation."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.pe_config import Configuration
from vsq.tb.designs import environment
from vsq.tb.interface.base import Streams, length, select
from vsq.tb.interface.pace import Pace
from vsq.tb.playback.transports import Played, Process, Texts, Transport
from vsq.tb.regression.shell import generated
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


@contextmanager
def opened(config: Configuration, simulator: str = "verilator", *, verilog: str | None = None) -> Iterator[Transport]:
    """Build the RTL of a configuration, and give what plays it.

    ``verilog`` is a design to play instead of the generated one; its top module is :data:`vsq.tb.regression.job.TOP`.

    Raises:
        InputError: If the simulator is missing or too old.
        RuntimeError: If the Verilog does not compile.
    """
    tool, interface = simulators.find(simulator), environment(config).interface(config)
    with tempfile.TemporaryDirectory(prefix="vsq-playback-") as folder:
        rtl = verilog or generated(config)
        with closing(_TRANSPORTS[simulator](interface, tool, rtl, Path(folder))) as transport:
            yield transport


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
        config, simulator, verilog: As for :func:`opened`.
        streams, pace: The beats, and when they pause; None for never.
        context: What a report of a mismatch starts with.

    Raises:
        PlaybackError: If a result is not the golden model's; the message decodes the beats that led to it.
    """
    board, cycles, seconds = environment(config).scoreboard(config, context, covered=False), 0, 0.0
    total = max(map(length, streams.values()))
    in_blocks = len(streams) == 1 and pace is None and simulator == "verilator"
    size = _BLOCK if in_blocks else max(1, total)
    with opened(config, simulator, verilog=verilog) as playback:
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
    """Assert that what came out of beats, which the board has already seen, is right, in time, stable and complete."""
    for words, after in zip(played.results, played.after.tolist(), strict=True):
        board.on_result(words, after)
    assert not played.unstable, f"{board.context}: a result changed while it waited"
    for sent, (stream, columns) in zip(played.sent, streams.items(), strict=True):
        assert sent == length(columns), f"{board.context}: {sent} of {length(columns)} {stream} beats were accepted"
    assert board.complete, f"{board.context}: {board.results} of {board.expected} results came"


def _cut(streams: Streams, start: int, end: int) -> Streams:
    """Return the beats of these places of each stream."""
    return select(streams, {stream: np.arange(start, min(end, length(columns))) for stream, columns in streams.items()})
