"""The model that the input monitor feeds, and the in-order comparison of every result with it."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.golden.model.datapath import State, Trace, mac
from vsq.golden.model.packing import unpack
from vsq.golden.stimulus.stream import Beats
from vsq.tb.agents.pe_words import Words
from vsq.tb.agents.streams import beat_fields

_CHECK_EVERY = 256  # results; the model runs on whole chunks of beats
_REPORTED_BEATS = 8


@dataclass(frozen=True)
class _Chunk:
    """Beats that the model has seen, numbered from ``start``, and all that it computed."""

    start: int
    beats: Beats
    trace: Trace


class Scoreboard:
    """Compares results with the golden model.

    Parameters
    ----------
    config
        The vector MAC.
    context
        What a mismatch report starts with: it names the run, seed included.
    observe
        Is handed all accepted beats, chunk by chunk, with what the model computed.

    Attributes
    ----------
    context
        As given.
    beats, expected, results
        Accepted beats, those of them marked ``last``, and results seen.
    compared
        Beats up to the last one whose result has been compared.
    directions
        How often the model's accumulator overflowed: ``directions[1]`` above its range, ``directions[-1]`` below.
    """

    def __init__(
        self, config: MacConfig, context: str, observe: Callable[[Beats, Trace], None] = lambda beats, trace: None
    ) -> None:
        self._config, self.context = config, context
        self._observe = observe
        self._acc_bits, self._flagged = config.acc_bits, config.overflow == Overflow.SATURATE
        self._state = State()
        self._pending: list[Words] = []
        self._history: deque[_Chunk] = deque()
        self._due: deque[tuple[int, int, bool]] = deque()  # beat, acc, overflow
        self._seen: deque[Words] = deque()
        self.beats = self.expected = self.results = self.compared = 0
        self.directions: Counter[int] = Counter()

    def on_beat(self, words: Words) -> None:
        """Take an accepted beat from the input monitor."""
        self._pending.append(words)
        self.beats += 1
        self.expected += words[-1]

    def on_beats(self, beats: Beats) -> None:
        """Take accepted beats all at once."""
        self._evaluate()
        self.beats += len(beats)
        self.expected += int(beats.last.sum())
        self._model(beats)

    def on_result(self, words: Words) -> None:
        """Take an accepted result from the output monitor."""
        self._seen.append(words)
        self.results += 1
        if self.results > self.expected:
            raise AssertionError(f"{self.context}: result {self.results} came before its last beat: {words}")
        if len(self._seen) >= _CHECK_EVERY:
            self.check()

    def check(self) -> None:
        """Compare every result so far.

        Raises
        ------
        AssertionError
            If one differs; the message decodes the beats that led to it.
        """
        self._evaluate()
        checked = self.results - len(self._seen)
        while self._seen:
            beat, acc, overflow = self._due.popleft()
            words, checked = self._seen.popleft(), checked + 1
            got = words[0] - (words[0] >> (self._acc_bits - 1) << self._acc_bits)
            flag = bool(words[1]) if self._flagged else overflow
            if (got, flag) != (acc, overflow):
                raise AssertionError(
                    f"{self.context}: result {checked} (beat {beat}) is wrong\n"
                    f"  got      acc {got} overflow {flag:d}\n"
                    f"  expected acc {acc} overflow {overflow:d}\n" + self._decode(beat)
                )
            self.compared = beat + 1
        oldest = self._due[0][0] if self._due else self.beats
        while len(self._history) > 1 and self._history[1].start <= oldest - _REPORTED_BEATS:
            self._history.popleft()

    def _evaluate(self) -> None:
        """Run the model on the pending beats."""
        if not self._pending:
            return
        config = self._config
        columns: dict[str, tuple[int, ...]] = dict(
            zip(beat_fields(config), zip(*self._pending, strict=True), strict=True)
        )
        beats = Beats(
            weights=unpack(columns["weights"], config.weight, config.vector_size),
            activations=unpack(columns["activations"], config.activation, config.vector_size),
            weight_scales=np.array(columns["weight_scale"]) if config.weight_scale else None,
            activation_scales=np.array(columns["activation_scale"]) if config.activation_scale else None,
            first=np.array(columns["first"], np.bool_),
            last=np.array(columns["last"], np.bool_),
        )
        self._pending.clear()
        self._model(beats)

    def _model(self, beats: Beats) -> None:
        """Run the model on the latest beats."""
        result = mac(self._config, **vars(beats), state=self._state, trace=True)
        assert result.trace is not None
        start = self.beats - len(beats)
        ends = (np.flatnonzero(beats.last) + start).tolist()
        self._due.extend(zip(ends, result.acc.tolist(), result.overflow.tolist(), strict=True))
        self.directions.update(result.trace.direction.tolist())
        self._history.append(_Chunk(start, beats, result.trace))
        self._state = result.state
        self._observe(beats, result.trace)

    def _decode(self, end: int) -> str:
        """Describe the beats that led to the result of beat ``end``, back to ``first`` or as many as fit a report."""
        lines: list[str] = []
        for number in range(end, max(-1, end - _REPORTED_BEATS), -1):
            chunk = next(chunk for chunk in reversed(self._history) if chunk.start <= number)
            i, beats, trace = number - chunk.start, chunk.beats, chunk.trace
            marks = " first" * bool(beats.first[i]) + " last" * bool(beats.last[i])
            scales = [
                f" {name}={column[i]}"
                for name, column in (("sw", beats.weight_scales), ("sa", beats.activation_scales))
                if column is not None
            ]
            values = [f" {name}={getattr(trace, name)[i]}" for name in ("d", "p", "r", "t", "acc")]
            lines[:0] = [
                f"  beat {number}{marks}:{''.join(scales + values)} overflow={int(trace.overflow[i])}",
                f"    w = {beats.weights[i].tolist()}",
                f"    a = {beats.activations[i].tolist()}",
            ]
            if beats.first[i]:
                break
        else:
            if end >= _REPORTED_BEATS:
                lines.insert(0, "  (earlier beats are left out)")
        return "\n".join(lines)
