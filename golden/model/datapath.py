"""The bit-exact model of the vector MAC, as a stream of beats and as a whole layer.

    d   = sum_j w[j]*a[j]
    p   = sw*sa = g*2^k                            a side without scale contributes 1; k = 0 of integers
    r   = min(2^R - 1, round(g / 2^s)) * 2^k       s = ws + as - R; or p, when R is not given
    t   = d*r
    acc = (0 if first else acc) + t                saturated or wrapped to P bits

With a window, p and r are the significands' alone, and t is what :mod:`vsq.golden.model.accumulator` makes of d * r, k
and the vector's offset. Everything else is exact. All of them are ``int64`` where the formats' bounds prove that they
fit 63 bits, and in ``acc``'s case ``acc + t``, else Python integers in arrays of dtype ``object``.

Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig, round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.model.accumulator import Flags as Flags
from vsq.golden.model.accumulator import Integers as Integers
from vsq.golden.model.accumulator import State as State
from vsq.golden.model.accumulator import accumulate, largest, term_dtype, window_terms
from vsq.golden.model.accumulator import constrain as constrain
from vsq.golden.model.dual_precision import decoded
from vsq.golden.model.operands import read_marks, read_offsets, read_operand

# Elements of one [rows, N] block of a layer: its few temporaries stay within a core's cache.
_BLOCK_ELEMENTS = 1 << 16


class BlockOperand(NamedTuple):
    """Codes [..., V] and their scales [...]; the scales are None on a side whose vectors have none."""

    codes: Any
    scales: Any

    def map(self, change: Callable[[Any], Any]) -> "BlockOperand":
        """Return the operand whose arrays are what ``change`` makes of both; it acts on the leading axes."""
        return BlockOperand(change(self.codes), None if self.scales is None else change(self.scales))

    @classmethod
    def concatenate(cls, parts: Iterable["BlockOperand"]) -> "BlockOperand":
        """Return operands of one configuration one after another."""
        codes, scales = zip(*parts, strict=True)
        return cls(np.concatenate(codes), None if scales[0] is None else np.concatenate(scales))


@dataclass(frozen=True)
class Trace:
    """Every intermediate value of every beat, each of shape [B]."""

    d: Integers
    p: Integers
    r: Integers
    t: Integers
    acc: Integers
    overflow: Flags  # sticky since the last `first`
    direction: Integers  # of this beat's overflow: +1 above the range, -1 below it, 0 none
    inexact: Flags  # sticky likewise
    invalid: Flags  # sticky likewise
    places: Integers  # of a window, by how many d * r is shifted: the exponent k less the offset; else 0


@dataclass(frozen=True)
class MacResult:
    """Results of a stream: one entry of ``acc`` and of each flag for each beat marked ``last``."""

    acc: Integers
    overflow: Flags
    inexact: Flags
    invalid: Flags  # then the rest says nothing
    state: State
    trace: Trace | None


@dataclass(frozen=True)
class LayerResult:
    """Results of a layer, all of shape [M, N]."""

    acc: Integers
    overflow: Flags
    inexact: Flags
    invalid: Flags  # then the rest says nothing


def scale_parts(config: MacConfig, weight_scales: Any, activation_scales: Any) -> tuple[Any, Any, Any]:
    """Return the products of the scales' significands, these as R rounds them, and the sums of exponents.

    Scales are integers, or ``int64`` arrays or tensors that broadcast; pass 1 for a side without scale.
    """
    sides = zip(config.scales, (weight_scales, activation_scales), strict=True)
    (w, w_exponents), (a, a_exponents) = (fmt.split(scales) if fmt else (scales, 0) for fmt, scales in sides)
    product = rounded = w * a
    if config.scale_product_bits is not None:
        rounded = round_shift(product, config.scale_shift, config.rounding)
        rounded = rounded.clip(max=(1 << config.scale_product_bits) - 1)
    return product, rounded, w_exponents + a_exponents


def scale_factor(config: MacConfig, weight_scales: Any, activation_scales: Any) -> tuple[Any, Any]:
    """Return the exact scale products p and the factors r that multiply the dot products.

    Scales are integers, or ``int64`` arrays or tensors that broadcast; pass 1 for a side without scale. There are none
    of scales that are exponents: their range takes a window (:func:`scale_parts`). Products beyond ``int64`` are Python
    integers.
    """
    if prod(scale.max for scale in config.scales if scale) >> 63:
        weight_scales, activation_scales = (
            np.asarray(scales).astype(object) for scales in (weight_scales, activation_scales)
        )
    product = weight_scales * activation_scales
    if config.scale_product_bits is None:
        return product, product
    _, rounded, exponents = scale_parts(config, weight_scales, activation_scales)
    return product, rounded << exponents


def accumulator_unit(config: MacConfig, weight_gamma: Any, activation_gamma: Any, xp: Any = np, offset: Any = 0) -> Any:
    """Return the real value of an accumulator's unit, ``2^s * gamma_w * gamma_a``, in float64.

    That of a window is 2^offset times as large, and 2^-127 for each scale ``e8m0``.

    It is [M, N] or [1, N] for a weight gamma of each of N channels and an activation gamma of each of M rows, or a
    single one, of any shape; times the accumulators [M, N] it gives the real output. ``xp`` is NumPy or PyTorch.
    """
    weight, activation = (xp.asarray(gamma, dtype=xp.float64) for gamma in (weight_gamma, activation_gamma))
    exponent = offset + config.scale_shift - sum(scale.origin for scale in config.scales if scale)
    return weight.reshape(1, -1) * activation.reshape(-1, 1) * 2.0**exponent


def mac(
    config: MacConfig,
    weights: Integers,
    activations: Integers,
    weight_scales: Integers | None,
    activation_scales: Integers | None,
    first: Flags,
    last: Flags,
    offsets: Integers | None = None,
    *,
    state: State | None = None,
    trace: bool = False,
) -> MacResult:
    """Feed B beats to one vector MAC.

    ``first`` restarts the accumulator and its sticky overflow flag; ``last`` hands the result out and clears nothing:
    a beat after it without ``first`` goes on accumulating.

    Args:
        weights, activations: Codes, [B, V].
        weight_scales, activation_scales: Codes, [B]; None for a side whose configuration has no scale.
        first, last: Marks, [B].
        offsets: Of a window, [B], 0 to 2^b - 1, b being ``config.offset_bits``; None without one.
        state: The state before the first beat, as an earlier call returned it; None means after reset.
        trace: Whether to return every beat's intermediate values too.

    Raises:
        InputError: If shapes disagree or a code is outside its format.
    """
    shape = np.shape(weights)[:1]
    if config.dual_precision:
        w8, _ = _multiplied(config, weights, weight_scales, shape)
        operands = w8, activations, None, activation_scales, first, last, offsets
        return mac(config.multiplied, *operands, state=state, trace=trace)
    w, sw, w_nan = read_operand(config, "weight", weights, weight_scales, shape)
    a, sa, a_nan = read_operand(config, "activation", activations, activation_scales, shape)
    first, last = read_marks("first", first, shape), read_marks("last", last, shape)

    dot_dtype = _dot_dtype(config)
    d = np.einsum("bv,bv->b", w.astype(dot_dtype, copy=False), a.astype(dot_dtype, copy=False))
    offsets = read_offsets(config, offsets, shape)
    p, r, places, t, lost = _terms(config, d, sw, sa, offsets)

    state = state or State()
    after = accumulate(config, t, lost, w_nan | a_nan, first, state)
    if len(t):
        state = State(int(after.acc[-1]), *(bool(flag[-1]) for flag in (after.overflow, after.inexact, after.invalid)))
    return MacResult(
        acc=after.acc[last],
        overflow=after.overflow[last],
        inexact=after.inexact[last],
        invalid=after.invalid[last],
        state=state,
        trace=Trace(d, p, r, t, **vars(after), places=places) if trace else None,
    )


def _terms(config: MacConfig, d: Any, sw: Any, sa: Any, offsets: Any) -> tuple[Any, ...]:
    """Return p, r, places, the terms and whether they lost bits, of dot products and scales that broadcast."""
    exact = d.astype(term_dtype(config), copy=False)
    if config.window is None:
        p, r = scale_factor(config, sw, sa)
        t, places, lost = exact * r, offsets, np.zeros(np.shape(d), np.bool_)
    else:
        p, r, k = scale_parts(config, sw, sa)
        p, r, places = (np.broadcast_to(each, np.shape(d)) for each in (p, r, k - offsets))
        t, lost = window_terms(config, exact * r, places)
    return p, r, places, t, lost


def matmul(config: MacConfig, weights: BlockOperand, activations: BlockOperand, offsets: Any = None) -> LayerResult:
    """Multiply a whole layer: each result starts at 0 and accumulates its G vectors in order.

    Equal to :func:`mac` over the same beats. The dot products go through BLAS in floating point where every partial sum
    is an integer below 2^24 (float32) or 2^53 (float64), and so exact.

    Args:
        weights: N output channels, [N, G, V] and [N, G].
        activations: M rows, [M, G, V] and [M, G].
        offsets: Of a window, one for all results or what broadcasts to [M, N]; None without one.

    Raises:
        InputError: If shapes disagree or a code is outside its format.
    """
    for name, operand in (("weights", weights), ("activations", activations)):
        if len(shape := np.shape(operand.codes)) != 3:
            raise InputError(f"{name}: shape {shape}, but a layer's codes have 3 axes [rows, groups, V]; reshape them")
    (channels, groups, _), rows = np.shape(weights.codes), len(activations.codes)
    if config.dual_precision:
        return matmul(config.multiplied, _multiplied(config, *weights, (channels, groups)), activations, offsets)
    w, sw, w_nan = read_operand(config, "weight", *weights, (channels, groups))
    a, sa, a_nan = read_operand(config, "activation", *activations, (rows, groups))

    offsets = read_offsets(config, offsets, (rows, channels))

    dot_dtype, most = _dot_dtype(config), _largest_dot(config)
    factors = np.float32 if most < 1 << 24 else np.float64 if most < 1 << 53 else dot_dtype
    half = 1 << (config.acc_bits - 1)
    may_overflow = config.window is not None or groups * largest(config.term_range) >= half
    w_groups: NDArray[Any] = np.ascontiguousarray(w.transpose(1, 2, 0), factors)  # [G, V, N]
    a_groups: NDArray[Any] = np.ascontiguousarray(a.transpose(1, 0, 2), factors)  # [G, M, V]

    acc: Integers = np.zeros((rows, channels), term_dtype(config))
    overflow, inexact = np.zeros((2, rows, channels), np.bool_)
    step = max(1, _BLOCK_ELEMENTS // max(1, channels))
    for begin in range(0, rows, step):
        block = slice(begin, begin + step)
        for g in range(groups):
            d = (a_groups[g, block] @ w_groups[g]).astype(dot_dtype, copy=False)
            *_, t, lost = _terms(config, d, sw[None, :, g], sa[block, None, g], offsets[block])
            inexact[block] |= lost
            total = acc[block] + t
            if may_overflow:
                total, direction = constrain(total, config.acc_bits, config.overflow)
                overflow[block] |= direction != 0
            acc[block] = total
    return LayerResult(acc, overflow, inexact, a_nan.any(axis=1)[:, None] | w_nan.any(axis=1))


def _multiplied(config: MacConfig, codes: Any, scales: Any, shape: tuple[int, ...]) -> BlockOperand:
    """Return checked weights in dual precision as what multipliers see, without scales."""
    checked, found, _ = read_operand(config, "weight", codes, scales, shape)
    return BlockOperand(decoded(checked, found), None)


def _largest_dot(config: MacConfig) -> int:
    """Bound of |d| and of each of its partial sums: V times the largest product of magnitudes."""
    return config.vector_size * prod(max(-fmt.min, fmt.max) for fmt in (config.weight, config.activation))


def _dot_dtype(config: MacConfig) -> type:
    """``int64`` if |d| fits it, else ``object``."""
    return np.int64 if _largest_dot(config) < 1 << 63 else object
