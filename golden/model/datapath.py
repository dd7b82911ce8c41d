"""The bit-exact model of the vector MAC, as a stream of beats and as a whole layer.

    d   = sum_j w[j]*a[j]
    p   = sw*sa                                    a side without scale contributes 1
    r   = min(2^R - 1, round(p / 2^(ws+as-R)))     or p, when R is not given
    t   = d*r
    acc = (0 if first else acc) + t                saturated or wrapped to P bits

Everything is exact. ``d``, ``p`` and ``r`` always fit ``int64``: V <= 256 products of two 16-bit codes stay below 2^40,
and a product of two 16-bit scales below 2^32. ``t`` and ``acc`` are ``int64`` where the formats' bounds prove that
``acc + t`` fits 63 bits, else Python integers in arrays of dtype ``object``.

Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig, Overflow, round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import Format

Integers = NDArray[Any]  # int64, or object holding Python integers
Flags = NDArray[np.bool_]

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
class State:
    """The accumulator's state between two beats; the default is the state after reset."""

    acc: int = 0
    overflow: bool = False


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


@dataclass(frozen=True)
class MacResult:
    """Results of a stream: one entry of ``acc`` and ``overflow`` for each beat marked ``last``."""

    acc: Integers
    overflow: Flags
    state: State
    trace: Trace | None


@dataclass(frozen=True)
class LayerResult:
    """Results of a layer, both of shape [M, N]."""

    acc: Integers
    overflow: Flags


def scale_factor(config: MacConfig, weight_scales: Any, activation_scales: Any) -> tuple[Any, Any]:
    """Return the exact scale products p and the factors r that multiply the dot products.

    Scales are integers, or ``int64`` arrays or tensors that broadcast; pass 1 for a side without scale.
    """
    product = weight_scales * activation_scales
    if config.scale_product_bits is None:
        return product, product
    rounded = round_shift(product, config.scale_shift, config.rounding)
    return product, rounded.clip(max=(1 << config.scale_product_bits) - 1)


def accumulator_unit(config: MacConfig, weight_gamma: Any, activation_gamma: Any, xp: Any = np) -> Any:
    """Return the real value of an accumulator's unit, ``2^s * gamma_w * gamma_a``, in float64.

    It is [M, N] or [1, N] for a weight gamma of each of N channels and an activation gamma of each of M rows, or a
    single one, of any shape; times the accumulators [M, N] it gives the real output. ``xp`` is NumPy or PyTorch.
    """
    weight, activation = (xp.asarray(gamma, dtype=xp.float64) for gamma in (weight_gamma, activation_gamma))
    return weight.reshape(1, -1) * activation.reshape(-1, 1) * 2.0**config.scale_shift


def constrain(total: Any, bits: int, overflow: Overflow) -> tuple[Any, Any]:
    """Bring a Python integer, or an array of integers, into ``bits``-bit two's complement.

    Returns:
        value, direction: The values that fit, and where each came from: +1 from above the range, -1 from below it, 0
        from within.
    """
    half = 1 << (bits - 1)
    low, high = -half, half - 1
    direction = (total > high) * 1 - (total < low)
    if overflow == Overflow.WRAP:
        return ((total & (2 * half - 1)) ^ half) - half, direction
    return (np.clip(total, low, high) if isinstance(total, np.ndarray) else min(max(total, low), high)), direction


def mac(
    config: MacConfig,
    weights: Integers,
    activations: Integers,
    weight_scales: Integers | None,
    activation_scales: Integers | None,
    first: Flags,
    last: Flags,
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
        state: The state before the first beat, as an earlier call returned it; None means after reset.
        trace: Whether to return every beat's intermediate values too.

    Raises:
        InputError: If shapes disagree or a code is outside its format.
    """
    shape = np.shape(weights)[:1]
    w, sw = _operand(config, "weight", weights, weight_scales, shape)
    a, sa = _operand(config, "activation", activations, activation_scales, shape)
    first, last = _marks("first", first, shape), _marks("last", last, shape)

    d = np.einsum("bv,bv->b", w, a)
    p, r = scale_factor(config, sw, sa)
    t = d.astype(_accumulation_dtype(config)) * r

    state = state or State()
    values, flags, directions = _unbounded(config, t, first, state) or _bounded(config, t, first, state)
    return MacResult(
        acc=values[last],
        overflow=flags[last],
        state=State(int(values[-1]), bool(flags[-1])) if len(values) else state,
        trace=Trace(d, p, r, t, values, flags, directions) if trace else None,
    )


def _unbounded(
    config: MacConfig, terms: Integers, first: Flags, state: State
) -> tuple[Integers, Flags, Integers] | None:
    """Return every accumulator, sticky flag and direction, computed in whole arrays; None if one overflows."""
    exact = len(terms) * _largest_term(config) < 1 << 62
    sums = np.cumsum(terms if exact else terms.astype(object))
    start = np.maximum.accumulate(np.where(first, np.arange(len(terms)), -1))  # the latest beat marked first
    values = sums - np.where(start < 0, -state.acc, (sums - terms)[start])
    half = 1 << (config.acc_bits - 1)
    if ((values < -half) | (values >= half)).any():
        return None
    flags = (start < 0) & state.overflow
    return values.astype(terms.dtype), flags, np.zeros(len(terms), np.int64)


def _bounded(config: MacConfig, terms: Integers, first: Flags, state: State) -> tuple[Integers, Flags, Integers]:
    """Return the same of one beat or more, computed beat by beat with overflow."""
    bits, acc, sticky = config.acc_bits, state.acc, state.overflow
    history = []
    for term, start in zip(terms.tolist(), first.tolist(), strict=True):
        acc, direction = constrain((0 if start else acc) + term, bits, config.overflow)
        sticky = direction != 0 or (sticky and not start)
        history.append((acc, sticky, direction))
    accs, stickies, directions = zip(*history, strict=True)
    return np.array(accs, terms.dtype), np.array(stickies, np.bool_), np.array(directions, np.int64)


def matmul(config: MacConfig, weights: BlockOperand, activations: BlockOperand) -> LayerResult:
    """Multiply a whole layer: each result starts at 0 and accumulates its G vectors in order.

    Equal to :func:`mac` over the same beats. The dot products go through BLAS in floating point, which is exact because
    every partial sum is an integer below 2^24 (float32) or 2^53 (float64).

    Args:
        weights: N output channels, [N, G, V] and [N, G].
        activations: M rows, [M, G, V] and [M, G].

    Raises:
        InputError: If shapes disagree or a code is outside its format.
    """
    for name, operand in (("weights", weights), ("activations", activations)):
        if len(shape := np.shape(operand.codes)) != 3:
            raise InputError(f"{name}: shape {shape}, but a layer's codes have 3 axes [rows, groups, V]; reshape them")
    (channels, groups, _), rows = np.shape(weights.codes), len(activations.codes)
    w, sw = _operand(config, "weight", *weights, (channels, groups))
    a, sa = _operand(config, "activation", *activations, (rows, groups))

    dtype = _accumulation_dtype(config)
    real = np.float32 if _largest_dot(config) < 1 << 24 else np.float64
    may_overflow = groups * _largest_term(config) > (1 << (config.acc_bits - 1)) - 1
    w_groups = np.ascontiguousarray(w.transpose(1, 2, 0), real)  # [G, V, N]
    a_groups = np.ascontiguousarray(a.transpose(1, 0, 2), real)  # [G, M, V]

    acc: Integers = np.zeros((rows, channels), dtype)
    overflow = np.zeros((rows, channels), np.bool_)
    step = max(1, _BLOCK_ELEMENTS // max(1, channels))
    for begin in range(0, rows, step):
        block = slice(begin, begin + step)
        for g in range(groups):
            d = (a_groups[g, block] @ w_groups[g]).astype(np.int64).astype(dtype, copy=False)
            _, r = scale_factor(config, sw[None, :, g], sa[block, None, g])
            total = acc[block] + d * r
            if may_overflow:
                total, direction = constrain(total, config.acc_bits, config.overflow)
                overflow[block] |= direction != 0
            acc[block] = total
    return LayerResult(acc, overflow)


def _largest_dot(config: MacConfig) -> int:
    """Bound of |d| and of each of its partial sums: V times the largest product of magnitudes."""
    return config.vector_size * prod(max(-fmt.min, fmt.max) for fmt in (config.weight, config.activation))


def _largest_term(config: MacConfig) -> int:
    """Bound of |t|: the largest |d| times the largest r, which is below 2^R or is the largest exact product."""
    factor = prod(scale.max for scale in config.scales if scale)
    if config.scale_product_bits is not None:
        factor = min(factor, (1 << config.scale_product_bits) - 1)
    return _largest_dot(config) * factor


def _accumulation_dtype(config: MacConfig) -> type:
    """``int64`` if |acc| + |t| <= 2^(P-1) + largest |t| fits it, else ``object``."""
    fits = (1 << (config.acc_bits - 1)) + _largest_term(config) < 1 << 63
    return np.int64 if fits else object


def _operand(config: MacConfig, side: str, codes: Any, scales: Any, shape: tuple[int, ...]) -> tuple[Integers, ...]:
    """Return checked codes [*shape, V] and scales [*shape] of a side; the scales of one that has none are 1."""
    checked = _codes(f"{side}s", codes, (*shape, config.vector_size), getattr(config, side))
    name, fmt = f"{side}_scales", getattr(config, f"{side}_scale")
    if fmt is None:
        if scales is not None:
            raise InputError(f"{name}: given, but the configuration has no scale on that side; pass None")
        return checked, np.ones(shape, np.int64)
    if scales is None:
        raise InputError(f"{name}: None, but the configuration has {fmt.bits}-bit scales there; give an array {shape}")
    return checked, _codes(name, scales, shape, fmt)


def _codes(name: str, codes: Any, shape: tuple[int, ...], fmt: Format) -> Integers:
    """Return ``codes`` as ``int64`` after checking their shape and range."""
    array: Integers = np.asarray(codes)
    if array.shape != shape:
        raise InputError(f"{name}: shape {array.shape} where {shape} is needed; reshape it or change the configuration")
    fmt.check(array, name)
    return array.astype(np.int64)


def _marks(name: str, marks: Any, shape: tuple[int, ...]) -> Flags:
    array: Flags = np.asarray(marks)
    if array.shape != shape or array.dtype != np.bool_:
        given = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"{name}: {given} where bool of shape {shape} is needed; convert it")
    return array
