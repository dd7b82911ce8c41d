"""Operands of the datapath as users give them: checked, and as integers with marks of where NaN is."""

from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.format import Format
from vsq.golden.formats.scales import spell_scale
from vsq.golden.model.accumulator import Flags, Integers


def read_offsets(config: MacConfig, offsets: Any, shape: tuple[int, ...]) -> Integers:
    """Return checked offsets of a window, broadcast to ``shape``; 0 without one."""
    if config.window is None:
        if offsets is not None:
            raise InputError(f"offsets: given, but the accumulator of {config.full_name} is no window; leave them out")
        return np.zeros(shape, np.int64)
    if offsets is None:
        raise InputError(f"offsets: {config.full_name} has a window, whose bit 0 weighs 2^offset; give them")
    array, most = np.asarray(offsets), (1 << config.offset_bits) - 1
    if array.dtype.kind not in "iu" or (array.size and not 0 <= array.min() <= array.max() <= most):
        raise InputError(f"offsets: they are integers from 0 to {most} in {config.full_name}; clip or round them")
    try:
        return np.broadcast_to(array.astype(np.int64), shape)
    except ValueError:
        rule = f"shape {array.shape} where {shape} is needed; reshape them or give one for all"
        raise InputError(f"offsets: {rule}") from None


def read_operand(config: MacConfig, side: str, codes: Any, scales: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return checked codes [*shape, V] and scales [*shape] of a side, and which vectors [*shape] have NaN.

    Scales of a side that has none are 1, and codes of NaN the largest value.
    """
    checked, nan = _codes(config, f"{side}s", codes, (*shape, config.vector_size), getattr(config, side))
    name, fmt = f"{side}_scales", getattr(config, f"{side}_scale")
    if fmt is None:
        if scales is not None:
            raise InputError(f"{name}: given, but the configuration has no scale on that side; pass None")
        return checked, np.ones(shape, np.int64), nan.any(axis=-1)
    if scales is None:
        raise InputError(
            f"{name}: None, but the configuration has scales {spell_scale(fmt)} there; give an array {shape}"
        )
    found, nan_scales = _codes(config, name, scales, shape, fmt)
    return checked, found, nan.any(axis=-1) | nan_scales


def _codes(config: MacConfig, name: str, codes: Any, shape: tuple[int, ...], fmt: Format) -> tuple[Integers, Flags]:
    """Return ``codes`` as ``int64`` after checking their shape and range, and which are NaN."""
    array: Integers = np.asarray(codes)
    if array.shape != shape:
        raise InputError(f"{name}: shape {array.shape} where {shape} is needed; reshape it or change the configuration")
    fmt.check(array, name, finite=config.finite)
    nan: Flags = np.zeros(shape, np.bool_) if config.finite else np.isin(array, fmt.nans)
    numbers = array.astype(np.int64)
    return (np.where(nan, fmt.max, numbers) if nan.any() else numbers), nan


def read_marks(name: str, marks: Any, shape: tuple[int, ...]) -> Flags:
    """Return checked marks; raise an InputError if they are not bool of that shape."""
    array: Flags = np.asarray(marks)
    if array.shape != shape or array.dtype != np.bool_:
        given = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{name}: {given} where bool of shape {shape} is needed; convert it")
    return array
