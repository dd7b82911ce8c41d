"""SplitQuant: a layer as the sum of three, whose weights lie closer together and so take finer scales.

    y = layer(x) = lower(x) + middle(x) + upper(x)

Weights are clustered by 3-means, over the whole tensor of a Linear and over each output kernel of a convolution. Each
plane keeps one cluster's weights and has exact zeros elsewhere; shapes do not change. The bias is clustered by itself.

A cluster of one sign is quantized as unsigned magnitudes, so that all its codes serve that side of zero.

Source: Song and Lin, SplitQuant (arXiv 2501.12428).
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

Layer = nn.Linear | nn.Conv1d | nn.Conv2d

PLANES = ("lower", "middle", "upper")
_STEPS = 256


class SumLayer(nn.Module):
    """``y = sum of part(x)`` over layers of one kind, which are named as they are given."""

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


class SplitLayer(SumLayer):
    """The sum of three layers of one kind: ``lower(x) + middle(x) + upper(x)``."""


def split_model(model: nn.Module) -> nn.Module:
    """Return ``model``, whose Linear and convolution layers become :class:`SplitLayer` by :func:`replace_layers`."""
    return replace_layers(model, split_layer)


def split_layer(layer: Layer) -> SplitLayer:
    """Return the layer as the sum of three copies of it that share its weights and bias out."""
    parts = {name: copy.deepcopy(layer) for name in PLANES}
    weights = split(layer.weight, per_kernel=not isinstance(layer, nn.Linear))
    biases = [None] * len(PLANES) if layer.bias is None else split(layer.bias)
    for part, weight, bias in zip(parts.values(), weights, biases, strict=True):
        part.weight = nn.Parameter(weight)
        part.bias = None if bias is None else nn.Parameter(bias)
    return SplitLayer(**parts)


@torch.no_grad()
def split(values: torch.Tensor, *, per_kernel: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return three planes of the shape of ``values`` that sum up to it exactly: each element stands in one of them.

    With ``per_kernel`` each index of the first axis is clustered by itself.
    """
    values = values.detach()
    kernels = values.flatten(1) if per_kernel else values.reshape(1, -1)
    low, high = torch.stack([boundaries(kernel) for kernel in kernels]).T.reshape(2, -1, *[1] * (values.ndim - 1))
    below, above = values <= low, values > high
    lower, middle, upper = (torch.where(plane, values, 0.0) for plane in (below, ~below & ~above, above))
    return lower, middle, upper


def plane_sign(plane: torch.Tensor) -> int:
    """Return 1 for a plane without negative values, else -1 for one without positive values, else 0."""
    return 1 if (plane >= 0).all() else -1 if (plane <= 0).all() else 0


def boundaries(values: torch.Tensor) -> torch.Tensor:
    """Return the two numbers that part ``values`` into three clusters of least squared distance to their centres.

    They are the midpoints of neighbouring centres; a value on a boundary belongs below it. Clusters of numbers are
    intervals, so all pairs of cuts are tried: exact up to 256 distinct values. Of more, only cuts at 256 equal steps in
    rank and at 256 equal steps in value are tried, and Lloyd's iterations carry the best pair to the nearest optimum.

    The result is float64, [2], ascending. Fewer than three distinct values have a cluster each; the rest of the
    boundaries is infinite.
    """
    points, counts = torch.unique(values.detach().double(), return_counts=True)
    if len(points) < 3:
        between = (points[1:] + points[:-1]) / 2
        return torch.cat([between, between.new_full((2 - len(between),), torch.inf)])
    zero = points.new_zeros(1)
    count = torch.cat([zero, counts.double().cumsum(0)])  # of the points below each cut
    mass = torch.cat([zero, (points * counts).cumsum(0)])
    ranks = torch.linspace(0, len(points), min(len(points), _STEPS) + 1).round().long().to(points.device)
    steps = torch.searchsorted(points, torch.linspace(0, 1, _STEPS).to(points) * (points[-1] - points[0]) + points[0])
    tried: torch.Tensor = torch.unique(torch.cat([ranks, steps]))  # numbers of points that may lie below a cut
    cuts = _best_cuts(tried[(tried > 0) & (tried < len(points))], count, mass)
    while True:
        ends = torch.cat([cuts.new_zeros(1), cuts, cuts.new_tensor([len(points)])])
        centres = mass[ends].diff() / count[ends].diff()
        middles = (centres[1:] + centres[:-1]) / 2
        moved = torch.searchsorted(points, middles, right=True)
        if torch.equal(moved, cuts) or not 0 < moved[0] < moved[1] < len(points):
            return middles
        cuts = moved


def _best_cuts(cuts: torch.Tensor, count: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Return the two cuts of the largest sum of mass^2 / count; a constant less it are the squared distances."""
    n, m = count[cuts], mass[cuts]
    between = (m[None, :] - m[:, None]).square() / (n[None, :] - n[:, None])
    gain = (m.square() / n)[:, None] + between + ((mass[-1] - m).square() / (count[-1] - n))[None, :]
    ascending = torch.ones_like(gain, dtype=torch.bool).triu(1)
    best = int(torch.where(ascending, gain, -torch.inf).argmax())
    return cuts[[best // len(cuts), best % len(cuts)]]
