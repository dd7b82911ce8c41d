"""The transport under Icarus: text files, one word a line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.model.packing import Words
from vsq.tb.interface.base import DONT_CARE, Interface, Streams, length
from vsq.tb.playback import build
from vsq.tb.playback.pace import Pace
from vsq.tb.playback.transport import Played, Transport
from vsq.tb.simulation.simulators import Simulator

_SOURCE = """  source #(.WIDTH({bits}), .FILE("{stream}.txt")) {stream}_source(.clk(clk), .rst(rst),
    .ready(accepts[{i}]), .valid(offers[{i}]), .word(words[{low}+:{bits}]), .sent(sent[{counter}+:32]));
"""


class Texts(Transport):
    """A simulation that runs anew for each playback."""

    def __init__(self, interface: Interface[Any], simulator: Simulator, verilog: str, folder: Path) -> None:
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

    def send(self, streams: Streams, pace: Pace | None, arguments: Sequence[str], *, fresh: bool) -> None:
        """Write the streams."""
        assert fresh, "under Icarus every run starts from a reset"
        for stream, packed in self._interface.inputs.items():
            pauses = pace.pauses[stream].tolist() if pace else [0] * length(streams[stream])
            words = map(packed.join, packed.words(streams[stream]))
            lines = [f"{pause} {word:x}\n" for pause, word in zip(pauses, words, strict=True)]
            (self._folder / f"{stream}.txt").write_text("".join(lines))
        taking = pace.taking.astype(int).tolist() if pace else []
        (self._folder / "taking.txt").write_text("".join(f"{take}\n" for take in taking))
        self._run = [*self._command, f"+most={self._interface.most_results(streams)}", *arguments]

    def receive(self) -> Played:
        """Simulate, and read the results."""
        build.call(self._simulator, self._run, self._folder)
        lines = [line.split() for line in (self._folder / "results.txt").read_text().splitlines()]
        if not lines:
            raise RuntimeError("the simulation broke off")
        *results, (cycles, unstable, *sent) = lines
        return Played(
            results=[self._fields(payload) for payload, *_ in results],
            after=np.array([counts for _, *counts in results], np.uint64).reshape(len(results), len(sent)),
            sent=tuple(map(int, sent)),
            cycles=max(0, int(cycles) - self._interface.idle),
            unstable=unstable != "0",
        )

    def _fields(self, payload: str) -> Words:
        """Return the fields of a result in binary."""
        bits, output = payload[::-1], self._interface.output
        texts = [bits[low : low + output.widths[name]][::-1] for name, low in output.low.items()]
        return tuple(int(text, 2) if set(text) <= {"0", "1"} else DONT_CARE for text in texts)
