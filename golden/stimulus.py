"""Beats for a vector MAC: seeded random streams that reach its corners, and whole layers.

Every random choice comes from a generator of its own, so that a configuration, a count and a seed name one stream.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import corners, limits
from golden.config import DEFAULT_MAX_VECTORS, MacConfig
from golden.errors import InputError
from golden.files import replacing

Integers = NDArray[Any]

_LONGEST_ACCUMULATION = 40
_OVERFLOW_SHARE = 8  # a run over one end of the accumulator takes at most this fraction of the beats,
_BOUND_SHARE = 7  # one to the extreme sum for which an exact accumulator is made, and one over all lanes, this,
_RETURN_SHARE = 32  # and one to some value and back, this
_RETURNS = 4  # of these in either direction


@dataclass(frozen=True)
class Beats:
    """A stream of B beats; its fields are the arguments of :func:`golden.datapath.mac`."""

    weights: Integers  # [B, V]
    activations: Integers  # [B, V]
    weight_scales: Integers | None  # [B]
    activation_scales: Integers | None  # [B]
    first: NDArray[np.bool_]  # [B]
    last: NDArray[np.bool_]  # [B]

    def __len__(self) -> int:
        return len(self.weights)

    def select(self, which: Any) -> "Beats":
        """Return the beats that an index, as NumPy knows it, selects."""
        columns: dict[str, Any] = {
            name: column if column is None else column[which] for name, column in vars(self).items()
        }
        return Beats(**columns)

    def save(self, path: Path) -> None:
        """Write the beats as one ``.npz`` with an array for each field; a side without scales has none.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        columns = {name: column for name, column in vars(self).items() if column is not None}
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **columns)

    @classmethod
    def load(cls, path: Path) -> "Beats":
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read or lacks an array.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns: dict[str, Any] = {"weight_scales": None, "activation_scales": None, **arrays}
                return cls(**columns)
        except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a file of beats ({error}); write one with Beats.save") from None


def layer(
    config: MacConfig,
    weights: Integers,
    weight_scales: Integers | None,
    activations: Integers,
    activation_scales: Integers | None,
) -> Beats:
    """Return a whole layer as beats: result by result in row-major order of [M, N], each G beats long.

    The arguments are those of :func:`golden.datapath.matmul`, which gives the expected results.
    """
    (channels, groups, _), rows = weights.shape, len(activations)

    def spread(codes: Any, axis: int) -> Any:
        if codes is None:
            return None
        grid = np.broadcast_to(np.expand_dims(codes, axis), (rows, channels, *codes.shape[1:]))
        return grid.reshape(rows * channels * groups, *codes.shape[2:])

    group = np.arange(rows * channels * groups) % groups
    return Beats(
        spread(weights, 0),
        spread(activations, 1),
        spread(weight_scales, 0),
        spread(activation_scales, 1),
        first=group == 0,
        last=group == groups - 1,
    )


def concatenate(parts: Sequence[Beats]) -> Beats:
    """Return streams of one configuration one after another."""

    def column(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        return None if columns[0] is None else np.concatenate(columns)

    return Beats(**{field.name: column(field.name) for field in fields(Beats)})


def beats(config: MacConfig, count: int, seed: int) -> Beats:
    """Return ``count`` random beats that reach the corners of the datapath; the last one is marked ``last``.

    Operands and scales are those of :mod:`golden.corners`. Accumulations last 1 to 40 beats; some give results on the
    way, some continue the one before (no ``first``), some are abandoned (no ``last``). Among them are runs that reach a
    limit of the accumulator exactly, exceed it by one, return into the range and exceed it far
    (:func:`overflow_directions`), that sum up ``max_vectors`` extreme terms, that go to some value and back to 0, and
    that give each lane's product alone; short streams lack those which are too long.

    Raises
    ------
    InputError
        If ``count`` is not positive.
    """
    if count < 1:
        raise InputError(f"{count} beats: a stream has at least 1; ask for more")
    rng = np.random.default_rng(seed)
    runs = _runs(rng, config, count)
    ordinary, starts = _ordinary(rng, config, count - sum(map(len, runs)))
    pieces, begin = [], 0
    for run, end in zip(runs, sorted(rng.choice(starts, len(runs)).tolist()), strict=True):
        pieces += [ordinary.select(slice(begin, end)), run]
        begin = end
    stream = concatenate([*pieces, ordinary.select(slice(begin, None))])
    stream.last[-1] = True
    return stream


def overflow_directions(config: MacConfig, count: int) -> set[int]:
    """Return the overflows that ``beats(config, count, seed)`` reaches for any seed: +1 above the range, -1 below."""
    return {direction for direction in (1, -1) if _overflow_run(config, direction, count)}


def _runs(rng: np.random.Generator, config: MacConfig, count: int) -> list[Beats]:
    """Return the directed runs that a stream of ``count`` beats has room for."""
    runs = []
    if config.vector_size <= count // _BOUND_SHARE:
        runs.append(_lane_run(rng, config))
    for direction in (1, -1):
        if run := _overflow_run(config, direction, count):
            runs += [run] * min(4, count // _OVERFLOW_SHARE // len(run))
        if run := _bound_run(config, direction, count):
            runs.append(run)
        if all(config.term_range):
            returns = [_return_run(rng, config, direction) for _ in range(_RETURNS)]
            runs += [run for run in returns if len(run) <= count // _RETURN_SHARE]
    return runs


def _lane_run(rng: np.random.Generator, config: MacConfig) -> Beats:
    """Return a result for each lane, of its product alone and the largest scales."""
    marks = np.ones(config.vector_size, np.bool_)
    sw, sa = (np.full(len(marks), fmt.max) if fmt else None for fmt in (config.weight_scale, config.activation_scale))
    return Beats(*corners.isolated(rng, config), sw, sa, marks, marks)


def _return_run(rng: np.random.Generator, config: MacConfig, direction: int) -> Beats:
    """Return an accumulation of one sign to a value of random size, and back to 0."""
    most = min(abs(end) for end in config.term_range)
    target = direction * max(1, most >> int(rng.integers(most.bit_length())))
    run = [*limits.terms(config, target), *limits.terms(config, -target)]
    marks = np.arange(len(run))
    return _stream(config, run, marks == 0, marks == len(run) - 1)


def _overflow_run(config: MacConfig, direction: int, count: int) -> Beats | None:
    """Return an accumulation over one end of a range that is narrower than exact; None if too long or impossible.

    Its results are the limit, one beyond it, one back, and far beyond it; a next accumulation clears the overflow.
    """
    most = count // _OVERFLOW_SHARE
    low, high = config.term_range
    target = limits.limit(config, direction)
    if config.accumulator_bits is None or 0 in (low if direction < 0 else high, most):
        return None
    if limits.length(config, target) > most:
        return None
    landing, beyond = limits.terms(config, target), limits.terms(config, direction)
    back = limits.terms(config, -direction) if low and high else []
    far = limits.terms(config, limits.bound(config, direction, 1))
    run = [*landing, *beyond, *back, *far, *beyond]
    first, last = np.zeros((2, len(run)), np.bool_)
    first[[0, -1]] = True
    last[len(landing) - 1 :] = True
    return _stream(config, run, first, last) if len(run) <= most else None


def _bound_run(config: MacConfig, direction: int, count: int) -> Beats | None:
    """Return the extreme sum for which an exact accumulator is made; None if too long or impossible."""
    vectors = config.max_vectors or DEFAULT_MAX_VECTORS
    if config.accumulator_bits is not None or vectors > count // _BOUND_SHARE:
        return None
    target = limits.bound(config, direction, vectors)
    if not target:
        return None
    marks = np.arange(vectors)
    return _stream(config, limits.terms(config, target), marks == 0, marks == vectors - 1)


def _stream(
    config: MacConfig, terms: Sequence[limits.Term], first: NDArray[np.bool_], last: NDArray[np.bool_]
) -> Beats:
    """Return terms as beats."""
    weights, activations, weight_scales, activation_scales = map(np.array, zip(*terms, strict=True))
    return Beats(
        weights,
        activations,
        weight_scales if config.weight_scale else None,
        activation_scales if config.activation_scale else None,
        first,
        last,
    )


def _ordinary(rng: np.random.Generator, config: MacConfig, count: int) -> tuple[Beats, NDArray[np.int64]]:
    """Return random accumulations, and where each starts."""
    lengths: list[int] = []
    while (left := count - sum(lengths)) > 0:
        lengths.append(min(left, int(rng.integers(1, rng.choice([1, 1, 4, _LONGEST_ACCUMULATION]), endpoint=True))))
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    w, a = corners.operands(rng, config, count)
    sw, sa = corners.scales(rng, config, count)
    first, last = np.zeros(count, np.bool_), rng.random(count) < 0.05
    first[starts] = rng.random(len(starts)) < 0.9
    last[ends - 1] = rng.random(len(starts)) < 0.9
    return Beats(w, a, sw, sa, first, last), starts
