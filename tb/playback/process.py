"""The transport under Verilator: a C++ program that takes packed beats and gives back packed results."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.tb.interface.base import Interface, Streams, length
from vsq.tb.playback import build
from vsq.tb.playback.pace import Pace
from vsq.tb.playback.transport import Played, Transport
from vsq.tb.simulation.simulators import Simulator

_HARNESS = Path(__file__).with_name("harness.cpp")
_OPTIMISED = ("-CFLAGS", "-O2")
_FLAGS = ("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing", *_OPTIMISED)
_WORD_BITS = 32
_LEAST_BITS = 3 * _WORD_BITS  # ports of more than 64 bits are arrays of 32-bit words


class Process(Transport):
    """A running simulation; one build serves every run of the same Verilog."""

    def __init__(self, interface: Interface[Any], simulator: Simulator, verilog: str, folder: Path) -> None:
        super().__init__(interface, simulator, verilog, folder)
        self._slots = [_whole(packed.bits) for packed in interface.inputs.values()]
        result = max(_LEAST_BITS, _whole(interface.output.bits))
        self._result_bytes = result // 8
        sizes = {"word_bits": max(_LEAST_BITS, sum(self._slots)), "result_bits": result}
        self._sources["playback.v"] = self._bench("shell.v", self._slots, "held", **sizes)
        self._sources[_HARNESS.name] = _HARNESS.read_text()
        program = build.compiled(simulator, self._sources, folder, _FLAGS)
        command = [*program, str(interface.idle), *(str(bits // 8) for bits in self._slots)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        """End the simulation."""
        self._process.kill()
        self._process.communicate()

    def send(self, streams: Streams, pace: Pace | None, arguments: Sequence[str], *, fresh: bool) -> None:
        """Let the simulation start."""
        del arguments
        taking = np.array(pace.taking if pace else [], np.uint8)
        counts = [length(streams[stream]) for stream in self._interface.inputs]
        most = self._interface.most_results(streams)
        parts: list[NDArray[Any]] = [np.array([fresh, len(taking), most, pace is not None, *counts], np.uint64)]
        for (stream, packed), bits in zip(self._interface.inputs.items(), self._slots, strict=True):
            words = packed.bytes(streams[stream])
            parts.append(np.pad(words, ((0, 0), (0, bits // 8 - words.shape[1]))))
            parts.append(np.array(pace.pauses[stream] if pace else [], np.uint32))
        assert self._process.stdin
        for part in (*parts, taking):
            self._process.stdin.write(part.tobytes())
        self._process.stdin.flush()

    def receive(self) -> Played:
        """Wait for the results."""
        streams, size = len(self._slots), self._result_bytes
        head = np.frombuffer(self._read((4 + streams) * 8), np.uint64).tolist()
        results, cycles, unstable, microseconds, *sent = head
        raw = self._read(results * size)
        words = (int.from_bytes(raw[start : start + size], "little") for start in range(0, len(raw), size))
        return Played(
            results=[self._interface.output.split(word) for word in words],
            after=np.frombuffer(self._read(results * streams * 8), np.uint64).reshape(results, streams),
            sent=tuple(sent),
            cycles=max(0, cycles - self._interface.idle),
            seconds=microseconds / 1e6,
            unstable=bool(unstable),
        )

    def _read(self, count: int) -> bytes:
        assert self._process.stdout
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise RuntimeError(f"the simulation broke off, exit code {self._process.wait()}")
        return data


def _whole(bits: int) -> int:
    """Return the bits of whole words that hold so many."""
    return -(-bits // _WORD_BITS) * _WORD_BITS
