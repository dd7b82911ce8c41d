"""The bit-exact model of post-processing: from accumulators to the next layer's codes and scales.

    z[l] = sat(round_half_up(acc[l] * mult[l] / 2^shift[l]) + bias[l]);   relu: z = max(z, 0)
    m    = max_l |z[l]|                          over the V lanes of one output vector
    sq   = min(2^M - 1, ceil(m / qmax))          0 only if m = 0
    q[l] = clip(round_half_up(z[l] / sq))        0 if sq = 0

z is in units of the output's gamma, which ``mult`` has absorbed. It saturates to qmin*(2^M - 1) .. qmax*(2^M - 1), all
that codes times scales can stand for; beyond it q and sq would be clipped to the same values. Without output scale,
q = z. Everything is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import Rounding, round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
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


def quantize(config: PeConfig, z: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return codes [..., V] and scales [...] of vectors z [..., V]: the last three lines of the formulas above."""
    element = config.mac.activation
    if config.mac.activation_scale is None:
        return z, None
    most = np.abs(z).max(axis=-1)
    scales = np.minimum(config.scale_max, -(-most // element.qmax))
    divisor = np.maximum(scales, 1)[..., None]  # a vector of zeros gives zeros
    return np.clip((2 * z + divisor) // (2 * divisor), element.qmin, element.qmax), scales
