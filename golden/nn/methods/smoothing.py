"""Smoothing of inputs: channels of large values are scaled down, and the weights that meet them up by as much.

    x'_c = x_c * m_c,   w'_c = w_c / m_c,   m_c = (rms(x_c) / geometric mean of rms)^-alpha

Products stay what they are; what changes is the quantization of both sides.

Source: Xiao et al., SmoothQuant (arXiv 2211.10438), with rms in place of maxima, and without the weights'.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from vsq.golden.nn.calibration import evaluating, first_input
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.linear import QuantizedConv1D, QuantizedLinear
from vsq.golden.nn.methods.norms import Norms


@torch.no_grad()
def smooth(
    model: nn.Module, layers: Mapping[str, QuantizedLayer], forward_loop: Callable[[nn.Module], Any]
) -> dict[str, list[str]]:
    """Give the layers whose schemes ask for it the multipliers of their inputs.

    Only inputs that a normalization puts out are smoothed, those of Linear layers.

    Returns:
        The layers whose multipliers a normalization can take up (:func:`vsq.golden.nn.methods.norms.take_up`), by its
        name.
    """
    smoothed = {
        name: layer
        for name, layer in layers.items()
        if isinstance(layer, (QuantizedLinear, QuantizedConv1D)) and layer.scheme.smoothing
    }
    if not smoothed:
        return {}
    norms = Norms(model, smoothed)
    squares: dict[str, torch.Tensor] = {}

    def layer_enters(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x = first_input(module, args, kwargs)
            if norms.source(x) and x.numel():
                sums = smoothed[name].rows(x).double().square().sum(dim=(0, 1))
                squares[name] = squares[name] + sums if name in squares else sums

        return hook

    with ExitStack() as hooks:
        hooks.enter_context(evaluating(model))
        hooks.enter_context(norms.watched())
        for name in smoothed:  # after the hooks of ``norms``: what they do is the layer's
            hook = model.get_submodule(name).register_forward_pre_hook(layer_enters(name), with_kwargs=True)
            hooks.enter_context(hook)
        forward_loop(model)
    for name, sums in squares.items():
        layer = smoothed[name]
        layer.input_multiplier = multiplier(sums, layer.scheme.smoothing)
        layer.weight_codes = layer.weight_scales = layer.weight_gamma = None
        layer.freeze()
    return norms.takers()


def multiplier(squares: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return m, [C] in float32, given the sums of the channels' squares."""
    root = squares.sqrt().clamp(min=1e-12)
    return (root / root.log().mean().exp()).pow(-alpha).float()
