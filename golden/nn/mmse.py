"""Scales of least squared error, and tensors approximated by two quantized planes.

    alpha = argmin ||T - alpha*Q||^2,  Q = clip(round(T / alpha))

one alpha per vector (two levels) or per gamma (single level), instead of absmax / qmax. The second level rounds alpha
to sq*gamma; the codes are then computed anew with that step (order ``requantized``).

The error of a quantized vector has many local minima in its scale, the more the shorter the vector: a grid finds the
basin, and golden sections (the source's whole search) its bottom.

Where one plane is too coarse, T ~ alpha_1*Q_1 + alpha_2*Q_2 ("dual"): alpha_1 is searched with the error that is left
after the best alpha_2 for its residual, since the alpha_1 that is best by itself clips what no second plane restores.

Source: Choukroun et al., Low-bit Quantization of Neural Networks for Efficient Inference (arXiv 1902.06822).
"""

import math
from collections.abc import Callable

import torch

from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Quantized

Pair = tuple[torch.Tensor, torch.Tensor]
Planes = tuple[Quantized[torch.Tensor], ...]

HIGHEST = 1.5
LOWEST = 0.05
_GOLDEN = (math.sqrt(5) - 1) / 2
_NESTED = (20, 6)  # points and sections: the effort of a search and of each search inside it


@torch.no_grad()
def quantize(
    quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor", points: int = 40, sections: int = 10
) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with the scales of least squared error; see :func:`minimize` for the effort.

    Raises:
        InputError: As :meth:`vsq.golden.quantizer.core.Quantizer.quantize` does.
    """
    groups, peak = _groups(quantizer, x, name)
    factor, _ = _single(quantizer, groups, points, sections)
    return _with_factors(quantizer, x, factor * peak, name)


@torch.no_grad()
def dual(quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor") -> Planes:
    """Return two planes whose sum approximates ``x``; the second quantizes what the first, as rounded, leaves.

    Raises:
        InputError: As :func:`quantize` does, which refuses residuals in an unsigned format.
    """
    groups, peak = _groups(quantizer, x, name)

    def left_over(factor: torch.Tensor) -> torch.Tensor:
        residual, size = _normalized(groups - _rounded(quantizer, groups, factor))
        _, error = _single(quantizer, residual, *_NESTED)
        return error * size.square()

    factor, _ = minimize(left_over, peak, *_NESTED)
    first = _with_factors(quantizer, x, factor * peak, name)
    return first, quantize(quantizer, x.detach() - first.dequantize(), name=f"residual of {name}")


def approximate(quantizer: Quantizer, x: torch.Tensor, threshold: float, *, name: str = "tensor") -> Planes:
    """Return one plane, or the :func:`dual` ones where ``||x - plane||^2 / ||x||^2`` is above ``threshold``."""
    single = quantize(quantizer, x, name=name)
    exact = x.detach().double()  # whose squares stay finite
    error = (exact - single.dequantize()).square().sum()
    return dual(quantizer, x, name=name) if error > threshold * exact.square().sum() else (single,)


def _groups(quantizer: Quantizer, x: torch.Tensor, name: str) -> Pair:
    """Return what shares one alpha, [..., elements], over its largest magnitude; and that magnitude, [...]."""
    gamma = pytorch.gamma(quantizer, x, name=name)  # refuses what cannot be quantized
    values = x.detach().float()
    return _normalized(values.reshape(*gamma.shape, -1) if quantizer.scale is None else quantizer.split(values, torch))


def _normalized(groups: torch.Tensor) -> Pair:
    peak = groups.abs().amax(dim=-1)
    return groups / torch.where(peak > 0, peak, 1.0)[..., None], peak


def _single(quantizer: Quantizer, groups: torch.Tensor, points: int, sections: int) -> Pair:
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
    alpha = (factor / quantizer.element.qmax)[..., None]
    rounded: torch.Tensor = quantizer.element.nearest(groups / alpha, torch)
    return rounded.mul_(alpha)


def _with_factors(quantizer: Quantizer, x: torch.Tensor, threshold: torch.Tensor, name: str) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with alpha = threshold / qmax, which two levels round to their scales."""
    level = "gamma" if quantizer.scale is None else "vector_scales"
    return pytorch.quantize(quantizer, x, name=name, **{level: threshold / quantizer.element.qmax})


# The search ---------------------------------------------------------------------------------------------------


def grid(points: int, low: float = LOWEST) -> list[float]:
    """Return factors from ``low`` to HIGHEST in geometric steps, ascending, and 1 in place of the nearest."""
    step = (low / HIGHEST) ** (1 / (points - 1))
    factors = [HIGHEST * step**i for i in reversed(range(points))]
    factors[min(range(points), key=lambda i: abs(math.log(factors[i])))] = 1.0
    return factors


def minimize(
    error: Callable[[torch.Tensor], torch.Tensor],
    like: torch.Tensor,
    points: int = 40,
    sections: int = 10,
    low: float = LOWEST,
) -> Pair:
    """Return the positive factors of least error, elementwise, and those errors: one search for many tensors at once.

    Args:
        error: From factors to errors, both of the shape, type and device of ``like``.
        points: Of the grid from ``low`` to HIGHEST; 1 is among them, so that the result is never worse than factor 1.
        sections: Golden sections between the neighbours of the best grid point, each to 0.618 of the interval.
    """
    factors = grid(points, low)
    least, index = torch.stack([error(torch.full_like(like, factor)) for factor in factors]).min(dim=0)
    table = torch.tensor([low, *factors, HIGHEST], dtype=like.dtype, device=like.device)
    best = table[index + 1]

    def tried(factor: torch.Tensor) -> torch.Tensor:
        """Return the errors; keep those that are less than all before."""
        nonlocal best, least
        errors = error(factor)
        wins = errors < least
        best, least = torch.where(wins, factor, best), torch.where(wins, errors, least)
        return errors

    lower, upper = table[index], table[index + 2]
    left, right = upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower)
    at_left, at_right = tried(left), tried(right)
    for _ in range(sections):
        shrink = at_left < at_right  # the minimum is left of ``right``
        lower, upper = torch.where(shrink, lower, left), torch.where(shrink, right, upper)
        step = _GOLDEN * (upper - lower)
        fresh = torch.where(shrink, upper - step, lower + step)
        at_fresh = tried(fresh)
        left, right = torch.where(shrink, fresh, right), torch.where(shrink, left, fresh)
        at_left, at_right = torch.where(shrink, at_fresh, at_right), torch.where(shrink, at_left, at_fresh)
    return best, least
