"""Two-plane approximation of layers with a large quantization error.

    y = layer(x) ~ first(x) + second(x),   W ~ alpha_1*Q_1 + alpha_2*Q_2

The parts hold what the planes stand for, so that a quantizer with MMSE scales meets the first exactly and gives the
second its own. The bias is the first part's.

    model = quantize(dual_model(model, scheme, threshold=0.01), scheme, forward_loop)

Source: Choukroun et al. (arXiv 1902.06822), section 4, "dual" tensors for the layers of largest error.
"""

import copy

import torch
from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.nn import mmse
from vsq.golden.nn.layers.registry import fresh_layer, quantizable
from vsq.golden.nn.planes.splitquant import Layer, SumLayer, replace_layers
from vsq.golden.quantizer.scheme import Scheme, WeightScales


@torch.no_grad()
def dual_layer(layer: Layer, scheme: Scheme, threshold: float) -> SumLayer | None:
    """Return the layer as a sum of two if one plane's ``||W - plane||^2 / ||W||^2`` is above ``threshold``, else None.

    Args:
        layer: A float layer; one that :func:`vsq.golden.nn.quantize.quantize` does not support gives None.
        scheme: How it will be quantized, with ``weight_scales="mmse"``.
        threshold: Relative squared error, from 0.

    Raises:
        InputError: If the scheme has other scales, the threshold is negative, or a weight is not finite.
    """
    if scheme.weight_scales != WeightScales.MMSE or scheme.float_scales:
        kind = "float32" if scheme.float_scales else scheme.weight_scales
        raise InputError(f"weight scales {kind}: two planes need those of least error; choose mmse")
    if not threshold >= 0:
        raise InputError(f"threshold {threshold}: a relative squared error is not negative; choose for example 0.01")
    if not quantizable(layer):
        return None
    rows = fresh_layer(layer, scheme).weight_rows()
    planes = mmse.approximate(scheme.weights, rows, threshold, name="weight")
    if len(planes) == 1:
        return None
    parts = [copy.deepcopy(layer) for _ in planes]
    first = planes[0].dequantize()
    for part, values in zip(parts, (first, rows - first), strict=True):
        # rows are [N, P, C], and [N, 1, P] for one channel: either way the weight's order is [N, C, P]
        part.weight = nn.Parameter(values.transpose(1, 2).reshape(layer.weight.shape).to(layer.weight))
    parts[1].bias = None
    return SumLayer(first=parts[0], second=parts[1])


def dual_model(model: nn.Module, scheme: Scheme, threshold: float) -> nn.Module:
    """Return ``model``, whose layers become sums by :func:`dual_layer` and ``splitquant.replace_layers``, in place."""
    return replace_layers(model, lambda layer: dual_layer(layer, scheme, threshold))
