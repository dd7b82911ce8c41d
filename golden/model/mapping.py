"""Layers as commands of a processing element: tiling, tails and padding, and the results put together again.

A Linear layer multiplies rows [M, G, V] with weights [N, G, V]; a Conv2d layer is one after :func:`unfold`. Channels
go to the lanes L at a time, and rows to the activation buffer as many at a time as fit. Weights are loaded once for a
tile of channels; activations once for all, if they fit the buffer, else again for each tile of channels. Lanes beyond N
get zero weights and parameters.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand, Integers, scale_factor
from vsq.golden.model.dual_precision import multiplied
from vsq.golden.model.pe import Command, CommandResult, Streams
from vsq.golden.model.ppu import LaneParams
from vsq.golden.model.readout import least_offsets

RAW = ("acc", "overflow", "inexact")  # what a command gives that does not requantize


def plan(
    config: PeConfig,
    weights: BlockOperand,
    activations: BlockOperand,
    *,
    params: LaneParams | None = None,
    relu: bool = False,
    offset: int | None = None,
    scale_base: int = 0,
) -> Streams:
    """Return the streams that compute a layer.

    Args:
        weights: N channels, [N, G, V] and [N, G].
        activations: M rows, [M, G, V] and [M, G].
        params: Output parameters of the N channels, by which outputs are requantized; None leaves them accumulators.
        relu: Whether negative outputs become 0; only for requantized ones.
        offset: Of a window, for all results; None takes the least one with which none overflows.
        scale_base: Of output scales that are powers of two.

    Raises:
        InputError: If the layer does not fit the element: shapes, buffer depths, post-processing, the number of its
            parameters, or the accumulator, which could overflow.
    """
    _check(config, weights, activations, params, relu)
    offset = _offset(config, weights, activations, offset)
    (channels, groups, _), rows, lanes = weights.codes.shape, len(activations.codes), config.lanes
    tiles = -(-channels // lanes)

    def by_tile(array: Integers) -> Integers:
        padded = np.pad(array, [(0, tiles * lanes - channels), *[(0, 0)] * (array.ndim - 1)])
        return padded.reshape(tiles, lanes, *array.shape[1:]).swapaxes(1, 2).reshape(-1, *array.shape[2:])

    step = min(rows, config.activation_depth // groups)
    starts = range(0, rows, step)
    commands = [
        Command(
            rows=min(step, rows - start),
            vectors=groups,
            offset=offset,
            scale_base=scale_base,
            load_weights=start == 0,
            load_activations=tile == 0 or len(starts) > 1,
            load_params=start == 0 and params is not None,
            requantize=params is not None,
            relu=relu,
        )
        for tile in range(tiles)
        for start in starts
    ]
    repeats = tiles if len(starts) > 1 else 1
    return Streams(
        commands=commands,
        weights=weights.map(by_tile),
        activations=activations.map(lambda array: np.concatenate([array.reshape(-1, *array.shape[2:])] * repeats)),
        params=None if params is None else params.map(lambda column: np.pad(column, (0, tiles * lanes - channels))),
    )


def gather(config: PeConfig, results: Sequence[CommandResult], rows: int, channels: int) -> CommandResult:
    """Return the results of the commands that :func:`plan` gave as those of one command with a lane for each channel.

    That is accumulators and their flags [M, N], or codes [M, G', V] and scales [M, G']; G' = ceil(N / V), and the
    tail is zero: the codes are rows of the next layer as they are.
    """
    tiles, vectors = -(-channels // config.lanes), -(-channels // config.mac.vector_size)
    columns: dict[str, Integers | None] = {}
    for name, width in {**dict.fromkeys(RAW, channels), "codes": vectors, "scales": vectors}.items():
        parts = [getattr(result, name) for result in results]
        if all(part is not None for part in parts):
            stacked = np.concatenate(parts)  # [tiles * rows, lanes or vectors, ...]
            by_tile = stacked.reshape(tiles, rows, *stacked.shape[1:]).swapaxes(0, 1)
            columns[name] = by_tile.reshape(rows, -1, *stacked.shape[2:])[:, :width]
    return CommandResult(**columns)


def unfold(maps: BlockOperand, *, kernel: int, padding: int = 0, stride: int = 1) -> BlockOperand:
    """Return a convolution's rows from feature maps whose vectors run along the channels.

    Args:
        maps: [B, H, W, G, V] and [B, H, W, G].
        kernel, padding, stride: Side of the square window, zeros around the map, and step of the window.

    Returns:
        [B*H'*W', kernel^2 * G, V] and [B*H'*W', kernel^2 * G], window positions in row-major order.
    """
    height, width = maps.codes.shape[1:3]
    if min(height, width) + 2 * padding < kernel:
        size = f"the {height}x{width} map with padding {padding}"
        raise InputError(f"kernel {kernel}: larger than {size}; use a smaller one")

    def windows(array: Integers) -> Integers:
        rest = array.shape[3:]
        padded = np.pad(array, [(0, 0), (padding, padding), (padding, padding), *[(0, 0)] * len(rest)])
        views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
        ordered = np.moveaxis(views[:, ::stride, ::stride], (-2, -1), (3, 4))  # [B, H', W', k, k, G, ...]
        return ordered.reshape(-1, kernel * kernel * rest[0], *rest[1:])

    return maps.map(windows)


def fit_params(config: PeConfig, factors: NDArray[Any], biases: NDArray[Any]) -> LaneParams:
    """Return the integer parameters nearest to z = acc * factor + bias, real [N] in units of the output's gamma.

    The multiplier uses all its bits: its relative error is at most 2^-bits, unless the shift is at its limit.

    Raises:
        InputError: If a factor is negative, not finite or too large, or a bias does not fit.
    """
    most, bits = (1 << config.shift_bits) - 1, config.multiplier_bits
    real = np.asarray(factors, np.float64)
    bad = np.flatnonzero(~((real >= 0) & (real < 2.0**bits - 0.5)))
    if bad.size:
        rule = f"must be from 0 to below 2^{bits}; calibrate the output's gamma again"
        raise InputError(f"factor[{bad[0]}] = {real[bad[0]]}: {rule}")
    shift = np.clip(bits - np.frexp(real)[1], 0, most).astype(np.int64)
    multiplier = np.rint(np.ldexp(real, shift)).astype(np.int64)
    carried = multiplier == 1 << bits  # rounding up gave a power of two
    bias = np.rint(np.asarray(biases, np.float64)).astype(np.int64)
    params = LaneParams(multiplier >> carried, shift - carried, bias)
    params.check(config)
    return params


def scale_base(config: PeConfig, unit: int) -> int:
    """Return the base of output scales that are powers of two, where z counts 2^unit times the output's gamma.

    Raises:
        InputError: If scales cannot stand for all z.
    """
    scale, element = config.mac.activation_scale, config.mac.activation
    assert scale is not None
    base = unit + scale.origin - (element.qmax.bit_length() - 1)
    if not 0 <= base <= config.scale_base_max:
        raise InputError(f"outputs in units of 2^{unit}: scales {scale} do not reach them; scale the layer's weights")
    return base


def _check(
    config: PeConfig, weights: BlockOperand, activations: BlockOperand, params: LaneParams | None, relu: bool
) -> None:
    left, right = weights.codes.shape, activations.codes.shape
    if len(left) != 3 or len(right) != 3 or left[1:] != right[1:]:
        rule = "[N, G, V] and [M, G, V] with the same G and V are needed; unfold or reshape them"
        raise InputError(f"weights {left} and activations {right}: {rule}")
    (channels, groups, size), rows = left, right[0]
    if not channels or not groups or not rows or size != config.mac.vector_size:
        rule = f"the element computes at least one of each, of V = {config.mac.vector_size}; reshape them"
        raise InputError(f"{rows} rows of {groups} vectors of {size} for {channels} channels: {rule}")
    for name, depth in (("weight", config.weight_depth), ("activation", config.activation_depth)):
        if groups > depth:
            remedy = f"give {name}_depth={1 << (groups - 1).bit_length()} or split the layer"
            raise InputError(f"{groups} vectors a row: the {name} buffer holds {depth}; {remedy}")
    if params is None and relu:
        raise InputError("relu: accumulators leave the element as they are; give output parameters too")
    if params is not None:
        if not config.ppu:
            raise InputError(f"output parameters: {config} has no post-processing; leave them out or give ppu=on")
        params.check(config)
        if len(params) != channels:
            raise InputError(f"{len(params)} output parameters for {channels} channels: each has its own; give as many")
    if config.mac.window:
        return
    (low, high), bits = accumulator_range(config, weights), config.mac.acc_bits
    if low < -1 << (bits - 1) or high >= 1 << (bits - 1):
        rule = f"may pass their {bits} bits; give more accumulator bits or split the layer"
        raise InputError(f"{groups} vectors: accumulators from {low} to {high} {rule}")


def _offset(config: PeConfig, weights: BlockOperand, activations: BlockOperand, offset: int | None) -> int:
    """Return a window's offset, as given or the least one with which nothing overflows; 0 without a window."""
    if config.mac.window is None:
        if offset is not None:
            raise InputError(f"offset = {offset}: the accumulators of {config} are no windows; leave it out")
        return 0
    least = int(least_offsets(config.mac, *map(_largest_scales, (weights, activations))).max())
    if offset is not None and offset < least:
        rule = f"accumulators may pass their {config.mac.acc_bits} bits; give {least} or more"
        raise InputError(f"offset = {offset}: {rule}")
    return least if offset is None else offset


def _largest_scales(operand: BlockOperand) -> BlockOperand:
    """Return one row with the largest scale of each place."""
    return operand.map(lambda array: array.max(axis=0, keepdims=True))


def accumulator_range(config: PeConfig, weights: BlockOperand) -> tuple[int, int]:
    """Return the proven range of a layer's accumulators for all activations: any order of summation is safe.

    Each weight takes the activation that makes its product extreme, each vector the largest activation scale, and
    partial sums of one sign are bounded by the whole sum of that sign.

    Source: A2Q (Colbert et al., ICCV 2023, arXiv 2301.13376), here with per-vector scales.
    """
    mac, (seen, left) = config.mac.multiplied, multiplied(config.mac, *weights)
    codes = seen.astype(np.int64)
    scales = np.int64(1) if left is None else left.astype(np.int64)
    factors = np.broadcast_to(scale_factor(mac, scales, config.scale_max)[1], codes.shape[:2]).astype(object)
    ends = [codes * end for end in (mac.activation.min, mac.activation.max)]
    low, high = (np.sum(pick(*ends), axis=2).astype(object) for pick in (np.minimum, np.maximum))
    return min(0, *(low * factors).sum(axis=1)), max(0, *(high * factors).sum(axis=1))
