"""Refining the gammas of quantized weights by gradient, with all codes and integer scales frozen.

    min over theta of mean ||model(x; W) - model(x; codes * scales * gamma * exp(theta))||^2

The exponential keeps every gamma positive and steps relative. The integers that hardware stores do not change; its
final multiplication does.

Source: Choukroun et al. (arXiv 1902.06822), who refine the scales on little unlabelled data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter

import torch
from torch import nn
from torch.func import functional_call

from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.tensor import Quantized


def refine(
    model: nn.Module,
    weights: Mapping[str, Quantized[torch.Tensor]],
    batches: Sequence[torch.Tensor],
    *,
    epochs: int = 20,
    learning_rate: float = 1e-3,
) -> dict[str, Quantized[torch.Tensor]]:
    """Return ``weights`` with the gammas that brought the model's output nearest to its float output.

    They are the best that an epoch ended with; the given ones, if none was better over all batches.

    Args:
        model: The float model, or one layer of it; its output is one tensor. It does not change.
        weights: By parameter name, in the quantizers' layout.
        batches: Inputs.
        epochs, learning_rate: Passes over the batches, and Adam's step in the logarithm of gamma.

    Raises:
        InputError: If there is no batch, or no parameter of a name, or it has another shape.
    """
    if not batches:
        raise InputError("refinement: got no batches; give at least one batch of inputs")
    parameters = dict(model.named_parameters())
    for name, weight in weights.items():
        if name not in parameters:
            raise InputError(f"{name}: the model has no such parameter; it has {', '.join(parameters)}")
        needed, given = tuple(parameters[name].shape), tuple(weight.dequantize().movedim(-1, 1).shape)
        if needed != given:
            raise InputError(f"{name}: shape {given}, but the parameter has {needed}; quantize weight.movedim(1, -1)")
    with torch.no_grad():
        pairs = [(batch, model(batch)) for batch in batches]
    thetas = {name: torch.zeros_like(weight.gamma, requires_grad=True) for name, weight in weights.items()}

    def scaled() -> dict[str, Quantized[torch.Tensor]]:
        return {name: replace(weight, gamma=weight.gamma * thetas[name].exp()) for name, weight in weights.items()}

    def error(batch: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        values = {name: weight.dequantize().movedim(-1, 1) for name, weight in scaled().items()}
        output: torch.Tensor = functional_call(model, values, (batch,))
        return (output - target).square().mean()

    @torch.no_grad()
    def reached() -> tuple[float, dict[str, Quantized[torch.Tensor]]]:
        return sum(error(*pair).item() for pair in pairs), scaled()

    best = reached()
    optimizer = torch.optim.Adam(thetas.values(), lr=learning_rate)
    for _ in range(epochs):
        for pair in pairs:
            optimizer.zero_grad()
            error(*pair).backward(inputs=[*thetas.values()])  # type: ignore[no-untyped-call]  # PyTorch leaves it so
            optimizer.step()
        best = min(best, reached(), key=itemgetter(0))
    return best[1]
