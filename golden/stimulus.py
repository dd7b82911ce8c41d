"""Beats for a vector MAC: seeded random streams that reach its corners, and whole layers.

Every random choice comes from a generator of its own, so that a configuration, a count and a seed name one stream.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.config import MacConfig
from golden.errors import InputError
from golden.files import replacing
from golden.formats import IntFormat

Integers = NDArray[Any]

_LONGEST_ACCUMULATION = 40
_OVERFLOW_SHARE = 8  # runs towards one end of the accumulator take at most this fraction of the beats
_OVERFLOW_TAIL = 4  # ordinary beats after such a run, before its result


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

    Elements are uniform, small, all at one end, zero, one-hot, alternating between the ends, or at random ends; scales
    are uniform, 0, 1, the maximum, or a pair whose rounded product is a tie. Accumulations last 1 to 40 beats; some
    give results on the way, some continue the one before (no ``first``), some are abandoned (no ``last``). Runs of
    extreme beats overflow the accumulator in :func:`overflow_directions`.

    Raises
    ------
    InputError
        If ``count`` is not positive.
    """
    if count < 1:
        raise InputError(f"{count} beats: a stream has at least 1; ask for more")
    rng = np.random.default_rng(seed)
    w, a = (_elements(rng, fmt, count, config.vector_size) for fmt in (config.weight, config.activation))
    sw, sa = (_scales(rng, fmt, count) for fmt in (config.weight_scale, config.activation_scale))
    if config.scale_shift:
        _tie(rng, config, sw, sa)
    first, last = np.zeros(count, np.bool_), rng.random(count) < 0.05
    start = 0
    for length, direction in _accumulations(rng, config, count):
        end = start + length
        first[start] = direction != 0 or rng.random() < 0.9
        last[end - 1] = direction != 0 or rng.random() < 0.95
        if direction:
            run = slice(start, end - _OVERFLOW_TAIL)
            w[run], a[run] = _extreme_pair(config, direction)
            for scales, fmt in ((sw, config.weight_scale), (sa, config.activation_scale)):
                if fmt:
                    scales[run] = fmt.max
        start = end
    last[-1] = True
    return Beats(w, a, sw, sa, first, last)


def overflow_directions(config: MacConfig, count: int) -> set[int]:
    """Return the overflows that ``beats(config, count, seed)`` reaches for any seed: +1 above the range, -1 below."""
    return {direction for direction in (1, -1) if _overflow_length(config, direction, count)}


def _overflow_length(config: MacConfig, direction: int, count: int) -> int:
    """Beats of an accumulation that overflows by extreme terms, with its tail; 0 if too many or impossible."""
    low, high = config.term_range
    limit = 1 << (config.acc_bits - 1)
    term, room = (high, limit - 1) if direction > 0 else (-low, limit)
    if term == 0:
        return 0
    length = room // term + 1 + _OVERFLOW_TAIL
    return length if length <= count // _OVERFLOW_SHARE else 0


def _extreme_pair(config: MacConfig, direction: int) -> tuple[int, int]:
    """Return the codes (w, a) whose product is extreme in ``direction``."""
    pairs = product((config.weight.min, config.weight.max), (config.activation.min, config.activation.max))
    return max(pairs, key=lambda pair: direction * pair[0] * pair[1])


def _accumulations(rng: np.random.Generator, config: MacConfig, count: int) -> list[tuple[int, int]]:
    """Return (length, direction of overflow or 0) of accumulations in random order; lengths add up to ``count``."""
    parts = []
    for direction in sorted(overflow_directions(config, count)):
        length = _overflow_length(config, direction, count)
        parts += [(length, direction)] * min(4, count // _OVERFLOW_SHARE // length)
    left = count - sum(length for length, _ in parts)
    while left:
        length = min(left, int(rng.integers(1, rng.choice([1, 4, _LONGEST_ACCUMULATION]), endpoint=True)))
        parts.append((length, 0))
        left -= length
    return [parts[i] for i in rng.permutation(len(parts))]


def _elements(rng: np.random.Generator, fmt: IntFormat, count: int, lanes: int) -> NDArray[np.int64]:
    """Return codes [count, lanes]; each row is of one kind of nine, the two left over being uniform."""
    ends, shape, lane = np.array([fmt.min, fmt.max]), (count, lanes), np.arange(lanes)
    random_ends = rng.choice(ends, shape)
    kinds = (
        np.clip(rng.integers(-1, 2, shape), fmt.min, fmt.max),
        random_ends,
        np.where(lane == rng.integers(lanes, size=(count, 1)), random_ends, 0),
        ends[(lane + rng.integers(2, size=(count, 1))) % 2],
        fmt.min,
        fmt.max,
        0,
    )
    return _mix(rng, rng.integers(fmt.min, fmt.max, shape, endpoint=True), kinds, uniform=2)


def _scales(rng: np.random.Generator, fmt: IntFormat | None, count: int) -> Any:
    """Return scales [count], of which half are uniform and the others 0, 1 or the maximum; None without a format."""
    if fmt is None:
        return None
    return _mix(rng, rng.integers(0, fmt.max, count, endpoint=True), (0, 1, fmt.max), uniform=3)


def _mix(rng: np.random.Generator, values: NDArray[np.int64], kinds: Sequence[Any], uniform: int) -> NDArray[np.int64]:
    """Overwrite rows of uniform ``values``, each kind with the same odds and ``uniform`` times these left alone."""
    choice = rng.integers(len(kinds) + uniform, size=len(values)).reshape(-1, *[1] * (values.ndim - 1))
    for number, kind in enumerate(kinds):
        np.copyto(values, kind, where=choice == number)
    return values


def _tie(rng: np.random.Generator, config: MacConfig, sw: Any, sa: Any) -> None:
    """Make a sixth of the products rounding ties: an odd number times 2^(s-1), the zeros split between the sides."""
    count = len(sa if sw is None else sw)
    chosen = rng.random(count) < 1 / 6
    zeros = config.scale_shift - 1
    bits_w, bits_a = (fmt.bits if fmt else 1 for fmt in (config.weight_scale, config.activation_scale))
    zeros_w = rng.integers(max(0, zeros - (bits_a - 1)), min(bits_w - 1, zeros), size=count, endpoint=True)
    for scales, bits, shift in ((sw, bits_w, zeros_w), (sa, bits_a, zeros - zeros_w)):
        if scales is not None:
            odd = rng.integers(0, 1 << bits, size=count) | 1
            scales[chosen] = (odd % (1 << (bits - shift)) << shift)[chosen]
