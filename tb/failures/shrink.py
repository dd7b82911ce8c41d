"""Shrinks a failing stream of beats to a minimal one, which still fails in the C++ playback.

Whole runs of beats are dropped first, larger ones before smaller; then hypothesis, which starts from what is left,
drops single beats and simplifies pauses, marks and codes towards 0. The playback takes thousands of candidates in
seconds.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.base import Format
from vsq.golden.formats.integer import IntFormat
from vsq.golden.stimulus.stream import Beats
from vsq.tb.playback.mac import Pace, Playback, check
from vsq.tb.scoreboard.mac import Scoreboard

_EXAMPLES = 3000
_LONGEST_PAUSE = 64
_FEW_BEATS = 4
_SMALL_SCALE = 31  # the largest that pairs of scales are tried to


@dataclass(frozen=True, kw_only=True)
class Minimal:
    """A stream that fails, and how."""

    beats: Beats
    pace: Pace | None
    failure: str
    tried: int  # candidates

    def bursts(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the pauses of sending and of taking as bursts (cycles of pause, transfers or cycles of activity)."""
        if self.pace is None:
            return [], []
        taking, pause = [], 0
        for take, cycles in groupby(self.pace.taking.tolist()):
            count = len(list(cycles))
            if take:
                taking.append((pause, count))
            pause = 0 if take else count
        return [(int(pause), 1) for pause in self.pace.pauses], taking + [(pause, 1)] * (pause > 0)


def shrink(config: MacConfig, beats: Beats, pace: Pace | None, verilog: str) -> Minimal | None:
    """Return a minimal stream that fails as this one does, or None if this one does not fail.

    Parameters
    ----------
    config
        The vector MAC.
    beats, pace
        The stream.
    verilog
        The design, whose module is :data:`vsq.tb.regression.job.TOP`.

    Raises
    ------
    InputError
        If hypothesis or Verilator is missing.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise InputError(f"shrinking: hypothesis, which drives it, is not installed; {install('hypothesis')}")
    with Playback(config, verilog) as design:
        return _Search(config, design).minimal(beats, pace)


class _Search:
    """Candidates played by one design."""

    def __init__(self, config: MacConfig, design: Playback) -> None:
        self._config, self._design = config, design
        self.tried = 0

    def failure(self, beats: Beats, pace: Pace | None) -> str:
        """Return how a candidate fails; empty if it does not."""
        self.tried += 1
        board = Scoreboard(self._config, "minimal sequence")
        board.on_beats(beats)
        try:
            check(board, beats, self._design.play(beats, pace))
        except AssertionError as error:
            return str(error)
        return ""

    def minimal(self, beats: Beats, pace: Pace | None) -> Minimal | None:
        """Return the minimal stream, or None if this one does not fail."""
        if not self.failure(beats, pace):
            return None
        if pace and self.failure(beats, None):
            pace = None
        beats, pace = self._without_runs(beats, pace)
        beats, pace = self._simplified(beats, self._trimmed(beats, pace) if pace else None)
        beats = self._with_least_scales(beats, pace)
        return Minimal(beats=beats, pace=pace, failure=self.failure(beats, pace), tried=self.tried)

    def _without_runs(self, beats: Beats, pace: Pace | None) -> tuple[Beats, Pace | None]:
        """Drop halves, quarters and so on, as long as the rest fails."""
        size = len(beats) // 2
        while size:
            start = len(beats)  # from the end, where a failure is often the last thing that matters
            while start > 0:
                start = max(0, start - size)
                kept = np.delete(np.arange(len(beats)), slice(start, start + size))
                if not len(kept):
                    continue
                fewer = beats.select(kept), Pace(pauses=pace.pauses[kept], taking=pace.taking) if pace else None
                fewer[0].last[-1] = True  # or what the last beats do cannot be seen
                if self.failure(*fewer):
                    beats, pace = fewer
            size //= 2
        return beats, pace

    def _trimmed(self, beats: Beats, pace: Pace) -> Pace:
        """Forget for which cycles results are taken after the first that matter, or as many again."""
        length = 1
        while length < len(pace.taking):
            shorter = replace(pace, taking=pace.taking[:length])
            if self.failure(beats, shorter):
                return shorter
            length *= 2
        return pace

    def _simplified(self, beats: Beats, pace: Pace | None) -> tuple[Beats, Pace | None]:
        """Let hypothesis minimise what fails, starting from this stream."""
        from hypothesis import HealthCheck, Phase, find, settings, strategies
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
        from hypothesis.errors import NoSuchExample, Unsatisfiable

        cycles = 0 if pace is None else self._design.play(beats, pace).cycles
        taking = [] if pace is None else pace.taking[:cycles].tolist()
        fields = list(self._fields(beats))
        forms = [form for _, form, _ in fields]

        @strategies.composite
        def streams(draw: Any) -> tuple[Beats, Pace | None]:
            stalls = [draw(strategies.booleans()) for _ in taking]
            kept, pauses, rows = [], [], []
            for _ in range(len(beats)):
                kept.append(draw(strategies.booleans()))
                pauses.append(draw(strategies.integers(0, _LONGEST_PAUSE)) if pace else 0)
                places = [draw(strategies.integers(_place(form, form.min), _place(form, form.max))) for form in forms]
                rows.append(list(map(_at, forms, places)))
            chosen = np.flatnonzero(kept)
            stream = self._beats(np.array(rows)[chosen], fields)
            if not any(stalls) and not any(pauses):
                return stream, None
            return stream, Pace(pauses=np.array(pauses)[chosen], taking=~np.array(stalls, np.bool_))

        choices: list[Any] = [not take for take in taking]
        rows = np.concatenate(
            [np.reshape(column, (len(beats), -1)) for column in vars(beats).values() if column is not None], 1
        )
        for number, row in enumerate(rows.tolist()):
            choices += [True, *([min(int(pace.pauses[number]), _LONGEST_PAUSE)] if pace else [])]
            choices += map(_place, forms, row)
        database = InMemoryExampleDatabase()
        database.save(b"failure", choices_to_bytes([*choices, 0]))  # one too many, or it is taken for minimal
        options = settings(
            database=database,
            max_examples=_EXAMPLES,
            phases=[Phase.reuse, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        try:
            smaller: tuple[Beats, Pace | None] = find(
                streams(),
                lambda stream: len(stream[0]) > 0 and bool(self.failure(*stream)),
                settings=options,
                database_key=b"failure",
            )
        except (NoSuchExample, Unsatisfiable):  # a longer pause, or more numbers, than hypothesis takes
            return beats, pace
        return smaller

    def _with_least_scales(self, beats: Beats, pace: Pace | None) -> Beats:
        """Give each of a few beats the pair of small scales with the least product that fails.

        No single step of hypothesis may lead there: two roundings differ for some products alone.
        """
        if len(beats) > _FEW_BEATS or beats.weight_scales is None or beats.activation_scales is None:
            return beats
        weights, activations = beats.weight_scales.copy(), beats.activation_scales.copy()
        ranges = [range(min(scales.max(), _SMALL_SCALE) + 1) for scales in (weights, activations)]
        pairs = sorted(product(*ranges), key=lambda pair: (pair[0] * pair[1], *pair))
        for beat in range(len(beats)):
            kept = weights[beat], activations[beat]
            for pair in pairs:
                if pair[0] * pair[1] >= int(kept[0]) * int(kept[1]):
                    weights[beat], activations[beat] = kept
                    break
                weights[beat], activations[beat] = pair
                if self.failure(replace(beats, weight_scales=weights, activation_scales=activations), pace):
                    break
            else:
                weights[beat], activations[beat] = kept
        return replace(beats, weight_scales=weights, activation_scales=activations)

    def _fields(self, beats: Beats) -> Iterator[tuple[str, Format, int]]:
        """Yield name, format and lane of each number of a beat, in the order of its columns."""
        config, mark = self._config, IntFormat(bits=1, signed=False)
        forms = {
            "weights": config.weight,
            "activations": config.activation,
            "weight_scales": config.weight_scale,
            "activation_scales": config.activation_scale,
        }
        for name, column in vars(beats).items():
            if column is not None:
                for lane in range(column.shape[1] if column.ndim == 2 else 1):
                    yield name, forms.get(name) or mark, lane

    def _beats(self, rows: Any, fields: list[tuple[str, Format, int]]) -> Beats:
        """Return the beats of rows of numbers."""
        columns: dict[str, Any] = {"weight_scales": None, "activation_scales": None}
        for name in dict.fromkeys(name for name, _, _ in fields):
            places = [place for place, (other, _, _) in enumerate(fields) if other == name]
            column = rows[:, places] if len(rows) else np.zeros((0, len(places)), np.int64)
            columns[name] = column if name in ("weights", "activations") else column[:, 0]
        columns |= {name: columns[name].astype(np.bool_) for name in ("first", "last")}
        return Beats(**columns)


def _place(form: Format, value: Any) -> int:
    """Return a value's place among those of its format, counted from 0's: hypothesis shrinks towards it."""
    return form.values.index(int(value)) - form.values.index(0)


def _at(form: Format, place: int) -> int:
    """Return the value at a place."""
    return form.values[form.values.index(0) + place]
