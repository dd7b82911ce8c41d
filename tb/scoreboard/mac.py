"""The scoreboard of the vector MAC."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import State, Trace, mac
from vsq.golden.model.packing import Words
from vsq.golden.stimulus.stream import Beats, complete
from vsq.tb.coverage.traffic import Traffic
from vsq.tb.interface.base import Streams, length
from vsq.tb.interface.mac import MacInterface
from vsq.tb.scoreboard.base import Due, Scoreboard

_REPORTED_BEATS = 8


class MacScoreboard(Scoreboard):
    """Compares the results of a vector MAC.

    Attributes:
        directions: How often the model's accumulator overflowed: ``directions[1]`` above its range, ``directions[-1]``
            below.
    """

    interface = MacInterface
    sources = ("beat",)

    def __init__(self, config: MacConfig, context: str, *, covered: bool = True) -> None:
        super().__init__(config, context, covered=covered)
        self._state, self._evaluated = State(), 0
        # The number of the first beat, beats, and all that the model computed; those of the next results due at least.
        self._chunks: deque[tuple[int, Beats, Trace]] = deque()
        self.directions: Counter[int] = Counter()

    def stimulus(self, count: int, seed: int) -> Beats:
        """Return random vectors that reach the corners."""
        return complete(self._config, count, seed)

    def on_beat(self, stream: str, words: Words) -> None:
        """Take an accepted beat, and count the result that it gives."""
        super().on_beat(stream, words)
        self.expected += words[-1] == 1

    def on_beats(self, streams: Streams) -> None:
        """Take accepted beats at once."""
        self.evaluate()
        self.beats["in"] += length(streams["in"])
        beats = self._interface.stimulus(streams)
        self.expected += int(beats.last.sum())
        self._model(beats)

    def evaluate(self) -> None:
        """Run the model on the pending beats."""
        if pending := self._pending["in"]:
            self._model(self._interface.stimulus({"in": self._interface.inputs["in"].columns(pending)}))
            pending.clear()

    def _model(self, beats: Beats) -> None:
        result = mac(self._config, **vars(beats), state=self._state, trace=True)
        assert result.trace is not None
        self._chunks.append((self._evaluated, beats, result.trace))
        ends = (np.flatnonzero(beats.last) + self._evaluated).tolist()
        words = zip(self._interface.results(result), ends, strict=True)
        self._due.extend(Due(result, (end + 1,), (end,)) for result, end in words)
        self.directions.update(result.trace.direction.tolist())
        self._state, self._evaluated = result.state, self._evaluated + len(beats)
        oldest = self._due[0].source[0] if self._due else self._evaluated
        while not self._covered and len(self._chunks) > 1 and self._chunks[1][0] <= oldest - _REPORTED_BEATS:
            self._chunks.popleft()

    @property
    def counts(self) -> Mapping[str, int]:
        """Beats, results, and overflows above and below the range."""
        above, below = (self.directions[direction] for direction in (1, -1))
        return {"beats": self.beats["in"], "results": self.results, "above": above, "below": below}

    def traffic(self, logs: Mapping[str, bytes | bytearray], *, reset: bool) -> Traffic:
        """Return the beats, their traces and the handshakes."""
        chunks = [(beats, trace) for _, beats, trace in self._chunks]
        inputs, outputs, compared = logs["in"], logs["out"], self.compared.after[0] if self.compared else 0
        return Traffic(self._config, chunks, compared=compared, inputs=inputs, outputs=outputs, reset=reset)

    def describe(self, due: Due) -> list[str]:
        """Return the beats that led to a result, back to ``first`` or as many as fit a report."""
        lines: list[str] = []
        [end] = due.source
        for number in range(end, max(-1, end - _REPORTED_BEATS), -1):
            start, beats, trace = next(chunk for chunk in reversed(self._chunks) if chunk[0] <= number)
            lines[:0] = beat_lines(f"beat {number}", beats, trace, number - start, self._config.flags)
            if beats.first[number - start]:
                return lines
        return ["  (earlier beats are left out)"] * (end >= _REPORTED_BEATS) + lines


def beat_lines(name: str, beats: Beats, trace: Trace, i: int, flags: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a report on beat ``i``: operands, and each value that the model computes from them."""
    marks = " first" * bool(beats.first[i]) + " last" * bool(beats.last[i])
    scales = {"sw": beats.weight_scales, "sa": beats.activation_scales, "offset": beats.offsets}
    values = {key: column[i] for key, column in scales.items() if column is not None}
    values |= {key: getattr(trace, key)[i] for key in ("d", "p", "r", "t", "acc")}
    shown = "".join(f" {key}={value}" for key, value in values.items())
    flags = "".join(f" {flag}={int(getattr(trace, flag)[i])}" for flag in flags)
    yield f"  {name}{marks}:{shown}{flags}"
    yield f"    w = {beats.weights[i].tolist()}"
    yield f"    a = {beats.activations[i].tolist()}"
