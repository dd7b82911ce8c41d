"""Scales of least squared error, and tensors approximated by two quantized planes.

    alpha = argmin ||T - alpha*Q||^2,  Q = clip(round(T / alpha))

for each gamma of the single level, instead of absmax / qmax. The error of a quantized vector has many local minima in
its scale, the more the shorter the vector: a grid finds the basin, and golden sections (the source's whole search) its
bottom. On two levels nothing lies between integers: each vector takes the scale sq of least error on the final grid,

    sq = argmin over integers of ||T - sq*gamma*Q||^2,  Q = clip(round(T / (sq*gamma)))

and gamma is the one, of some around that of absmax, for which these errors sum to the least. Scales that are small
floats are searched in the same way; powers of two have one gamma, and each vector the best of three.

Where elements are not equally important, importance h weights their errors: h * (T - alpha*Q)^2.

Where one plane is too coarse, T ~ alpha_1*Q_1 + alpha_2*Q_2 ("dual"): alpha_1 is searched with the error that is left
after the best alpha_2 for its residual, since the alpha_1 that is best by itself clips what no second plane restores.

Source: Choukroun et al., Low-bit Quantization of Neural Networks for Efficient Inference (arXiv 1902.06822).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.second_level import has_fixed_gamma
from vsq.golden.quantizer.tensor import Quantized, step_size

Pair = tuple[torch.Tensor, torch.Tensor]
Planes = tuple[Quantized[torch.Tensor], ...]

HIGHEST = 1.5
LOWEST = 0.05
_GOLDEN = (math.sqrt(5) - 1) / 2
_NESTED = (20, 6)  # points and sections: the effort of a search and of each search inside it
_GAMMAS = (1.0, 1.04, 1.02, 0.97, 0.94, 0.91, 0.88, 0.84)  # tried on two levels, in those of absmax, with
_COARSE = 16  # integer scales each


@torch.no_grad()
def quantize(
    quantizer: Quantizer,
    x: torch.Tensor,
    *,
    importance: torch.Tensor | None = None,
    name: str = "tensor",
    points: int = 40,
    sections: int = 10,
) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with the scales of least squared error, which is never above that of absmax.

    On two levels the result does not depend on the quantizer's order and scale rounding.

    Args:
        importance: Of the elements, not negative, in a shape that broadcasts to that of ``x``; None for all the same.
        name: Of ``x`` in error messages.
        points, sections: The effort of the search, see :func:`minimize`; on two levels ``points`` integers are tried.

    Raises:
        InputError: As :meth:`vsq.golden.quantizer.core.Quantizer.quantize` does.
    """
    if quantizer.scale is not None:
        return _two_levels(quantizer, x, importance, points, sections, name)
    groups, peak = _groups(quantizer, x, name)
    weights = None if importance is None else importance.expand(x.shape).reshape(groups.shape)
    factor, _ = _single(quantizer, groups, points, sections, weights)
    return _with_factors(quantizer, x, factor * peak, name)


@torch.no_grad()
def best_steps(
    quantizer: Quantizer, groups: torch.Tensor, points: int, sections: int, weights: torch.Tensor | None
) -> torch.Tensor:
    """Return the real steps [...] that give groups [..., elements] the least squared error under weights."""
    normalized, peak = _normalized(groups)
    return _single(quantizer, normalized, points, sections, weights)[0] * peak / quantizer.element.qmax


def low_factor(quantizer: Quantizer, size: int) -> float:
    """Return the least factor of absmax / qmax that can be the best one for ``size`` elements.

    With absmax M, the factor 1 errs by at most size*(M*step / 2qmax)^2, and a factor f clips M alone by (1-f)*M, so
    the best f is at least 1 - sqrt(size)*step / 2qmax, with the format's largest step.
    """
    element = quantizer.element
    return max(LOWEST, 1 - math.sqrt(size) * element.last_step / (2 * element.qmax))


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


def _single(
    quantizer: Quantizer, groups: torch.Tensor, points: int, sections: int, weights: torch.Tensor | None = None
) -> Pair:
    """Return the best factor of absmax / qmax, and its squared error."""
    low = low_factor(quantizer, groups.shape[-1]) if weights is None else LOWEST

    def error(factor: torch.Tensor) -> torch.Tensor:
        return _sum(_rounded(quantizer, groups, factor).sub_(groups), weights)

    return minimize(error, groups[..., 0], points, sections, low)


def _sum(difference: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the squares, weighted, summed over the last axis; ``difference`` is lost."""
    squares = difference.square_()
    return (squares if weights is None else squares.mul_(weights)).sum(dim=-1)


def _rounded(quantizer: Quantizer, groups: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return alpha*Q for normalized groups: alpha = factor / qmax."""
    alpha = (factor / quantizer.element.qmax)[..., None]
    rounded: torch.Tensor = quantizer.element.nearest(groups / alpha, torch)
    return rounded.mul_(alpha)


def _with_factors(quantizer: Quantizer, x: torch.Tensor, threshold: torch.Tensor, name: str) -> Quantized[torch.Tensor]:
    """Return ``x`` quantized with alpha = threshold / qmax, which two levels round to their scales."""
    level = "gamma" if quantizer.scale is None else "vector_scales"
    return pytorch.quantize(quantizer, x, name=name, **{level: threshold / quantizer.element.qmax})


# Two levels ---------------------------------------------------------------------------------------------------


def _two_levels(
    quantizer: Quantizer, x: torch.Tensor, importance: torch.Tensor | None, points: int, sections: int, name: str
) -> Quantized[torch.Tensor]:
    plain = pytorch.quantize(quantizer, x, name=name)  # refuses what cannot be quantized
    assert plain.scales is not None
    assert quantizer.scale is not None
    real = quantizer.split(x.detach().float(), torch)
    unit = torch.exp2(plain.gamma.double().frexp().exponent)  # in which errors neither overflow nor vanish
    vectors, absmax = (real / unit[..., None]).float(), (plain.gamma / unit).float()
    weights = None if importance is None else quantizer.split(importance.float().expand(x.shape), torch)

    def total(scales: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        """Return the squared errors, summed over what shares a gamma."""
        errors = scale_errors(quantizer, vectors, scales, gamma, weights).double()
        return errors.reshape(gamma.numel(), -1).sum(dim=1).reshape(gamma.shape)

    alpha = best_steps(quantizer, vectors, points, sections, weights)
    largest = alpha.reshape(absmax.numel(), -1).amax(dim=1).reshape(absmax.shape) / quantizer.scale.max
    scales: torch.Tensor = quantizer.scale.reals(plain.scales, torch)
    gamma, least = absmax, total(scales, absmax)
    gammas = [] if has_fixed_gamma(quantizer.scale) else [*(absmax * factor for factor in _GAMMAS), largest]
    for candidate, effort in (*((each, _COARSE) for each in gammas), (None, points)):
        tried = gamma if candidate is None else candidate  # the best one, in the end, with all effort
        found = best_scales(quantizer, vectors, tried, effort, weights)
        error = total(found, tried)
        wins = error < least
        scales, gamma, least = (torch.where(wins, *pair) for pair in ((found, scales), (tried, gamma), (error, least)))
    gamma = (gamma * unit).float()
    codes = quantizer.element.nearest(_over(real, step_size(scales, gamma, torch)), torch)
    codes = quantizer.element.codes(codes, torch)
    return replace(plain, codes=codes, scales=quantizer.scale.codes(scales, torch), gamma=gamma)


def best_scales(
    quantizer: Quantizer, vectors: torch.Tensor, gamma: torch.Tensor, points: int, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the scales, as floats [..., G], that give vectors [..., G, V] the least squared error under gamma.

    ``points`` values in equal steps are tried for each vector, all integers where there are no more, from the least
    that can be the best (:func:`low_factor`; where weights make clipping cheap, from one twice as far below absmax).
    Of powers of two the nearest is tried, its half and its double.
    """
    scale = quantizer.scale
    assert scale is not None
    low = low_factor(quantizer, vectors.shape[-1])
    low = low if weights is None else max(LOWEST, 2 * low - 1)
    ratio = _over(vectors.abs().amax(dim=-1, keepdim=True), gamma.expand(vectors.shape[:-1]))[..., 0]
    ratio = ratio / quantizer.element.qmax
    best: torch.Tensor = scale.nearest(ratio, torch)
    tried: Iterable[torch.Tensor]
    if has_fixed_gamma(scale):
        tried = best / 2, best * 2
    else:
        ratio = ratio.clamp(max=scale.max)
        first, last = (low * ratio).floor(), (HIGHEST * ratio).ceil().clamp(max=scale.max)
        tried = (first + (last - first) * (i / (points - 1)) for i in range(points))
    least = scale_errors(quantizer, vectors, best, gamma, weights)
    for candidate in tried:
        scales = scale.nearest(candidate, torch)
        errors = scale_errors(quantizer, vectors, scales, gamma, weights)
        wins = errors < least
        best, least = torch.where(wins, scales, best), torch.where(wins, errors, least)
    return best


def scale_errors(
    quantizer: Quantizer,
    vectors: torch.Tensor,
    scales: torch.Tensor,
    gamma: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the squared errors [..., G] of vectors [..., G, V] with scales, which are values and not codes."""
    step = step_size(scales, gamma, torch)
    codes, unit = quantizer.multiplied(quantizer.element.nearest(_over(vectors, step), torch), scales, gamma, torch)
    return _sum(codes.mul_(unit[..., None]).sub_(vectors), weights)


def _over(vectors: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return vectors / step, and 0 where the step is 0."""
    return vectors / torch.where(step > 0, step, math.inf)[..., None]


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
