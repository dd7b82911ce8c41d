"""Scales of least squared error, and tensors approximated by two quantized planes.

    alpha = argmin ||T - alpha*Q||^2,  Q = clip(round(T / alpha))

one alpha per vector (two levels) or per gamma (single level), instead of absmax / qmax. The second level rounds alpha
to sq*gamma; the codes are then computed anew with that step (order ``requantized``).

Where one plane is too coarse, T ~ alpha_1*Q_1 + alpha_2*Q_2 ("dual"): alpha_1 is searched with the error that is left
after the best alpha_2 for its residual, since the alpha_1 that is best by itself clips what no second plane restores.

Source: Choukroun et al., Low-bit Quantization of Neural Networks for Efficient Inference (arXiv 1902.06822).
"""

import math

import torch

from vsq.golden.nn.search import LOWEST, Minimum, minimize
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Quantized

Planes = tuple[Quantized[torch.Tensor], ...]

_NESTED = (20, 6)  # points and sections: the effort of a search and of each search inside it


@torch.no_grad()
def quantize(
    quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor", points: int = 40, sections: int = 10
) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with the scales of least squared error.

    Args:
        points, sections: Effort of :func:`vsq.golden.nn.search.minimize`.

    Raises:
        InputError: As :meth:`vsq.golden.quantizer.core.Quantizer.quantize` does.
    """
    groups, peak = _groups(quantizer, x, name)
    return _with_factors(quantizer, x, _single(quantizer, groups, points, sections).factor * peak, name)


@torch.no_grad()
def dual(quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor") -> Planes:
    """Return two planes whose sum approximates ``x``; the second quantizes what the first, as rounded, leaves.

    Raises:
        InputError: As :meth:`vsq.golden.quantizer.core.Quantizer.quantize` does, which refuses residuals in an unsigned
            format.
    """
    groups, peak = _groups(quantizer, x, name)

    def left_over(factor: torch.Tensor) -> torch.Tensor:
        residual, size = _normalized(groups - _rounded(quantizer, groups, factor))
        return _single(quantizer, residual, *_NESTED).error * size.square()

    factor = minimize(left_over, peak, *_NESTED).factor
    first = _with_factors(quantizer, x, factor * peak, name)
    return first, quantize(quantizer, x.detach() - first.dequantize(), name=f"residual of {name}")


def approximate(quantizer: Quantizer, x: torch.Tensor, threshold: float, *, name: str = "tensor") -> Planes:
    """Return one plane, or two where ``||x - plane||^2 / ||x||^2`` is above ``threshold``.

    Raises:
        InputError: As :func:`dual` does.
    """
    single = quantize(quantizer, x, name=name)
    exact = x.detach().double()  # whose squares stay finite
    error = (exact - single.dequantize()).square().sum()
    return dual(quantizer, x, name=name) if error > threshold * exact.square().sum() else (single,)


# The search ---------------------------------------------------------------------------------------------------


def _groups(quantizer: Quantizer, x: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what shares one alpha, [..., elements], over its largest magnitude; and that magnitude, [...]."""
    gamma = pytorch.gamma(quantizer, x, name=name)  # refuses what cannot be quantized
    values = x.detach().float()
    if quantizer.scale is None:
        return _normalized(values.reshape(*gamma.shape, math.prod(values.shape) // gamma.numel()))
    return _normalized(quantizer.split(values, torch))


def _normalized(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    peak = groups.abs().amax(dim=-1)
    return groups / torch.where(peak > 0, peak, 1.0)[..., None], peak


def _single(quantizer: Quantizer, groups: torch.Tensor, points: int, sections: int) -> Minimum:
    """Return the best factor of absmax / qmax, and its squared error.

    Among V elements with absmax M, the factor 1 errs by at most V*(M*step / 2qmax)^2, and a factor f clips M alone by
    (1-f)*M, so the best f is at least 1 - sqrt(V)*step / 2qmax, with the format's largest step.
    """
    element = quantizer.element
    low = max(LOWEST, 1 - math.sqrt(groups.shape[-1]) * element.last_step / (2 * element.qmax))

    def error(factor: torch.Tensor) -> torch.Tensor:
        return (groups - _rounded(quantizer, groups, factor)).square().sum(dim=-1)

    return minimize(error, groups[..., 0], points, sections, low)


def _rounded(quantizer: Quantizer, groups: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return alpha*Q for normalized groups: alpha = factor / qmax."""
    element = quantizer.element
    alpha = (factor / element.qmax)[..., None]
    rounded: torch.Tensor = element.nearest(groups / alpha, torch)
    return rounded.mul_(alpha)


def _with_factors(quantizer: Quantizer, x: torch.Tensor, threshold: torch.Tensor, name: str) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with alpha = threshold / qmax, which two levels round to their scales."""
    alpha = threshold / quantizer.element.qmax
    level = {"gamma": alpha} if quantizer.scale is None else {"vector_scales": alpha}
    return pytorch.quantize(quantizer, x, name=name, **level)
