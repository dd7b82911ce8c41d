"""Monitored traffic of a vector MAC between two resets, the pace that its pipeline must keep, and coverage points of
its handshakes: stalls, bubbles, starvation and resets at each filling of the pipeline.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig, Reset
from vsq.golden.model.datapath import Trace, mac
from vsq.golden.stimulus.stream import Beats, concatenate
from vsq.golden.stimulus.stream import beats as stimulus
from vsq.tb.coverage.points import Bins, Point
from vsq.tb.interface.pace import READY, VALID

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """The control information of a vector: whether a result follows, and whether it changes any data register."""

    last: bool
    active: bool = True


class Pipeline:
    """The pace that ``vsq.hw.mac.pipeline`` promises, and ``vsq.hw.emit.skid`` in front of it if there is one.

    Stages 0 .. D-1 hold vectors and stage D a result; each loads when it is empty or moves on. A skid buffer holds a
    vector that was accepted and stage 0 did not load, and none is accepted meanwhile.
    """

    def __init__(self, config: MacConfig) -> None:
        self._stages: list[Marks | None] = [None] * (config.pipeline + 1)
        self._skid, self._registered = list[Marks](), config.registered_ready

    @property
    def filled(self) -> list[bool]:
        """Whether the skid buffer, if any, and each of the stages 0 .. D holds a vector, the last one a result."""
        return [bool(self._skid)] * self._registered + [marks is not None for marks in self._stages]

    def ready(self, taking: bool) -> bool:
        """Return whether a vector is accepted while ``out_ready`` is ``taking``."""
        return not self._skid if self._registered else self._free(taking)[0]

    def _free(self, taking: bool) -> list[bool]:
        """Return whether each of the stages 0 .. D loads what comes while ``out_ready`` is ``taking``."""
        filled = [marks is not None for marks in self._stages]
        moves = accumulate(reversed(filled), lambda next_moves, filled: next_moves or not filled, initial=taking)
        return list(moves)[:0:-1]

    def loads(self, offered: Marks | None, taking: bool) -> list[bool]:
        """Return the enables of the data registers of stages 0 .. D."""
        entering, *_ = [*self._skid, offered]
        coming = zip(self._free(taking), [entering, *self._stages[:-1]], strict=True)
        return [free and bool(marks and marks.active) for free, marks in coming]

    def clock(self, offered: Marks | None, taking: bool) -> None:
        """Pass a clock edge."""
        free, (entering, *_) = self._free(taking), [*self._skid, offered]
        self._skid = [entering] if self._registered and entering and not free[0] else []
        coming = zip(free, [entering, *self._stages[:-1]], self._stages, strict=True)
        *self._stages, last = (new if moves else old for moves, new, old in coming)
        self._stages.append(last if last and last.last else None)


class Traffic:
    """Accepted beats, what the golden model computed of them, and the handshakes of C cycles; by default none at all.

    Args:
        config: The vector MAC.
        chunks: Accepted beats with the model's intermediate values, to be joined as ``beats`` and ``trace``.
        compared: How many of the beats precede a result that was compared, its own included.
        inputs, outputs: Handshake of each cycle, as :class:`vsq.tb.bench.agents.Monitor` logs it.
        reset: Whether a reset ended it.
    """

    def __init__(
        self,
        config: MacConfig,
        chunks: Iterable[tuple[Beats, Trace]] = (),
        *,
        compared: int = 0,
        inputs: bytes | bytearray = b"",
        outputs: bytes | bytearray = b"",
        reset: bool = False,
    ) -> None:
        self.config, self.compared, self.reset = config, compared, reset
        self.inputs, self.outputs = (np.frombuffer(bytes(log), np.uint8) for log in (inputs, outputs))
        nothing = stimulus(config, 1, seed=0).select(slice(0))
        beats, traces = zip((nothing, mac(config, **vars(nothing), trace=True).trace), *chunks, strict=True)
        self.beats = concatenate(beats)
        self.trace = Trace(*map(np.concatenate, zip(*(vars(part).values() for part in traces), strict=True)))

    @cached_property
    def seen(self) -> Flags:
        """Whether a compared result depends on the beat: its accumulation has one at or after it, [B].

        One that is invalid depends on nothing but that.
        """
        return self._before_a_result(~self.trace.invalid)

    @cached_property
    def accumulated(self) -> Flags:
        """Whether a result that was compared comes after the beat in its accumulation, or with it, [B]."""
        return self._before_a_result(np.ones(len(self.beats), np.bool_))

    def _before_a_result(self, counts: Flags) -> Flags:
        """Return whether a compared result that counts comes after the beat in its accumulation, or with it, [B]."""
        count = self.compared
        number, first, last = np.arange(count), self.beats.first[:count], (self.beats.last & counts)[:count]
        next_last = np.minimum.accumulate(np.where(last, number, count)[::-1])[::-1]
        next_first = np.minimum.accumulate(np.where(first, number, count)[::-1])[::-1]
        seen = np.zeros(len(self.beats), np.bool_)
        seen[:count] = (next_last < count) & (next_last < np.append(next_first[1:], count))
        return seen

    @cached_property
    def live(self) -> Flags:
        """Whether a compared result depends on the whole dot product of the beat, [B].

        The factor r is not 0 either, and the term neither loses bits below a window nor is beyond it.
        """
        places = self.trace.places
        live: Flags = self.seen & (self.trace.r != 0) & (places >= 0) & (places < self.config.acc_bits)
        return live

    @cached_property
    def scaled(self) -> Flags:
        """Whether a compared result depends on the beat's scales: the dot product is not 0 either, [B]."""
        exposed = self.trace.d != 0
        if self.config.dual_precision:  # a scale of 0 makes d 0
            exposed = ((self.beats.weights != 0) & (self.beats.activations != 0)).any(axis=1)
        scaled: Flags = self.seen & exposed
        return scaled

    @cached_property
    def base(self) -> NDArray[Any]:
        """The value that the beat's term was added to, [B]."""
        return np.where(self.beats.first, 0, previous(self.trace.acc))

    @cached_property
    def filled(self) -> Flags:
        """Whether each place of :class:`Pipeline` holds a vector: [C+1, places], before each cycle and at the end.

        Reconstructed from the pins by the rule of :class:`Pipeline`.

        Raises:
            AssertionError: If the pins do not follow the rule: a stall that is not due, or a result too early or too
                late.
        """
        pipeline, marks = Pipeline(self.config), iter(self.beats.last.tolist())
        history = [pipeline.filled]
        for cycle, (given, taken) in enumerate(zip(self.inputs.tolist(), self.outputs.tolist(), strict=True)):
            taking = bool(taken & READY)
            pins, due = (bool(given & READY), bool(taken & VALID)), (pipeline.ready(taking), pipeline.filled[-1])
            if pins != due:
                raise AssertionError(
                    f"cycle {cycle}: in_ready {pins[0]:d}, out_valid {pins[1]:d} where a pipeline of "
                    f"{self.config.pipeline} stages before the result has {due[0]:d}, {due[1]:d}"
                )
            pipeline.clock(Marks(next(marks)) if given == VALID | READY else None, taking)
            history.append(pipeline.filled)
        return np.array(history, np.bool_)


def previous(column: NDArray[Any]) -> NDArray[Any]:
    """Return the value one place before each; 0 before the first, as after reset."""
    return np.concatenate([np.zeros_like(column[:1]), column[:-1]])


def _places(config: MacConfig) -> list[str]:
    """Return the names of the places of :class:`Pipeline`."""
    return ["skid buffer"] * config.registered_ready + [f"stage {stage}" for stage in range(config.pipeline + 1)]


def _by_filling(cycles: Any, traffic: Traffic, least: int) -> Bins:
    """Return a bin for each number of filled places from the least possible: a waiting result itself fills one."""
    filled, most = traffic.filled[:-1].sum(axis=1), len(_places(traffic.config))
    return {f"{count} filled": cycles & (filled == count) for count in range(least, most + 1)}


def _stage_stalls(traffic: Traffic) -> Bins:
    """Vectors that cannot move on: their place and all after it are full, and the result is not taken."""
    stalled = np.logical_and.accumulate(traffic.filled[:-1, ::-1], axis=1)[:, ::-1]
    stalled &= (traffic.outputs == VALID)[:, None]
    return {name: stalled[:, place] for place, name in enumerate(_places(traffic.config))}


def _bubbles(traffic: Traffic) -> Bins:
    closed = ~traffic.filled[:-1] & traffic.filled[1:] & (traffic.outputs == VALID)[:, None]
    return {name: closed[:, place] for place, name in enumerate(_places(traffic.config)[:-1])}


def _transfers(traffic: Traffic) -> Bins:
    taken, waiting = traffic.outputs == VALID | READY, traffic.outputs == VALID
    stages = traffic.filled[:-1, traffic.config.registered_ready :]
    entered = (traffic.inputs == VALID | READY) & stages.all(axis=1)
    return {
        "at once": taken & ~previous(waiting),
        "after a wait": taken & previous(waiting),
        "in successive cycles": taken & previous(taken),
        "through the full pipeline": taken & entered,
    }


def _resets(traffic: Traffic) -> Bins:
    if traffic.config.reset == Reset.NONE:
        return {}
    filled = traffic.filled[-1].sum() if traffic.reset else None
    return {f"{count} filled": int(filled == count) for count in range(len(_places(traffic.config)) + 1)}


HANDSHAKES: tuple[Point[Traffic], ...] = (
    Point(
        "cp_input_stalls",
        "a beat waits at a full pipeline",
        lambda traffic: _by_filling(traffic.inputs == VALID, traffic, len(_places(traffic.config))),
    ),
    Point(
        "cp_output_stalls",
        "a result waits, at each number of filled stages",
        lambda traffic: _by_filling(traffic.outputs == VALID, traffic, 1),
    ),
    Point("cp_stage_stalls", "a vector waits in each stage", _stage_stalls),
    Point("cp_bubbles", "each empty stage is filled while a result waits", _bubbles),
    Point(
        "cp_starvation",
        "no beat is offered, at each number of filled stages",
        lambda traffic: _by_filling((traffic.inputs & VALID) == 0, traffic, 0),
    ),
    Point(
        "cp_transfers", "results taken at once, after a wait, in succession, and through a full pipeline", _transfers
    ),
    Point("cp_resets", "a reset at each number of filled stages", _resets),
)
