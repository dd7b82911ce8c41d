"""Weights in dual precision: stored as integers with a scale for each vector, multiplied as E4M3.

    w8[j] = E4M3(clip(q[j] * s, -224, 224))        nearest, ties to even

s is ue4m3, as a group's scale is stored in FP8; a group of several vectors repeats it. 224 is the source's limit: where
the largest E4M3 is 240, 16/15 of it, which q = -8 reaches, still fits.

Source: Gafni et al., Dual Precision Quantization (arXiv 2505.14638).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.elements import E4M3_TO_224


def multiplied(config: MacConfig, codes: Any, scales: Any) -> tuple[Any, Any]:
    """Return what multipliers see of weights, [..., V], and the scales that are left, [...] or None.

    In dual precision these are w8 in units of 2^-9, of codes q and scales s in units of 2^-9; else both as they are.
    """
    return (decoded(codes, scales), None) if config.dual_precision else (codes, scales)


def decoded(codes: Any, scales: Any) -> NDArray[np.int64]:
    """Return w8 in units of 2^-9, [..., V], of codes q [..., V] and scales s [...] in units of 2^-9."""
    return np.asarray(rounded(codes, scales), np.int64)


def rounded(codes: Any, scales: Any, xp: Any = np) -> Any:
    """Return the same in float32, exact; of NumPy or PyTorch arrays."""
    products = xp.asarray(codes, dtype=xp.float32) * xp.asarray(scales, dtype=xp.float32)[..., None]  # below 2^22
    return E4M3_TO_224.nearest(products, xp)
