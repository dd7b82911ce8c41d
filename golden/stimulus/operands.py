"""Random operands and scales for a vector MAC whose distributions reach the corners of the datapath."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Format
from vsq.golden.model.accumulator import largest
from vsq.golden.model.datapath import scale_parts

Codes = NDArray[np.int64]

_TIES = 1 / 6  # shares of the scale products that are rounding ties,
_EXACT = 1 / 16  # that drop only zeros,
_NEAR = 1 / 8  # that are next to a tie, where a wrong low bit of the product changes its rounding,
_VANISHING = 1 / 8  # and that are 1, which mostly rounds to 0
_CANDIDATES = 64  # random products for each that shall be next to a tie
_OUTSIDE = 2  # places beyond either end of a window
_NANS = 1 / 24  # share of the beats with infinity or NaN, where these may occur
_MIRRORED = 1 / 16  # share of the vectors with pairs of opposite products
_PAIRED = 1 / 3  # share of the vectors of floats with any pairs of elements
_SMALL = 1 / 4  # share of the beats whose float scales are among the smallest, so that low bits of a sum show


def operands(rng: np.random.Generator, config: MacConfig, count: int) -> tuple[Codes, Codes]:
    """Return weights and activations, both [count, V].

    Either side is uniform, small, at random ends, one-hot, alternating between the ends, all at one end, or zero. In
    some vectors elements cancel in pairs. Where one is a float, whose products are shifted differently, both sides are
    uniform in some.
    """
    formats, shape = (config.weight, config.activation), (count, config.vector_size)
    w, a = (_elements(rng, fmt, shape) for fmt in formats)
    if not all(fmt.contiguous for fmt in formats):
        paired = rng.random(count) < _PAIRED
        for side, fmt in zip((w, a), formats, strict=True):
            side[paired] = fmt.sample(rng, side[paired].shape)
    _mirror(rng, config, w, a)
    return w, a


def scales(rng: np.random.Generator, config: MacConfig, count: int) -> tuple[Any, Any]:
    """Return weight and activation scales, [count] or None for a side without.

    Half of them are uniform and the others 0, 1 or the maximum; of floats, some are among the smallest on both sides.
    Where products are rounded, some are ties, some next to one, some drop only zeros, and some are 1.
    """
    sw, sa = (
        None if fmt is None else _mix(rng, fmt.sample(rng, count), (0, 1, fmt.max), uniform=3) for fmt in config.scales
    )
    sides: list[tuple[Any, Any]] = list(zip((sw, sa), config.scales, strict=True))
    floats = [(side, fmt) for side, fmt in sides if fmt and not fmt.contiguous]
    low = rng.random(count if floats else 0) < _SMALL
    for side, fmt in floats:
        side[low] = rng.choice(fmt.values[1 : 2 << fmt.significand_bits], np.count_nonzero(low))
    if config.scale_shift:
        _align(
            rng,
            config,
            *(None if isinstance(fmt, E8M0) else side for side, fmt in sides),
        )
        _approach(rng, config, sw, sa)
        vanishing = rng.random(count) < _VANISHING
        for side in (sw, sa):
            if side is not None:
                side[vanishing] = 1
    return sw, sa


def offsets(rng: np.random.Generator, config: MacConfig, sw: Any, sa: Any, group: Codes, steady: float = 0.5) -> Any:
    """Return offsets of a window, [count], or None without one.

    Beats of one ``group`` number belong together. In a share ``steady`` of the groups all have one offset, and scales
    ``e8m0`` become similar; in the others each places its term anywhere, from below the window to above it.
    """
    if config.window is None:
        return None
    groups, most = int(group.max(initial=-1)) + 1, (1 << config.offset_bits) - 1
    even = (rng.random(groups) < steady)[group]
    span = rng.choice([0, 2, config.window // 2], groups)[group]
    for side, fmt in zip((sw, sa), config.scales, strict=True):
        if isinstance(fmt, E8M0):
            near = fmt.sample(rng, groups)[group] + rng.integers(-span, span, endpoint=True)
            side[even] = near.clip(fmt.min, fmt.max)[even]
    exponents = np.broadcast_to(scale_parts(config, *(1 if side is None else side for side in (sw, sa)))[2], len(group))
    below = largest(config.unshifted_range).bit_length() + _OUTSIDE
    places = rng.integers(-below, config.window + _OUTSIDE, len(group), endpoint=True)
    first = np.searchsorted(group, group)  # the group's first beat
    chosen = np.where(even, (exponents - places)[first], exponents - places)
    return chosen.clip(0, most)


def put_nans(rng: np.random.Generator, config: MacConfig, columns: Sequence[Any]) -> None:
    """Put infinity or NaN into an element or a scale of some beats, unless none may occur.

    Columns are weights and activations, [count, V], and their scales, [count] or None.
    """
    formats = (config.weight, config.activation, *config.scales)
    places = [(column, fmt.nans) for column, fmt in zip(columns, formats, strict=True) if fmt and fmt.nans]
    for beat in np.flatnonzero(rng.random(len(columns[0])) < _NANS) if not config.finite else ():
        column, nans = places[rng.integers(len(places))]
        where = (beat, rng.integers(column.shape[1])) if column.ndim == 2 else beat
        column[where] = rng.choice(nans)


def _elements(rng: np.random.Generator, fmt: Format, shape: tuple[int, int]) -> Codes:
    """Return codes whose rows are of one kind of nine, the two left over being uniform."""
    ends, element = np.array([fmt.min, fmt.max]), np.arange(shape[1])
    small = np.array([*np.clip((-1, 0, 1), fmt.min, fmt.max), *(code for code in fmt.corners[1:-1] if abs(code) > 1)])
    random_ends = rng.choice(ends, shape)
    kinds = (
        small[rng.integers(len(small), size=shape)],
        random_ends,
        np.where(element == rng.integers(shape[1], size=(shape[0], 1)), random_ends, 0),
        ends[(element + rng.integers(2, size=(shape[0], 1))) % 2],
        fmt.min,
        fmt.max,
        0,
    )
    return _mix(rng, fmt.sample(rng, shape), kinds, uniform=2)


def _mirror(rng: np.random.Generator, config: MacConfig, w: Codes, a: Codes) -> None:
    """Give the elements of each pair opposite products in some vectors, if a side has a sign; an odd last is 0."""
    pairs = config.vector_size // 2 * 2
    rows = np.flatnonzero(rng.random(len(w)) < _MIRRORED)
    if not config.weight.signed and not config.activation.signed:
        return
    signed, other, fmt = (w, a, config.weight) if config.weight.signed else (a, w, config.activation)
    signed[rows] = np.maximum(signed[rows], -fmt.max)
    signed[rows, 1:pairs:2] = -signed[rows, 0:pairs:2]
    signed[rows, pairs:] = 0
    other[rows, 1:pairs:2] = other[rows, 0:pairs:2]


def _mix(rng: np.random.Generator, values: Codes, kinds: Sequence[Any], uniform: int) -> Codes:
    """Overwrite rows of uniform ``values``, each kind with the same odds and ``uniform`` times these left alone."""
    choice = rng.integers(len(kinds) + uniform, size=len(values)).reshape(-1, *[1] * (values.ndim - 1))
    for number, kind in enumerate(kinds):
        np.copyto(values, kind, where=choice == number)
    return values


def _align(rng: np.random.Generator, config: MacConfig, sw: Any, sa: Any) -> None:
    """Make some products odd multiples of 2^(s-1), rounding ties, or of 2^s; the sides share the power of two.

    Integers of at most a float's significand bits are its values too, and their own significands.
    """
    count = len(sa if sw is None else sw)
    bits_w, bits_a = (1 if fmt is None else max(1, fmt.significand_bits) for fmt in config.scales)
    for zeros, share in ((config.scale_shift - 1, _TIES), (config.scale_shift, _EXACT)):
        if zeros > bits_w + bits_a - 2:
            continue
        chosen = rng.random(count) < share
        zeros_w = rng.integers(max(0, zeros - (bits_a - 1)), min(bits_w - 1, zeros), size=count, endpoint=True)
        for side, bits, shift in ((sw, bits_w, zeros_w), (sa, bits_a, zeros - zeros_w)):
            if side is not None:
                odd = rng.integers(0, 1 << bits, size=count) | 1
                side[chosen] = (odd % (1 << (bits - shift)) << shift)[chosen]


def _approach(rng: np.random.Generator, config: MacConfig, sw: Any, sa: Any) -> None:
    """Choose some products of significands, each the nearest of random candidates to at most 2 from a tie."""
    rows = np.flatnonzero(rng.random(len(sa if sw is None else sw)) < _NEAR)
    shape = (len(rows), _CANDIDATES)
    drawn = [fmt.sample(rng, shape) if fmt else np.ones(shape, np.int64) for fmt in config.scales]
    target = (1 << (config.scale_shift - 1)) + rng.integers(-2, 3, (len(rows), 1))
    sw_parts, sa_parts = (fmt.split(side)[0] if fmt else side for fmt, side in zip(config.scales, drawn, strict=True))
    distance = np.abs(sw_parts * sa_parts % (1 << config.scale_shift) - target)
    nearest = np.argmin(distance, axis=1)[:, None]
    for side, candidates in zip((sw, sa), drawn, strict=True):
        if side is not None:
            side[rows] = np.take_along_axis(candidates, nearest, axis=1)[:, 0]
