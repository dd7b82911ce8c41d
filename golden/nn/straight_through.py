"""Straight-through estimation: a rounded value with the gradient of what it was rounded from.

Source: Bengio et al. (arXiv 1308.3432).
"""

from typing import Any

import torch


class _StraightThrough(torch.autograd.Function):
    """The second argument's values with the first one's gradient."""

    @staticmethod
    def forward(_ctx: Any, _x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def straight_through(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return exactly ``values``, as if they were ``x`` to the gradient."""
    result: torch.Tensor = _StraightThrough.apply(x, values)  # type: ignore[no-untyped-call]  # PyTorch leaves it so
    return result
