"""Values with the gradient of others."""

from typing import Any

import torch

from vsq.golden.quantizer.pytorch import is_traced


class _StraightThrough(torch.autograd.Function):
    """The second argument's values with the first one's gradient."""

    @staticmethod
    def forward(_ctx: Any, _x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def with_gradients() -> bool:
    """Return whether operations are recorded for gradients; graphs of ``torch.jit.trace`` are for inference alone."""
    return torch.is_grad_enabled() and not is_traced()


def straight_through(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return exactly ``values``, as if they were ``x`` to the gradient."""
    if not (x.requires_grad and with_gradients()):
        return values
    result: torch.Tensor = _StraightThrough.apply(x, values)  # type: ignore[no-untyped-call]  # PyTorch leaves it so
    return result
