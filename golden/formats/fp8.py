"""The 8-bit float E4M3 and exact sums of its products.

1 sign bit, 4 exponent bits with bias 7, 3 mantissa bits; subnormals, no infinity; S.1111.111 is NaN. Every value is a
multiple of 2^-9 and at most 448, so a product is a multiple of 2^-18 below 2^18, and a sum of K products is an integer
of 36 + ceil(log2 K) magnitude bits in that unit.

Source: FP8 Formats for Deep Learning (Micikevicius et al., arXiv 2209.05433); OCP 8-bit floating point, E4M3.
"""

from typing import Any

import numpy as np
from ml_dtypes import float8_e4m3fn
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError

MAX = 448.0
FRACTION_BITS = 9
PRODUCT_FRACTION_BITS = 2 * FRACTION_BITS

_NAN = 0x7F
_EXACT_TERMS = 1 << 17  # 2^17 products of at most 229376^2 sum up below 2^53, where float64 is exact


def encode(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the E4M3 codes nearest to float32 values, ties to even.

    Beyond 464 and NaN become NaN: the cast itself does not saturate. Float64 values are rounded to float32 first, as in
    PyTorch's casts: one that lies within that rounding of a tie counts as the tie.
    """
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32).astype(float8_e4m3fn).view(np.uint8)


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the codes' values, each of them exact in float32."""
    return np.asarray(np.asarray(codes, np.uint8).view(float8_e4m3fn), np.float32)


def fixed_point(codes: NDArray[np.uint8], name: str = "codes") -> NDArray[np.int64]:
    """Return the codes' values in units of 2^-9, exact, or raise an InputError if one is NaN."""
    codes = np.asarray(codes)
    bad = codes & 0x7F == _NAN
    if bad.any():
        where = [int(i) for i in np.argwhere(bad)[0]]
        raise InputError(f"{name}{where} is NaN in E4M3: it has no integer value; clip to +-{MAX:.0f} before the cast")
    return (decode(codes) * 2.0**FRACTION_BITS).astype(np.int64)


def matmul(x: NDArray[np.uint8], w: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return ``sum_k x[m,k] * w[n,k]`` of E4M3 codes as exact integers in units of 2^-18, int64 [M, N].

    Args:
        x, w: Codes, [M, K] and [N, K], with K below 2^27, so that no sum leaves 64 bits.

    Raises:
        InputError: If a code is NaN.
    """
    left, right = fixed_point(x, "x").astype(np.float64), fixed_point(w, "w").astype(np.float64)
    total = np.zeros((len(left), len(right)), np.int64)
    for start in range(0, left.shape[1], _EXACT_TERMS):
        part = slice(start, start + _EXACT_TERMS)
        total += (left[:, part] @ right[:, part].T).astype(np.int64)
    return total


def matmul_float32(x: NDArray[np.uint8], w: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the same sums accumulated in float32, k by k in ascending order: what a float accumulator makes of them.

    A single product is exact in float32 (8 significant bits); every addition rounds.
    """
    left, right = decode(x), decode(w)
    total = np.zeros((len(left), len(right)), np.float32)
    for k in range(left.shape[1]):
        total += left[:, k, None] * right[None, :, k]
    return total
