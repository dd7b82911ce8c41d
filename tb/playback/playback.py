"""Beats through the RTL of any design without Python in the simulation.

Under Verilator a C++ program (``harness.cpp``) takes packed beats in blocks from standard input and gives back packed
results; one build serves every run of a configuration. Icarus reads and writes text files (``text.v``).
"""

import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.configuration import Configuration
from vsq.golden.model.packing import Words, slices
from vsq.hw.emit.design import design
from vsq.tb.designs import environment
from vsq.tb.interface.base import DONT_CARE, Streams, length, select
from vsq.tb.playback import build
from vsq.tb.playback.pace import Pace
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.base import Scoreboard
from vsq.tb.simulation import simulators
from vsq.tb.templates import filled

_HARNESS = Path(__file__).with_name("harness.cpp")
_OPTIMISED = ("-CFLAGS", "-O2")
_FLAGS = ("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", *_OPTIMISED)
_BLOCK = 1 << 16  # beats
_SLOT_BYTES = 4
_LEAST_BYTES = 12  # ports of more than 64 bits are arrays of 32-bit words


@dataclass(frozen=True, kw_only=True)
class Played:
    """The output of a playback.

    Parameters
    ----------
    results
        The words of each result, undefined ones as :data:`vsq.tb.interface.base.DONT_CARE`.
    after
        For each result the beats of each stream accepted since the reset.
    sent
        The beats of each stream accepted in all.
    cycles, seconds
        Clock cycles until nothing moves any more, and CPU time of the simulation alone, which Icarus does not tell.
    unstable
        Whether a waiting result changed.
    """

    results: list[Words]
    after: NDArray[Any]
    sent: tuple[int, ...]
    cycles: int
    seconds: float = 0.0
    unstable: bool


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

    Parameters
    ----------
    config
        The configuration.
    simulator
        ``verilator`` or ``icarus``.
    verilog
        A design to play instead of the generated one; its top module is :data:`vsq.tb.regression.job.TOP`.
    arguments
        Of Icarus's simulation, for designs that read them.

    Raises
    ------
    InputError
        If the simulator is missing or too old.
    RuntimeError
        If the Verilog does not compile.
    """

    def __init__(
        self,
        config: Configuration,
        simulator: str = "verilator",
        *,
        verilog: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self._config, self.arguments = config, arguments
        self.interface: Any = environment(config).interface(config)
        self._simulator = simulators.find(simulator)
        sources = {"dut.v": verilog or design(config).verilog(TOP)}
        self._process: subprocess.Popen[bytes] | None = None
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsq-playback-")))
            if simulator == "icarus":
                sources["playback.v"] = self._text_bench()
                self._command = build.compiled(self._simulator, sources, self._folder)
            else:
                self._slots, self._result_bytes, sources["playback.v"] = self._shell()
                sources[_HARNESS.name] = _HARNESS.read_text()
                program = build.compiled(self._simulator, sources, self._folder, _FLAGS)
                command = [*program, str(self.interface.idle), *map(str, self._slots)]
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Playback":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._stack.close()

    def play(self, streams: Streams, pace: Pace | None = None, *, fresh: bool = True) -> Played:
        """Play beats and return what comes out until nothing moves any more.

        Parameters
        ----------
        streams
            Any number of beats of each stream.
        pace
            When the streams pause; None for never.
        fresh
            Whether to start a design that was just reset; else, under Verilator alone, the last run goes on.

        Raises
        ------
        RuntimeError
            If the simulation breaks.
        """
        self.send(streams, pace, fresh=fresh)
        return self.receive()

    def send(self, streams: Streams, pace: Pace | None = None, *, fresh: bool = True) -> None:
        """Do the first half of :meth:`play`: under Verilator, let the simulation start."""
        most = self.interface.most_results(streams)
        if self._process is None:
            self._write_texts(streams, pace)
            self._run = [*self._command, f"+most={most}", *self.arguments]
            return
        taking = np.array(pace.taking if pace else [], np.uint8)
        counts = [length(streams[stream]) for stream in self.interface.inputs]
        parts: list[NDArray[Any]] = [np.array([fresh, len(taking), most, pace is not None, *counts], np.uint64)]
        for (stream, packed), slot in zip(self.interface.inputs.items(), self._slots, strict=True):
            words = packed.bytes(streams[stream])
            parts.append(np.pad(words, ((0, 0), (0, slot - words.shape[1]))))
            parts.append(np.array(pace.pauses[stream] if pace else [], np.uint32))
        assert self._process.stdin
        for part in (*parts, taking):
            self._process.stdin.write(part.tobytes())
        self._process.stdin.flush()

    def receive(self) -> Played:
        """Do the second half of :meth:`play`: wait for the results."""
        if self._process is None:
            build.call(self._simulator, self._run, self._folder)
            return self._read_texts()
        streams, size = len(self._slots), self._result_bytes
        head = np.frombuffer(self._read((4 + streams) * 8), np.uint64).tolist()
        results, cycles, unstable, microseconds, *sent = head
        raw = self._read(results * size)
        words = (int.from_bytes(raw[start : start + size], "little") for start in range(0, len(raw), size))
        return Played(
            results=[self.interface.output.split(word) for word in words],
            after=np.frombuffer(self._read(results * streams * 8), np.uint64).reshape(results, streams),
            sent=tuple(sent),
            cycles=max(0, cycles - self.interface.idle),
            seconds=microseconds / 1e6,
            unstable=bool(unstable),
        )

    def _read(self, count: int) -> bytes:
        assert self._process
        assert self._process.stdout
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise RuntimeError(f"the simulation of {self._config} broke off, exit code {self._process.wait()}")
        return data

    def _shell(self) -> tuple[list[int], int, str]:
        """Return the bytes of each stream's slot and of a result, and the Verilog around the design."""
        slots = [-(-packed.bits // (8 * _SLOT_BYTES)) * _SLOT_BYTES for packed in self.interface.inputs.values()]
        payload = self.interface.output.bits
        result = max(_LEAST_BYTES, -(-payload // (8 * _SLOT_BYTES)) * _SLOT_BYTES)
        text = filled(
            Path(__file__).with_name("shell.v"),
            streams=len(slots),
            word_bits=8 * max(_LEAST_BYTES, sum(slots)),
            payload_bits=payload,
            result_bits=8 * result,
            top=TOP,
            ports=self._ports("held", slots, "taking"),
        )
        return slots, result, text

    def _text_bench(self) -> str:
        sources = "".join(
            f'  wire [{packed.bits - 1}:0] {stream}_word;\n  source #(.WIDTH({packed.bits}), .FILE("{stream}.txt"))\n'
            f"    {stream}_source(.clk(clk), .rst(rst), .ready(accepts[{i}]), .valid(offers[{i}]),\n"
            f"      .word({stream}_word), .sent(sent[{32 * i}+:32]));\n"
            for i, (stream, packed) in enumerate(self.interface.inputs.items())
        )
        return filled(
            Path(__file__).with_name("text.v"),
            streams=len(self.interface.inputs),
            payload_bits=self.interface.output.bits,
            idle=self.interface.idle,
            sources=sources,
            top=TOP,
            ports=self._ports("", None, "taking"),
        )

    def _ports(self, words: str, slots: Sequence[int] | None, ready: str) -> str:
        """Return the connections of the design: payloads are slots of ``words``, or else words of their own."""
        ports, low = [], 0
        for i, (stream, packed) in enumerate(self.interface.inputs.items()):
            widths = {f"{stream}_{name}": width for name, width in packed.widths.items()}
            ports += [f".{stream}_valid(offers[{i}])", f".{stream}_ready(accepts[{i}])"]
            ports += slices(widths, words or f"{stream}_word", low)
            low += 8 * slots[i] if slots else 0
        result = self.interface.result
        ports += [f".{result}_valid(out_valid)", f".{result}_ready({ready})"]
        ports += slices({f"{result}_{name}": width for name, width in self.interface.output.widths.items()}, "payload")
        return ",\n    ".join(ports)

    def _write_texts(self, streams: Streams, pace: Pace | None) -> None:
        folder = self._folder
        for stream, packed in self.interface.inputs.items():
            pauses = pace.pauses[stream].tolist() if pace else [0] * length(streams[stream])
            words = map(packed.join, packed.words(streams[stream]))
            lines = [f"{pause} {word:x}\n" for pause, word in zip(pauses, words, strict=True)]
            (folder / f"{stream}.txt").write_text("".join(lines))
        taking = pace.taking.astype(int).tolist() if pace else []
        (folder / "taking.txt").write_text("".join(f"{take}\n" for take in taking))

    def _read_texts(self) -> Played:
        lines = [line.split() for line in (self._folder / "results.txt").read_text().splitlines()]
        if not lines:
            raise RuntimeError(f"the simulation of {self._config} broke off")
        *results, (cycles, unstable, *sent) = lines
        return Played(
            results=[self._fields(payload) for payload, *_ in results],
            after=np.array([counts for _, *counts in results], np.uint64).reshape(len(results), len(sent)),
            sent=tuple(map(int, sent)),
            cycles=max(0, int(cycles) - self.interface.idle),
            unstable=unstable != "0",
        )

    def _fields(self, payload: str) -> Words:
        """Return the fields of a result in binary."""
        bits, output = payload[::-1], self.interface.output
        texts = [bits[low : low + output.widths[name]][::-1] for name, low in output.low.items()]
        return tuple(int(text, 2) if set(text) <= {"0", "1"} else DONT_CARE for text in texts)


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

    Parameters
    ----------
    config
        The configuration.
    streams
        The beats, of any number.
    pace
        When the streams pause; None for never.
    simulator, verilog
        As for :class:`Playback`.
    context
        What a report of a mismatch starts with.

    Raises
    ------
    PlaybackError
        If a result is not the golden model's; the message decodes the beats that led to it.
    InputError, RuntimeError
        As :class:`Playback`.
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

    Raises
    ------
    AssertionError
        If a result is wrong, early, missing or too many, a waiting one changed, or a beat was not accepted.
    """
    board.compare_all(played.results, played.after.tolist())
    assert not played.unstable, f"{board.context}: a result changed while it waited"
    for sent, (stream, columns) in zip(played.sent, streams.items(), strict=True):
        assert sent == length(columns), f"{board.context}: {sent} of {length(columns)} {stream} beats were accepted"
    assert board.complete, f"{board.context}: {board.results} of {board.expected} results came"


def _cut(streams: Streams, start: int, end: int) -> Streams:
    """Return the beats of these places of each stream."""
    return select(streams, {stream: np.arange(start, min(end, length(columns))) for stream, columns in streams.items()})
