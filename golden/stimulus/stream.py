"""Beats for a vector MAC: seeded random streams that reach its corners, and whole layers.

Every random choice comes from a generator of its own, so that a configuration, a count and a seed name one stream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import BlockOperand, Flags, Integers
from vsq.golden.stimulus import directed as runs
from vsq.golden.stimulus import operands as corners

_LONGEST_ACCUMULATION = 40
_DIRECTED_FROM = 64  # beats of a stream with directed runs, which take at most one in so many beats:
_OVERFLOW_SHARE = 8  # one over an end of the accumulator
_SCALE_PAIRS = 1 << 12
_LONG_SHARE = 7  # one over all elements
_SHORT_SHARE = 32  # one to some value and back, or of gated terms
_REPEATS = 4  # runs over an end, or there and back, in either direction, where there is room


@dataclass(frozen=True)
class Beats:
    """A stream of B beats; its fields are the arguments of :func:`vsq.golden.model.datapath.mac`."""

    weights: Integers  # [B, V]
    activations: Integers  # [B, V]
    weight_scales: Integers | None  # [B]
    activation_scales: Integers | None  # [B]
    first: Flags  # [B]
    last: Flags  # [B]
    offsets: Integers | None = None  # [B]; None without a window

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, which: Any) -> "Beats":
        """Return the beats that an index, as NumPy knows it, selects."""
        columns: Iterable[Any] = (None if column is None else column[which] for column in vars(self).values())
        return Beats(*columns)


def layer(weights: BlockOperand, activations: BlockOperand, offsets: Any = None) -> Beats:
    """Return a whole layer as beats: result by result in row-major order of [M, N], each G beats long.

    Offsets of a window broadcast to [M, N]. The arguments are those of :func:`vsq.golden.model.datapath.matmul`, which
    gives the expected results.
    """
    (channels, groups, _), rows = weights.codes.shape, len(activations.codes)
    w, sw = weights.map(lambda array: np.broadcast_to(array, (rows, *array.shape)).reshape(-1, *array.shape[2:]))
    a, sa = activations.map(lambda array: np.repeat(array, channels, axis=0).reshape(-1, *array.shape[2:]))
    group = np.arange(len(w)) % groups
    given = None if offsets is None else np.repeat(np.broadcast_to(offsets, (rows, channels)), groups)
    return Beats(w, a, sw, sa, first=group == 0, last=group == groups - 1, offsets=given)


def concatenate(parts: Sequence[Beats]) -> Beats:
    """Return streams of one configuration one after another."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    whole: Iterable[Any] = (None if column[0] is None else np.concatenate(column) for column in columns)
    return Beats(*whole)


def beats(config: MacConfig, count: int, seed: int) -> Beats:
    """Return ``count`` random beats that reach the corners of the datapath; the last one is marked ``last``.

    Operands, scales and offsets are those of :mod:`vsq.golden.stimulus.operands`. Accumulations last 1 to 40 beats;
    some give results on the way, some continue the one before (no ``first``), some are abandoned (no ``last``). Among
    them are the runs of :mod:`vsq.golden.stimulus.directed`; short streams lack the long ones (:func:`complete` does
    not).

    Raises:
        InputError: If ``count`` is not positive.
    """
    if count < 1:
        raise InputError(f"{count} beats: a stream has at least 1; ask for more")
    rng = np.random.default_rng(seed)
    directed = [_of_terms(config, run) for run in _directed(rng, config, count)]
    ordinary, starts = _ordinary(rng, config, count - sum(map(len, directed)))
    pieces, begin = [], 0
    for run, end in zip(directed, sorted(rng.choice(starts, len(directed)).tolist()), strict=True):
        pieces += [ordinary.select(slice(begin, end)), run]
        begin = end
    stream = concatenate([*pieces, ordinary.select(slice(begin, None))])
    stream.last[-1] = True
    return stream


def complete(config: MacConfig, count: int, seed: int) -> Beats:
    """Return ``count`` beats, or as many more as it takes to leave the accumulator's range in every direction.

    They are :func:`beats`, at least half of ``count``, with a run over one end before them and one over the other end
    behind. No run has more than :data:`vsq.golden.stimulus.directed.LONGEST` extreme terms; :func:`unreached` says what
    that leaves out.
    """
    overflows = [_of_terms(config, run) for direction in (1, -1) if (run := runs.over_limit(config, direction))]
    random = beats(config, max(count - sum(map(len, overflows)), -(-count // 2)), seed)
    return concatenate([*overflows[:1], random, *overflows[1:]])


def scale_pairs(config: MacConfig, seed: int) -> Beats:
    """Return beats whose results are scale factors: each is an accumulation of its own, of one product that is 1.

    They have every pair of scales, or 4,096 random ones if there are more; they are none if no side has scales.
    """
    sides = [range(1) if fmt is None else fmt.values for fmt in config.scales]
    many = prod(map(len, sides))
    drawn = np.random.default_rng(seed).integers(many, size=_SCALE_PAIRS)
    if many <= _SCALE_PAIRS:
        drawn = np.arange(many if any(config.scales) else 0)
    places = np.unravel_index(drawn, tuple(map(len, sides)))
    sw, sa = (
        None if fmt is None else np.asarray(fmt.values, np.int64)[place]
        for fmt, place in zip(config.scales, places, strict=True)
    )
    one, marks = np.zeros((len(drawn), config.vector_size), np.int64), np.ones(len(drawn), np.bool_)
    one[:, 0] = 1
    offsets = corners.offsets(np.random.default_rng(seed), config, sw, sa, np.arange(len(drawn)), steady=0)
    return Beats(one, one, sw, sa, first=marks, last=marks, offsets=offsets)


def overflow_directions(config: MacConfig) -> set[int]:
    """Return the overflows that ``complete(config, count, seed)`` reaches: +1 above the range, -1 below."""
    return {direction for direction in (1, -1) if runs.over_limit(config, direction)}


def unreached(config: MacConfig) -> str:
    """Return in a sentence which overflow :func:`complete` leaves out because it takes too long; empty if none."""
    ends = {1: "above", -1: "below"}
    left = [f"{count + 1:,} extreme vectors {ends[end]}" for end, count in runs.unaffordable(config).items()]
    rest = f"and a run has {runs.LONGEST:,}: not exercised"
    return f"the accumulator's overflow takes {' and '.join(left)}, {rest}" if left else ""


def _directed(rng: np.random.Generator, config: MacConfig, count: int) -> list[runs.Run]:
    """Return the directed runs that a stream of ``count`` beats has room for."""
    if count < _DIRECTED_FROM:
        return []
    overflows, long, short = [], [runs.lane_by_lane(rng, config)], [runs.gated(config)]
    for direction in (1, -1):
        if run := runs.over_limit(config, direction):
            overflows += [run] * min(_REPEATS, count // _OVERFLOW_SHARE // len(run))
        short += [runs.there_and_back(rng, config, direction) for _ in range(_REPEATS)]
    shares = [(overflows, _OVERFLOW_SHARE), (long, _LONG_SHARE), (short, _SHORT_SHARE)]
    return [run for group, share in shares for run in group if 0 < len(run) <= count // share]


def _of_terms(config: MacConfig, run: runs.Run) -> Beats:
    w, a, sw, sa, first, last, offset = map(np.array, zip(*run, strict=True))
    present = config.weight_scale, config.activation_scale, config.window
    some = [column if there else None for column, there in zip((sw, sa, offset), present, strict=True)]
    return Beats(w, a, some[0], some[1], first, last, some[2])


def _ordinary(rng: np.random.Generator, config: MacConfig, count: int) -> tuple[Beats, NDArray[np.int64]]:
    """Return random accumulations, and where each starts."""
    lengths: list[int] = []
    left = count
    while left > 0:
        lengths.append(min(left, int(rng.integers(1, rng.choice([1, 1, 4, _LONGEST_ACCUMULATION]), endpoint=True))))
        left -= lengths[-1]
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    w, a = corners.operands(rng, config, count)
    sw, sa = corners.scales(rng, config, count)
    first, last = np.zeros(count, np.bool_), rng.random(count) < 0.05
    first[starts] = rng.random(len(starts)) < 0.9
    last[ends - 1] = rng.random(len(starts)) < 0.9
    offsets = corners.offsets(rng, config, sw, sa, np.repeat(np.arange(len(lengths)), lengths))
    corners.put_nans(rng, config, (w, a, sw, sa))
    return Beats(w, a, sw, sa, first, last, offsets), starts
