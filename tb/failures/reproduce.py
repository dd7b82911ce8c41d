"""Replays a recorded failure with waves, and shrinks it to streams that still fail: ``vsq regress --reproduce FILE``.

To shrink, whole runs of transactions (vectors, or commands with what they load) are dropped first, larger ones before
smaller; then hypothesis, which starts from what is left, drops single ones and simplifies pauses, marks, sizes and
codes towards 0. The C++ playback takes thousands of candidates in seconds.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, configuration
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording, rtl_hash
from vsq.tb.interface.base import Span, Streams, length, select
from vsq.tb.interface.pace import Pace
from vsq.tb.playback.playback import check, opened
from vsq.tb.playback.transports import Transport
from vsq.tb.regression.dut import Dut
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.run import run
from vsq.tb.regression.shell import generated

Number = tuple[str, str, Any, Sequence[int], int]  # stream, field, place, possible values and value

_EXAMPLES = 3000
_LONGEST_PAUSE = 64
_FEW_BEATS = 4
_SMALL_FACTOR = 31  # the largest that pairs of factors are tried to


def reproduce(path: Path, *, out: Path, console: Console, files: Sequence[Path] = (), top: str | None = None) -> int:
    """Replay a recording, record its waves if it fails, and shrink it; return 1 if it fails, else 0.

    The design is what :meth:`vsq.tb.regression.dut.Dut.read` makes of ``files``; without them the Verilog that stands
    beside the recording, or else the generated one. ``out`` receives what :func:`vsq.tb.regression.run.run` writes; the
    run's folder also ``minimal.npz``, a recording of the shrunk streams.

    Raises:
        InputError: If the file is no recording, ``files`` are no such design, or a tool is missing.
    """
    recording = Recording.load(path)
    config, beside = configuration(recording.config), path.with_name(f"{TOP}.v")
    _check(recording, config, path)
    if files:
        verilog = Dut.read(config, files, top).verilog
    else:
        verilog = beside.read_text() if beside.exists() else generated(config)
    same = "the same RTL as" if rtl_hash(verilog) == recording.rtl else "another RTL than"
    console.print(f"{recording.config}: {recording.size} recorded beats, seed {recording.seed}, {same} recorded")
    job = Job(
        config=recording.config,
        simulator=recording.simulator,
        seed=recording.seed,
        playback=str(path.resolve()),
        verilog=verilog,
    )
    summary = run([job], workers=1, out=out, console=console)
    if summary.passed:
        return 0
    try:
        minimal, reason = (
            shrink(config, recording.streams, recording.pace(), verilog),
            "it does not fail in the C++ playback",
        )
    except InputError as error:
        minimal, reason = None, str(error)
    if minimal is None:
        console.print(f"not shrunk: {reason}")
        return 1
    sending, taking = minimal.pace.bursts() if minimal.pace else ({}, [])
    smaller = replace(recording, streams=minimal.streams, sending=sending, taking=taking)
    smaller.save(kept := summary.folder / "minimal.npz")
    console.print(
        f"\nshrunk from {recording.size} beats to {smaller.size} in {minimal.tried} runs: {kept}\n"
        f"pauses: {'needed' if minimal.pace else 'none'}\n{escape(minimal.failure)}",
        soft_wrap=True,
    )
    return 1


def _check(recording: Recording, config: Configuration, path: Path) -> None:
    """Refuse streams that are not those of the configuration."""
    stream = ""
    try:
        for stream, layout in environment(config).interface(config).inputs.items():
            layout.words(recording.streams[stream])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: no recording of {recording.config} (stream {stream}: {type(error).__name__} {error}); "
            "give the failure.npz of a failed job"
        ) from None


@dataclass(frozen=True)
class Candidate:
    """Streams and their pauses; of minimal ones also how they fail, and how many candidates led there."""

    streams: Streams
    pace: Pace | None
    failure: str = ""
    tried: int = 0


def shrink(config: Configuration, streams: Streams, pace: Pace | None, verilog: str) -> Candidate | None:
    """Return minimal streams that fail as these do in a design, or None if these do not fail.

    Raises:
        InputError: If hypothesis or Verilator is missing.
    """
    if importlib.util.find_spec("hypothesis") is None:
        raise InputError(f"shrinking: hypothesis, which drives it, is not installed; {install('hypothesis')}")
    with opened(config, verilog=verilog) as playback:
        search, candidate = _Search(config, playback), Candidate(streams, pace)
        if not search.failure(candidate):
            return None
        if pace and search.failure(unpaced := Candidate(streams, None)):
            candidate = unpaced
        for step in (search.without_runs, search.trimmed, search.simplified, search.with_least_factors):
            candidate = step(candidate)
        return replace(candidate, failure=search.failure(candidate), tried=search.tried)


class _Search:
    """Candidates played by one design."""

    def __init__(self, config: Configuration, playback: Transport) -> None:
        self._config, self._playback = config, playback
        self._interface = playback.interface
        self.tried = 0

    def failure(self, candidate: Candidate) -> str:
        """Return how a candidate fails; empty if it does not."""
        self.tried += 1
        board = environment(self._config).scoreboard(self._config, "minimal sequence", covered=False)
        board.on_beats(candidate.streams)
        try:
            check(board, candidate.streams, self._playback.play(candidate.streams, candidate.pace))
        except AssertionError as error:
            return str(error)
        return ""

    def _chosen(self, candidate: Candidate, spans: Sequence[Span]) -> Candidate | None:
        """Return the transactions with a result at the end, or None if they make no streams."""
        places, pace = self._interface.chosen(candidate.streams, spans), candidate.pace
        if places is None:
            return None
        if pace:
            pace = replace(pace, pauses={stream: pauses[places[stream]] for stream, pauses in pace.pauses.items()})
        return Candidate(self._interface.closed(select(candidate.streams, places)), pace)

    def without_runs(self, candidate: Candidate) -> Candidate:
        """Drop halves, quarters and so on, as long as the rest fails."""
        spans = self._interface.transactions(candidate.streams)
        size = len(spans) // 2
        while size:
            start = len(spans)  # from the end, where a failure is often the last thing that matters
            while start > 0:
                start = max(0, start - size)
                fewer = self._chosen(candidate, spans[:start] + spans[start + size :])
                if fewer and self.failure(fewer):
                    candidate = fewer
                    spans = self._interface.transactions(candidate.streams)
            size //= 2
        return candidate

    def trimmed(self, candidate: Candidate) -> Candidate:
        """Forget for which cycles results are taken after the first that matter, or as many again."""
        if (pace := candidate.pace) is None:
            return candidate
        count = 1
        while count < len(pace.taking):
            shorter = replace(candidate, pace=replace(pace, taking=pace.taking[:count]))
            if self.failure(shorter):
                return shorter
            count *= 2
        return candidate

    def simplified(self, candidate: Candidate) -> Candidate:
        """Let hypothesis minimize what fails, starting from these streams."""
        from hypothesis import HealthCheck, Phase, find, settings, strategies
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
        from hypothesis.errors import NoSuchExample, Unsatisfiable

        streams, pace = candidate.streams, candidate.pace
        taking = [] if pace is None else pace.taking[: self._playback.play(streams, pace).cycles].tolist()
        spans = self._interface.transactions(streams)
        numbers = list(self._numbers(candidate, spans))

        @strategies.composite
        def candidates(draw: Any) -> Candidate | None:
            stalls = [draw(strategies.booleans()) for _ in taking]
            drawn = {name: {key: column.copy() for key, column in part.items()} for name, part in streams.items()}
            pauses = {name: column.copy() for name, column in pace.pauses.items()} if pace else {}
            kept = []
            for span, group in zip(spans, numbers, strict=True):
                if draw(strategies.booleans()):
                    kept.append(span)
                for stream, name, place, values, _ in group:
                    zero = values.index(0)  # hypothesis shrinks towards it
                    rank = draw(strategies.integers(-zero, len(values) - 1 - zero))
                    (drawn[stream][name] if name else pauses[stream])[place] = values[zero + rank]
            paused = any(stalls) or any(column.any() for column in pauses.values())
            calm = Pace(pauses=pauses, taking=~np.array(stalls, np.bool_)) if paused else None
            return self._chosen(Candidate(drawn, calm), kept)

        choices: list[Any] = [not take for take in taking]
        for group in numbers:
            choices.append(True)
            choices += [values.index(min(value, values[-1])) - values.index(0) for *_, values, value in group]
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
            smaller = find(
                candidates(),
                lambda drawn: drawn is not None and bool(self.failure(drawn)),
                settings=options,
                database_key=b"failure",
            )
        except (NoSuchExample, Unsatisfiable):  # a longer pause, or more numbers, than hypothesis takes
            return candidate
        return smaller or candidate

    def _numbers(self, candidate: Candidate, spans: Sequence[Span]) -> Iterator[list[Number]]:
        """Yield for each transaction its numbers; a pause has no field, and may be longer than is possible."""
        for span in spans:
            group: list[Number] = []
            for stream, packed in self._interface.inputs.items():
                for beat in range(span[stream].start, span[stream].stop):
                    if candidate.pace:
                        pause = int(candidate.pace.pauses[stream][beat])
                        group.append((stream, "", beat, range(_LONGEST_PAUSE + 1), pause))
                    for name, field in packed.fields.items():
                        codes, values = np.ndenumerate(candidate.streams[stream][name][beat]), field.format.values
                        group += [(stream, name, (beat, *index), values, int(code)) for index, code in codes]
            yield group

    def with_least_factors(self, candidate: Candidate) -> Candidate:
        """Give each of a few beats the pair of small factors with the least product that fails.

        No single step of hypothesis may lead there: two roundings differ for some products alone.
        """
        for stream, columns in candidate.streams.items():
            names = [name for name in self._interface.factors if name in columns]
            if len(names) < 2 or length(columns) > _FEW_BEATS:
                continue
            ranges = [range(min(int(columns[name].max()), _SMALL_FACTOR) + 1) for name in names]
            pairs = sorted(product(*ranges), key=lambda pair: (prod(pair), *pair))
            for beat in range(length(columns)):
                before = prod(int(columns[name][beat]) for name in names)
                for pair in pairs:
                    if prod(pair) >= before:
                        break
                    changed = {name: column.copy() for name, column in candidate.streams[stream].items()}
                    for name, factor in zip(names, pair, strict=True):
                        changed[name][beat] = factor
                    smaller = replace(candidate, streams={**candidate.streams, stream: changed})
                    if self.failure(smaller):
                        candidate = smaller
                        break
        return candidate
