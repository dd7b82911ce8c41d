"""The second level: gamma, and the scales of vectors, by the kind of the scale's format.

With peak the largest magnitude of a vector, s = peak / qmax, and smax the largest scale, all in float32:

    integers         gamma = (max s) / smax             sq = round(s / gamma)       VS-Quant
    small floats     gamma = max peak / (qmax * smax)   sq = nearest(s / gamma)     NVFP4, NVINT4
    powers of two    gamma = 2^-f                       sq = 2^(floor(log2 peak) - floor(log2 qmax)) / gamma      OCP MX

where 2^-f is the unit of the element's codes: that of a small float, and 2^-(bits - 2) of an integer, which MXINT8
reads as 1.ddd. Each is the definition in its source to the last bit: gamma takes up units, which are powers of two.

With "four over six" a vector's peak becomes either 6 or 4 in E2M1, whichever errs less (:func:`four_over_six`).

Source: VS-Quant (Dai et al., MLSys 2021), equations 3 to 7; OCP Microscaling Formats (MX) v1.0, section 6.3; Four Over
Six (Cook et al., arXiv 2512.02010).
"""

import math
from enum import StrEnum
from typing import Any

from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Format, IntFormat

_MANTISSA = 23  # bits of float32's


class ScaleRounding(StrEnum):
    """The rounding of s / gamma to a scale that is no power of two."""

    NEAREST = "nearest"  # the paper's: vectors far below the largest have scale 0
    CEIL = "ceil"  # never clips an element; of integers alone
    AT_LEAST_ONE = "at_least_one"  # nearest, but vectors that are not all zero do not vanish


class ScaleRule(StrEnum):
    """The power of two that a vector's peak asks for: of the three next to peak / qmax, in E8M0."""

    FLOOR = "floor"  # 2^floor(log2 peak) over 2^floor(log2 qmax): OCP's, which clips peaks beyond qmax
    CEIL = "ceil"  # the least that clips none
    EVEN = "even"  # floor's of the peak rounded to the element's mantissa


def has_fixed_gamma(scale: Format | None) -> bool:
    """Return whether gamma is the element's unit, whatever the tensor holds."""
    return isinstance(scale, E8M0)


def fraction_bits(element: Format) -> int:
    """Return f, for 2^-f as the real value of an element's code 1 whose scale is 1."""
    return element.fraction_bits or element.qmax.bit_length() - 1


def shared_gamma(
    element: Format, scale: Format | None, most: int, peaks: Any, s: Any, shape: tuple[int, ...], xp: Any
) -> Any:
    """Return gamma, of ``shape``: of the single level the largest s of what shares it.

    Args:
        most: smax, of what has scales.
        peaks: Largest magnitudes [..., G]; None where ``s`` was chosen by another rule.
    """
    parts = math.prod(shape), -1
    if has_fixed_gamma(scale):
        return xp.full_like(s.reshape(parts)[:, 0].reshape(shape), 2.0 ** -fraction_bits(element))
    floats = scale is not None and not isinstance(scale, IntFormat) and peaks is not None
    largest = xp.amax((peaks if floats else s).reshape(parts), axis=-1).reshape(shape)
    if scale is None:
        return largest
    return divided(largest, element.qmax * most if floats else most, xp)


def scale_codes(scale: Format, s: Any, gamma: Any, rounding: ScaleRounding, xp: Any) -> Any:
    """Return sq, int32, [..., G]."""
    ratio = s / or_infinite(gamma, xp)
    reals = scale.nearest(xp.ceil(ratio) if rounding == ScaleRounding.CEIL else ratio, xp)
    if rounding == ScaleRounding.AT_LEAST_ONE:
        reals = xp.where((reals == 0) & (s > 0), 1.0, reals)
    return scale.codes(reals, xp)


def exponent_codes(scale: E8M0, element: Format, peaks: Any, rule: ScaleRule, xp: Any) -> Any:
    """Return the codes that ``rule`` gives to vectors of OCP MX, int32, [..., G].

    They are exact for peaks from 2^-126 on, and near the least code below: what is above a rule's threshold carries
    from the bits of the mantissa to those of the exponent.
    """
    top = element.qmax.bit_length()
    fraction = top - element.last_step.bit_length()  # bits of the element's mantissa
    most = (element.qmax << _MANTISSA >> (top - 1)) - (1 << _MANTISSA)  # that of qmax, in float32
    added = {
        ScaleRule.FLOOR: 0,
        ScaleRule.CEIL: (1 << _MANTISSA) - 1 - most,
        ScaleRule.EVEN: 1 << (_MANTISSA - 1 - fraction),
    }[rule]
    largest = top - 1 - fraction_bits(element)  # floor(log2) of the element's largest real value
    return scale.rounded(peaks, added, xp, largest)


def power_below(value: int) -> int:
    """Return the largest power of two that is not above ``value``."""
    return 1 << (value.bit_length() - 1)


def squared_errors(ratio: Any, codes: Any, reals: Any, xp: Any) -> Any:
    """Return ``sum_j (codes * reals - ratio)^2``, [..., G]: errors of vectors [..., G, V] in units of gamma.

    They are summed as a tree, halves onto halves, so that every library gives the same float32.
    """
    errors = codes * reals[..., None] - ratio
    errors = errors * errors
    while (size := errors.shape[-1]) > 1:
        half = size // 2
        folded = errors[..., :half] + errors[..., half : 2 * half]
        errors = xp.concatenate([folded, errors[..., 2 * half :]], axis=-1) if size % 2 else folded
    return errors[..., 0]


def or_infinite(divisor: Any, xp: Any) -> Any:
    """Return the divisor, and infinity in the place of 0: a quotient by zero counts as zero."""
    return xp.where(divisor > 0, divisor, math.inf)


def divided(x: Any, constant: int, xp: Any) -> Any:
    """Return x / constant, divided as arrays: CUDA divides by a Python number as a product with its reciprocal.

    The constant must be a float32: products of the largest values are, but pass PyTorch's integers.
    """
    return x / xp.full_like(x, float(constant))
