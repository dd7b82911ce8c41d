"""Results as numbers: sums without any accumulator, offsets of windows, and float32 with a named rounding.

Everything is computed on exact integers; float32 takes the one rounding that its name says.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.accumulator import Integers, largest
from vsq.golden.model.datapath import BlockOperand, scale_parts
from vsq.golden.model.dual_precision import multiplied

_PRECISION = 24  # bits of a float32's significand
_LEAST = -149  # exponent of the least float32
_BEYOND = 200  # an exponent whose powers of two float64 holds, and float32 does not


class FloatRounding(StrEnum):
    """The rounding of an exact number to float32."""

    RNE = "rne"  # to the nearest, ties to the even significand; beyond the range to infinity
    RZ = "rz"  # towards zero; beyond the range to the largest number


def exact_sums(config: MacConfig, weights: BlockOperand, activations: BlockOperand) -> tuple[Integers, int]:
    """Return the exact sums of a layer as Python integers [M, N], and the exponent e of their unit 2^e.

    Arguments are those of :func:`vsq.golden.model.datapath.matmul`; with R, scale products are rounded all the same.
    A unit is that of :func:`vsq.golden.model.datapath.accumulator_unit` where both gammas are 1.
    """
    weights, config = BlockOperand(*multiplied(config, *weights)), config.multiplied
    w, a = (np.asarray(operand.codes).astype(object) for operand in (weights, activations))
    total: Integers = np.zeros((len(a), len(w)), object)
    g, k = _parts(config, weights, activations)
    for group in range(w.shape[1]):
        dots = a[:, group] @ w[:, group].T
        total += dots * g[..., group].astype(object) << k[..., group].astype(object)
    return total, config.scale_shift - sum(scale.origin for scale in config.scales if scale)


def least_offsets(config: MacConfig, weights: BlockOperand, activations: BlockOperand) -> NDArray[np.int64]:
    """Return the least offset of each result, [M, N], with which a window of a layer overflows for no element codes.

    Arguments are those of :func:`vsq.golden.model.datapath.matmul`; the scales alone, and the number of vectors, count.

    Raises:
        InputError: If the configuration has no window, or the number of vectors would need an offset beyond its port.
    """
    if config.window is None:
        raise InputError(f"offsets: the accumulator of {config.full_name} is no window; none are needed")
    _, k = _parts(config, weights, activations)
    bits = (np.shape(weights.codes)[1] * largest(config.unshifted_range)).bit_length()
    offsets: NDArray[np.int64] = np.maximum(k.max(axis=-1, initial=0) + bits - (config.acc_bits - 1), 0)
    if offsets.max(initial=0) >= 1 << config.offset_bits:
        rule = f"the port of {config.full_name} has {config.offset_bits} bits; give a wider window or split the layer"
        raise InputError(f"offset {offsets.max()}: {rule}")
    return offsets


def to_float32(sums: Any, exponents: Any, rounding: FloatRounding) -> NDArray[np.float32]:
    """Return ``sums * 2^exponents`` in float32, rounded once; 0 has a positive sign, what vanishes keeps its own.

    Args:
        sums: Integers of any size, in an array of any shape.
        exponents: An integer, or an array that broadcasts.
    """
    numbers = np.asarray(sums).astype(object)
    exponents = np.broadcast_to(np.asarray(exponents), numbers.shape).astype(object)
    size = np.frompyfunc(int.bit_length, 1, 1)(abs(numbers))
    unit = np.maximum(np.maximum(exponents + size - _PRECISION, _LEAST), exponents)  # of the rounded integer
    dropped = unit - exponents
    kept = abs(numbers) >> dropped
    if rounding == FloatRounding.RNE:
        twice = (abs(numbers) - (kept << dropped)) * 2
        kept = kept + (twice + kept % 2 > 1 << dropped)
    wide = np.ldexp(kept.astype(np.float64), np.minimum(unit, _BEYOND).astype(np.int64))
    limits = np.finfo(np.float32)
    magnitudes = np.where(wide > limits.max, np.inf if rounding == FloatRounding.RNE else limits.max, wide)
    found: NDArray[np.float32] = np.where(numbers < 0, -magnitudes, magnitudes).astype(np.float32)
    return found


def _parts(config: MacConfig, weights: BlockOperand, activations: BlockOperand) -> tuple[Integers, Integers]:
    """Return the significands and exponents of the scale factors of a layer, both [M, N, G]."""
    shapes = [np.shape(operand.codes)[:2] for operand in (weights, activations)]
    w, a = (
        np.ones(shape, np.int64) if operand.scales is None else np.asarray(operand.scales).astype(np.int64)
        for operand, shape in zip((weights, activations), shapes, strict=True)
    )
    _, g, k = scale_parts(config, w[None], a[:, None])
    whole = (shapes[1][0], *shapes[0])
    return np.broadcast_to(g, whole), np.broadcast_to(k, whole)
