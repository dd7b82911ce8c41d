"""The bit-exact model of post-processing: from accumulators to the next layer's codes and scales.

    z[l] = sat(round_half_up(acc[l] * mult[l] / 2^shift[l]) + bias[l]);   relu: z = max(z, 0)
    m    = max_l |z[l]|                          over the V lanes of one output vector

z is in units of the output's gamma, which ``mult`` has absorbed. It saturates to qmin*smax .. qmax*smax, all that codes
times scales can stand for, beyond which q and sq would be clipped to the same values; beside powers of two, to 24 bits.
With integer scales,

    sq   = min(2^M - 1, ceil(m / qmax))          0 only if m = 0
    q[l] = clip(round_half_up(z[l] / sq))        0 if sq = 0

and with small floats, as in NVFP4,

    sq   = nearest(m / qmax)                     ties to the even significand; 0 up to half of the least
    q[l] = nearest(z[l] / sq)                    likewise, and clipped; 0 if sq = 0

which are the codes and scales that :class:`vsq.golden.quantizer.core.Quantizer` makes of the reals z with gamma 1: its
float32 divisions decide as these exact quotients do (``tests/golden/test_encoder.py``). With powers of two, as in OCP
MX, top being floor(log2 qmax),

    e    = floor(log2 m)
    sq   = base + e                              0 if m = 0
    q[l] = nearest(z[l] * 2^(top - e))           likewise, and clipped

which are those of the reals z * 2^u * gamma, for a base of u + 127 - top. Without output scale, q = z. Everything is
exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import Rounding, round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Format
from vsq.golden.model.datapath import Integers


@dataclass(frozen=True, eq=False)
class LaneParams:
    """Output parameters of lanes or channels, each of shape [C]: z = round(acc * multiplier / 2^shift) + bias."""

    multiplier: Integers
    shift: Integers
    bias: Integers

    def __len__(self) -> int:
        return len(self.multiplier)

    def map(self, change: Callable[[Integers], Integers]) -> "LaneParams":
        """Return the parameters that ``change`` makes of each column."""
        return LaneParams(change(self.multiplier), change(self.shift), change(self.bias))

    def check(self, config: PeConfig) -> None:
        """Refuse parameters that the element's ports cannot carry, or that are not as many of each."""
        half = 1 << (config.bias_bits - 1)
        limits = {
            "multiplier": (0, (1 << config.multiplier_bits) - 1),
            "shift": (0, (1 << config.shift_bits) - 1),
            "bias": (-half, half - 1),
        }
        for name, (low, high) in limits.items():
            values = getattr(self, name)
            if values.shape != self.multiplier.shape:
                rule = f"there are {len(self)} multipliers; give one value each"
                raise InputError(f"{name}: shape {values.shape}, but {rule}")
            bad = np.flatnonzero((values < low) | (values > high))
            if bad.size:
                rule = f"{config} holds {low} to {high}; calibrate the output's gamma again"
                raise InputError(f"{name}[{bad[0]}] = {values[bad[0]]}: {rule}")


def rescale(config: PeConfig, acc: Integers, params: LaneParams, *, relu: bool) -> NDArray[np.int64]:
    """Return z for accumulators [rows, C] and the parameters of C lanes: the first line of the formulas above."""
    low, high = config.z_range
    narrow = config.mac.acc_bits + config.multiplier_bits <= 61 and max(params.shift, default=0) <= 61
    exact = acc.astype(np.int64 if narrow else object)
    z = np.empty(acc.shape, np.int64)
    for lane in range(acc.shape[1]):
        scaled = exact[:, lane] * int(params.multiplier[lane])
        total = round_shift(scaled, int(params.shift[lane]), Rounding.HALF_UP) + int(params.bias[lane])
        z[:, lane] = np.clip(total, low, high)
    return np.maximum(z, 0) if relu else z


def quantize(
    config: PeConfig, z: NDArray[np.int64], base: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return codes [..., V] and scales [...] of vectors z [..., V]: the formulas above from m on."""
    element, scale = config.mac.activation, config.mac.activation_scale
    if scale is None:
        return z, None
    most = np.abs(z).max(axis=-1)
    if config.floats:
        return _floats(element, scale, z, most)
    if config.powers:
        return _powers(element, z, most, base)
    scales = np.minimum(config.scale_max, -(-most // element.qmax))
    divisor = np.maximum(scales, 1)[..., None]  # a vector of zeros gives zeros
    return np.clip((2 * z + divisor) // (2 * divisor), element.qmin, element.qmax), scales


def dequantize(config: PeConfig, codes: Integers, scales: Integers | None, base: int = 0) -> Integers:
    """Return the z [..., V] that codes [..., V] and scales [...] of :func:`quantize` stand for.

    With powers of two they are integers as well: z in units of a code's is a multiple of a power of two, and what it is
    rounded to is either a multiple of it too or one of a larger step.
    """
    if scales is None:
        return codes
    if config.powers:
        places = scales - base - (config.mac.activation.qmax.bit_length() - 1)
        return np.asarray(np.ldexp(codes.astype(np.float64), places[..., None]), np.int64)
    return np.asarray(codes * scales[..., None])


def _floats(
    element: Format, scale: Format, z: NDArray[np.int64], most: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same with scales that are small floats.

    Proof that float64 decides exactly: a quotient z / sq that is no tie is 1 / (2 * sq) from the next one at least, as
    ties are multiples of 1/2. It is below 2 * qmax, and rounding moves it by less than qmax * 2^-52; z has 50 bits at
    most, hence qmax * sq < 2^51. The same holds of m / qmax.
    """
    scales = scale.codes(scale.nearest(most / element.qmax)).astype(np.int64)
    divisor = np.where(scales > 0, scales, np.inf)[..., None]
    return element.nearest(z / divisor).astype(np.int64), scales


def _powers(
    element: Format, z: NDArray[np.int64], most: NDArray[np.int64], base: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same with scales that are powers of two; float64 holds everything exactly."""
    exponents = np.frexp(most)[1] - 1
    top = element.qmax.bit_length() - 1
    codes = element.nearest(np.ldexp(z.astype(np.float64), (top - exponents)[..., None]))
    return codes.astype(np.int64), np.where(most > 0, base + exponents, 0)
