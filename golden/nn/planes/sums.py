"""Layers replaced by sums of layers of their kind, whose weights add up to theirs."""

from collections.abc import Callable

import torch
from torch import nn

Layer = nn.Linear | nn.Conv1d | nn.Conv2d


class SumLayer(nn.Module):
    """``y = sum of part(x)`` over the parts, which are named as they are given."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        first, *others = (part(x) for part in self.children())
        y: torch.Tensor = sum(others, start=first)
        return y


def replace_layers(model: nn.Module, by: Callable[[Layer], SumLayer | None]) -> nn.Module:
    """Replace every Linear and convolution inside ``model``, in place, by what ``by`` makes of it; return ``model``.

    The parts of the layer NAME are ``NAME.PART``, and can be quantized like any other layer. None leaves a layer as it
    is. Embeddings and norms stay, and so do the parts of earlier sums; a layer that stands in several places stays one.
    """
    if isinstance(model, Layer):
        return by(model) or model
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        if isinstance(parent, SumLayer):
            continue
        for name, child in parent._modules.items():
            if isinstance(child, Layer):
                if child not in made:
                    made[child] = by(child) or child
                setattr(parent, name, made[child])
    return model
