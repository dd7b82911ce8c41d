"""Block-scaled operands in integers, the factor that their scales make, and the real value of an accumulator."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from vsq.golden.contract.config import MacConfig, round_shift


class BlockOperand(NamedTuple):
    """Codes [..., V] and their scales [...]; the scales are None on a side whose vectors have none."""

    codes: Any
    scales: Any

    def map(self, change: Callable[[Any], Any]) -> "BlockOperand":
        """Return the operand whose arrays are what ``change`` makes of both; it acts on the leading axes."""
        return BlockOperand(change(self.codes), None if self.scales is None else change(self.scales))


def concatenate(parts: Iterable[BlockOperand]) -> BlockOperand:
    """Return operands of one configuration one after another."""
    codes, scales = zip(*parts, strict=True)
    return BlockOperand(np.concatenate(codes), None if scales[0] is None else np.concatenate(scales))


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
