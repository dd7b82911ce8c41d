"""Transports of a playback: how beats come to the simulation of a design, and results from it."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.model.packing import Words
from vsq.tb.interface.base import DONT_CARE, Interface, Streams, connections, length
from vsq.tb.interface.pace import Pace
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import build
from vsq.tb.simulation.simulators import Simulator
from vsq.tb.templates import filled

_FLAGS = ("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing")
_WORD_BITS = 32
_LEAST_BITS = 3 * _WORD_BITS  # ports of more than 64 bits are arrays of 32-bit words
_SOURCE = """  source #(.WIDTH({bits}), .FILE("{stream}.txt")) {stream}_source(.clk(clk), .rst(rst),
    .ready(accepts[{i}]), .valid(offers[{i}]), .word(words[{low}+:{bits}]), .sent(sent[{counter}+:32]));
"""


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
    """A simulation, in a folder, of a design whose Verilog is ``verilog``."""

    def __init__(self, interface: Interface, simulator: Simulator, verilog: str, folder: Path) -> None:
        self.interface: Any = interface
        self._simulator, self._folder = simulator, folder
        self._sources = {"dut.v": verilog}

    def play(self, streams: Streams, pace: Pace | None = None, *, fresh: bool = True) -> Played:
        """Play any number of beats of each stream and return what comes out until nothing moves any more.

        Args:
            streams, pace: The beats, and when they pause; None for never.
            fresh: Whether to start a design that was just reset; else, under Verilator alone, the last run goes on.
        """
        self.send(streams, pace, fresh=fresh)
        return self.receive()

    @abstractmethod
    def send(self, streams: Streams, pace: Pace | None, *, fresh: bool) -> None:
        """Do the first half of :meth:`play`: under Verilator, let the simulation start."""

    @abstractmethod
    def receive(self) -> Played:
        """Do the second half of :meth:`play`: wait for the results."""

    @abstractmethod
    def close(self) -> None:
        """End the simulation."""

    def _bench(self, template: str, slots: Sequence[int], words: str, **values: object) -> str:
        """Return the bench around the design; the words of its streams stand in slots of so many bits of ``words``."""
        interface, ports, low = self.interface, [], 0
        for i, ((stream, layout), bits) in enumerate(zip(interface.inputs.items(), slots, strict=True)):
            ports += connections(f"{stream}_", layout, f"offers[{i}]", f"accepts[{i}]", words, low)
            low += bits
        ports += connections(f"{interface.result}_", interface.output, "out_valid", "taking", "payload")
        return filled(
            Path(__file__).with_name(template),
            streams=len(slots),
            payload_bits=interface.output.bits,
            top=TOP,
            ports=",\n    ".join(ports),
            **values,
        )


class Process(Transport):
    """Verilator's: a running C++ program that takes packed beats and gives packed results.

    One build serves every run of the same Verilog.
    """

    def __init__(self, interface: Interface, simulator: Simulator, verilog: str, folder: Path) -> None:
        super().__init__(interface, simulator, verilog, folder)
        *self._slots, result = (
            -(-layout.bits // _WORD_BITS) * _WORD_BITS for layout in (*interface.inputs.values(), interface.output)
        )
        self._result_bytes = max(_LEAST_BITS, result) // 8
        sizes = {"word_bits": max(_LEAST_BITS, sum(self._slots)), "result_bits": max(_LEAST_BITS, result)}
        self._sources["playback.v"] = self._bench("shell.v", self._slots, "held", **sizes)
        self._sources["harness.cpp"] = Path(__file__).with_name("harness.cpp").read_text()
        program = build.compiled(simulator, self._sources, folder, _FLAGS)
        self._command = [*program, str(interface.idle), *(str(bits // 8) for bits in self._slots)]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._played = False

    def close(self) -> None:
        """End the simulation."""
        self._process.kill()
        self._process.communicate()

    def send(self, streams: Streams, pace: Pace | None, *, fresh: bool) -> None:
        """Let the simulation start, a new one if it is to be fresh: the design may have no reset."""
        if fresh and self._played:
            self.close()
            self._start()
        self._played = True
        taking = np.array(pace.taking if pace else [], np.uint8)
        counts = [length(streams[stream]) for stream in self.interface.inputs]
        head = [fresh, len(taking), self.interface.most_results(streams), pace is not None, *counts]
        parts: list[NDArray[Any]] = [np.array(head, np.uint64)]
        for (stream, layout), bits in zip(self.interface.inputs.items(), self._slots, strict=True):
            words = layout.bytes(streams[stream])
            parts.append(np.pad(words, ((0, 0), (0, bits // 8 - words.shape[1]))))
            parts.append(np.array(pace.pauses[stream] if pace else [], np.uint32))
        assert self._process.stdin
        self._process.stdin.writelines(part.tobytes() for part in (*parts, taking))
        self._process.stdin.flush()

    def receive(self) -> Played:
        """Wait for the results."""
        streams, size = len(self._slots), self._result_bytes
        results, cycles, unstable, microseconds, *sent = np.frombuffer(
            self._read((4 + streams) * 8), np.uint64
        ).tolist()
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
        assert self._process.stdout
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise RuntimeError(f"the simulation broke off, exit code {self._process.wait()}")
        return data


class Texts(Transport):
    """Icarus's: text files, one word a line; it runs anew for each playback.

    Attributes:
        arguments: Of the simulation, for designs that read them.
    """

    arguments: Sequence[str] = ()

    def __init__(self, interface: Interface, simulator: Simulator, verilog: str, folder: Path) -> None:
        super().__init__(interface, simulator, verilog, folder)
        slots = [packed.bits for packed in interface.inputs.values()]
        sources = "".join(
            _SOURCE.format(bits=bits, stream=stream, i=i, low=sum(slots[:i]), counter=32 * i)
            for i, (stream, bits) in enumerate(zip(interface.inputs, slots, strict=True))
        )
        settings = {"word_bits": sum(slots), "idle": interface.idle, "sources": sources}
        self._sources["playback.v"] = self._bench("text.v", slots, "words", **settings)
        self._command = build.compiled(simulator, self._sources, folder)

    def close(self) -> None:
        """Do nothing: every run has ended."""

    def send(self, streams: Streams, pace: Pace | None, *, fresh: bool) -> None:
        """Write the streams."""
        assert fresh, "under Icarus every run starts from a reset"
        for stream, packed in self.interface.inputs.items():
            pauses = pace.pauses[stream].tolist() if pace else [0] * length(streams[stream])
            words = map(packed.join, packed.words(streams[stream]))
            lines = [f"{pause} {word:x}\n" for pause, word in zip(pauses, words, strict=True)]
            (self._folder / f"{stream}.txt").write_text("".join(lines))
        taking = pace.taking.astype(int).tolist() if pace else []
        (self._folder / "taking.txt").write_text("".join(f"{take}\n" for take in taking))
        self._most = self.interface.most_results(streams)

    def receive(self) -> Played:
        """Simulate, and read the results."""
        build.call(self._simulator, [*self._command, f"+most={self._most}", *self.arguments], self._folder)
        lines = [line.split() for line in (self._folder / "results.txt").read_text().splitlines()]
        if not lines:
            raise RuntimeError("the simulation broke off")
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
