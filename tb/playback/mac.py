"""Beats through the RTL of a vector MAC without Python in the simulation: a C++ bench under Verilator.

The bench (``harness.cpp``) is a process that takes packed beats in blocks, the words of :mod:`vsq.tb.vectors.mac` in
binary, and gives back packed results. One build serves every run of a configuration.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.tb.agents.pe_words import Words
from vsq.tb.playback import build
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.mac import Scoreboard
from vsq.tb.simulation import simulators
from vsq.tb.vectors.mac import connections, packed_beats

_HARNESS = Path(__file__).with_name("harness.cpp")
_FLAGS = (
    "--cc",
    "--exe",
    "--build",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "-CFLAGS",
    "-O2",
    "--no-timing",
)
_BLOCK = 1 << 16  # beats
_WORD_BYTES = 4
_LEAST_WORDS = 3  # ports of more than 64 bits are arrays of 32-bit words

_BENCH = """module playback(input clk, input rst, input valid, input ready, input [{beat_high}:0] beat,
  output in_ready, output out_valid, output [{result_high}:0] result);
  reg dut_rst, in_valid, out_ready;
  reg [{beat_high}:0] beat_word;
  wire [{payload_high}:0] result_word;
  assign result = {{{{{result_high}-{payload_high}{{1'b0}}}}, result_word}};
  always @(posedge clk) begin
    dut_rst <= rst;
    in_valid <= valid;
    out_ready <= ready;
    beat_word <= beat;
  end
  {top} dut(.clk(clk), .rst(dut_rst), .in_valid(in_valid), .in_ready(in_ready), .out_valid(out_valid),
    .out_ready(out_ready),
    {payload});
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The cycles in which beats are offered and results taken.

    Parameters
    ----------
    pauses
        Cycles before each beat in which none is offered, [B].
    taking
        Whether results are taken, for each cycle from the first one on; after these they are.
    """

    pauses: NDArray[Any]
    taking: NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Played:
    """The output of a playback: the words of each result, and for each the number of beats accepted up to then."""

    results: list[Words]
    after: NDArray[np.uint64]
    sent: int
    cycles: int
    seconds: float  # of CPU in the simulation alone
    unstable: bool  # a waiting result changed


@dataclass(frozen=True, kw_only=True)
class Totals:
    """A whole stream: the board that compared it, clock cycles, and CPU seconds of the simulation alone."""

    board: Scoreboard
    cycles: int
    seconds: float


class PlaybackError(AssertionError):
    """A failure that :func:`check` detected; ``beats`` are those that led to it, from a ``first`` on."""

    def __init__(self, message: str, beats: slice) -> None:
        super().__init__(message)
        self.beats = beats


class Playback:
    """The RTL of one configuration, running; leaving the ``with`` block ends it.

    Parameters
    ----------
    config
        The vector MAC.
    verilog
        A design to play instead of the generated one; its top module is :data:`vsq.tb.regression.job.TOP`.

    Raises
    ------
    InputError
        If Verilator is missing or too old.
    RuntimeError
        If the Verilog does not compile.
    """

    def __init__(self, config: MacConfig, verilog: str | None = None) -> None:
        self._config = config
        payload, beat_bits, result_bits = connections(config, "beat_word", "result_word")
        self._beat_bytes, self._result_bytes = (
            max(_LEAST_WORDS, -(-bits // (8 * _WORD_BYTES))) * _WORD_BYTES for bits in (beat_bits, result_bits)
        )
        bench = _BENCH.format(
            beat_high=8 * self._beat_bytes - 1,
            result_high=8 * self._result_bytes - 1,
            payload_high=result_bits - 1,
            top=TOP,
            payload=",\n    ".join(payload),
        )
        verilog = verilog or design(config).verilog(TOP)
        sources = {"playback.v": bench, "dut.v": verilog, _HARNESS.name: _HARNESS.read_text()}
        with tempfile.TemporaryDirectory(prefix="vsq-playback-") as folder:  # a program that runs needs no file
            command = build.compiled(simulators.find("verilator"), sources, Path(folder), _FLAGS)
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Playback":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def play(self, beats: Beats, pace: Pace | None = None, *, fresh: bool = True) -> Played:
        """Play beats and return what comes out until nothing moves any more.

        Parameters
        ----------
        beats
            Any number of them.
        pace
            When the streams pause; None for never.
        fresh
            Whether to start a design that was just reset; else the last run goes on.
        """
        self.send(beats, pace, fresh=fresh)
        return self.receive()

    def send(self, beats: Beats, pace: Pace | None = None, *, fresh: bool = True) -> None:
        """Do the first half of :meth:`play`: let the simulation start."""
        words = np.zeros((len(beats), self._beat_bytes), np.uint8)
        packed = packed_beats(self._config, beats)
        words[:, : packed.shape[1]] = packed
        pauses = np.array(pace.pauses if pace else [], np.uint32)
        taking = np.array(pace.taking if pace else [], np.uint8)
        head = np.array([fresh, len(beats), len(pauses) > 0, len(taking)], np.uint64)
        assert self._process.stdin
        for part in (head, words, pauses, taking):
            self._process.stdin.write(part.tobytes())
        self._process.stdin.flush()

    def receive(self) -> Played:
        """Do the second half of :meth:`play`: wait for the results."""
        results, sent, cycles, unstable, microseconds = np.frombuffer(self._read(5 * 8), np.uint64).tolist()
        raw, size, bits = self._read(results * self._result_bytes), self._result_bytes, self._config.acc_bits
        words = [int.from_bytes(raw[start : start + size], "little") for start in range(0, len(raw), size)]
        mask = (1 << bits) - 1
        return Played(
            results=[(word & mask, word >> bits) for word in words],
            after=np.frombuffer(self._read(results * 8), np.uint64),
            sent=sent,
            cycles=cycles,
            seconds=microseconds / 1e6,
            unstable=bool(unstable),
        )

    def _read(self, count: int) -> bytes:
        assert self._process.stdout
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise RuntimeError(f"the simulation of {self._config} broke off, exit code {self._process.wait()}")
        return data


def play(
    config: MacConfig,
    beats: Beats,
    pace: Pace | None = None,
    *,
    verilog: str | None = None,
    context: str = "playback",
) -> Totals:
    """Play a stream from reset, and compare every result; the model runs beside the simulation.

    Parameters
    ----------
    config
        The vector MAC.
    beats
        The stream, of any length.
    pace
        When the streams pause; None for never.
    verilog
        A design to play instead of the generated one.
    context
        What a report of a mismatch starts with.

    Raises
    ------
    PlaybackError
        If a result is not the golden model's; the message decodes the beats that led to it.
    InputError, RuntimeError
        As :class:`Playback`.
    """
    board, cycles, seconds = Scoreboard(config, context), 0, 0.0
    size = len(beats) if pace else _BLOCK
    with Playback(config, verilog) as design:
        for start in range(0, len(beats), size):
            block = beats.select(slice(start, start + size))
            design.send(block, pace, fresh=start == 0)
            board.on_beats(block)
            played = design.receive()
            try:
                check(board, block, played)
            except AssertionError as error:
                starts = np.flatnonzero(beats.first[: start + 1])
                raise PlaybackError(str(error), slice(int(starts[-1]) if len(starts) else 0, start + size)) from None
            cycles, seconds = cycles + played.cycles, seconds + played.seconds
    return Totals(board=board, cycles=cycles, seconds=seconds)


def check(board: Scoreboard, beats: Beats, played: Played) -> None:
    """Compare what came out of beats, which the board has already seen.

    Raises
    ------
    AssertionError
        If a result is wrong, early, missing or too many, a waiting one changed, or a beat was not accepted.
    """
    for words in played.results:
        board.on_result(words)
    board.check()
    early = np.flatnonzero(played.after <= np.flatnonzero(beats.last)[: len(played.results)])
    assert not len(early), f"{board.context}: result {early[0] + 1} of the block came before its last beat"
    assert not played.unstable, f"{board.context}: a result changed while it waited"
    assert played.sent == len(beats), f"{board.context}: {played.sent} of {len(beats)} beats were accepted"
    assert board.results == board.expected, f"{board.context}: {board.results} of {board.expected} results came"
