"""Minimising an error over one positive factor, for many tensors at once: a grid, then golden sections.

The error of a quantized vector has many local minima in its scale, the more the shorter the vector. The grid finds the
basin and golden sections its bottom.

Source: Choukroun et al. (arXiv 1902.06822), who search by golden section alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

HIGHEST = 1.5
LOWEST = 0.05
_GOLDEN = (math.sqrt(5) - 1) / 2


class Minimum(NamedTuple):
    """The factor with the least error, and that error."""

    factor: torch.Tensor
    error: torch.Tensor


def grid(points: int, low: float = LOWEST) -> list[float]:
    """Return factors from ``low`` to HIGHEST in geometric steps, ascending, and 1 in place of the nearest."""
    step = (low / HIGHEST) ** (1 / (points - 1))
    factors = [HIGHEST * step**i for i in reversed(range(points))]
    nearest = min(range(points), key=lambda i: abs(math.log(factors[i])))
    factors[nearest] = 1.0
    return factors


def minimize(
    error: Callable[[torch.Tensor], torch.Tensor],
    like: torch.Tensor,
    points: int = 40,
    sections: int = 10,
    low: float = LOWEST,
) -> Minimum:
    """Return the factors of least error, elementwise.

    Args:
        error: From factors to errors, both of the shape of ``like``.
        like: Gives shape, type and device.
        points: Grid points; 1 is among them, so that the result is never worse than factor 1.
        sections: Golden sections between the neighbours of the best grid point; each shrinks the interval to 0.618 of
            it.
        low: Where the grid begins; it ends at HIGHEST.
    """
    factors = grid(points, low)
    errors = torch.stack([error(torch.full_like(like, factor)) for factor in factors])
    least, index = errors.min(dim=0)
    table = torch.tensor([low, *factors, HIGHEST], dtype=like.dtype, device=like.device)
    best = Minimum(table[index + 1], least)
    lower, upper = table[index], table[index + 2]
    left, right = upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower)
    at_left, at_right = error(left), error(right)
    for _ in range(sections):
        best = _better(_better(best, left, at_left), right, at_right)
        shrink = at_left < at_right  # the minimum is left of ``right``
        lower, upper = torch.where(shrink, lower, left), torch.where(shrink, right, upper)
        fresh = torch.where(shrink, upper - _GOLDEN * (upper - lower), lower + _GOLDEN * (upper - lower))
        at_fresh = error(fresh)
        left, right = torch.where(shrink, fresh, right), torch.where(shrink, left, fresh)
        at_left, at_right = torch.where(shrink, at_fresh, at_right), torch.where(shrink, at_left, at_fresh)
    return _better(_better(best, left, at_left), right, at_right)


def _better(best: Minimum, factor: torch.Tensor, error: torch.Tensor) -> Minimum:
    """Return, elementwise, the factor of the smaller error."""
    wins = error < best.error
    return Minimum(torch.where(wins, factor, best.factor), torch.where(wins, error, best.error))
