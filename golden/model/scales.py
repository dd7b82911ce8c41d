"""Scales of a vector MAC: the factor by which dot products are multiplied, and the real value of an accumulator."""

from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.rounding import round_shift


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
    """Return the real value of an accumulator's unit, ``2^s * gamma_w * gamma_a``: the product is the real output.

    Args:
        weight_gamma: float32, N values, one for each output channel; any shape.
        activation_gamma: float32, M values, one for each row, or a single one; any shape.
        xp: The array namespace of the gammas, ``numpy`` or ``torch``.

    Returns:
        float64, [M, N] or [1, N]: multiply it with accumulators [M, N].
    """
    weight, activation = (xp.asarray(gamma, dtype=xp.float64) for gamma in (weight_gamma, activation_gamma))
    return weight.reshape(1, -1) * activation.reshape(-1, 1) * 2.0**config.scale_shift
