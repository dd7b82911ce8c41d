"""SplitQuant: a layer as the sum of three, whose weights lie closer together and so take finer scales.

    y = layer(x) = lower(x) + middle(x) + upper(x)

Weights are clustered by 3-means, over the whole tensor of a Linear and over each output kernel of a convolution. Each
plane keeps one cluster's weights and has exact zeros elsewhere; shapes do not change. The bias is clustered by itself.

A cluster of one sign is quantized as unsigned magnitudes, so that all its codes serve that side of zero.

Source: Song and Lin, SplitQuant (arXiv 2501.12428).
"""

import copy

import torch
from torch import nn

from vsq.golden.nn.planes.kmeans import boundaries
from vsq.golden.nn.planes.sums import Layer, SumLayer, replace_layers

PLANES = ("lower", "middle", "upper")


class SplitLayer(SumLayer):
    """The sum of three layers of one kind: ``lower(x) + middle(x) + upper(x)``."""


@torch.no_grad()
def split(values: torch.Tensor, *, per_kernel: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return three planes of the shape of ``values`` that sum up to it exactly: each element stands in one of them.

    Args:
        values: Weights or a bias.
        per_kernel: Whether each index of the first axis is clustered by itself.
    """
    values = values.detach()
    kernels = list(values) if per_kernel else [values]
    low, high = torch.stack([boundaries(kernel) for kernel in kernels]).unbind(dim=1)
    shape = (-1, *[1] * (values.ndim - 1)) if per_kernel else (1,) * values.ndim
    below, above = values <= low.reshape(shape), values > high.reshape(shape)
    zero = torch.zeros_like(values)
    return (
        torch.where(below, values, zero),
        torch.where(below | above, zero, values),
        torch.where(above, values, zero),
    )


def split_layer(layer: Layer) -> SplitLayer:
    """Return the layer as the sum of three copies of it that share its weights and bias out."""
    parts = [copy.deepcopy(layer) for _ in PLANES]
    for part, weight in zip(parts, split(layer.weight, per_kernel=not isinstance(layer, nn.Linear)), strict=True):
        part.weight = nn.Parameter(weight)
    if layer.bias is not None:
        for part, bias in zip(parts, split(layer.bias), strict=True):
            part.bias = nn.Parameter(bias)
    return SplitLayer(**dict(zip(PLANES, parts, strict=True)))


def split_model(model: nn.Module) -> nn.Module:
    """Replace every Linear and convolution inside ``model``, in place, by its :class:`SplitLayer`; return ``model``.

    See :func:`vsq.golden.nn.planes.sums.replace_layers`.
    """
    return replace_layers(model, split_layer)


def plane_sign(plane: torch.Tensor) -> int:
    """Return 1 for a plane without negative values, else -1 for one without positive values, else 0."""
    if bool((plane >= 0).all()):
        return 1
    return -1 if bool((plane <= 0).all()) else 0
