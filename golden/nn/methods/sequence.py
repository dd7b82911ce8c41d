"""The methods in their order: layer after layer, each on what the quantized layers before it put out."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from vsq.golden.nn import mmse
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.methods import bias, gptq
from vsq.golden.nn.methods.hessian import Hessian, damped
from vsq.golden.nn.methods.replay import Recorder, Replay
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import WeightCodes, WeightScales
from vsq.golden.quantizer.tensor import Quantized

_ROWS = 1 << 14  # of inputs that a Hessian sums up, about
_RIDGE = 0.3  # damping of the feedback, which few rows would overfit


@torch.no_grad()
def fit(model: nn.Module, layers: Mapping[str, QuantizedLayer], recorder: Recorder) -> None:
    """Give calibrated layers of a float model the integers and biases that their schemes' methods ask for.

    Args:
        model: The float model, which stays as it is.
        layers: Quantized layers by name, frozen.
        recorder: That has run the calibration loop.
    """
    stream = Replay(model, recorder, layers)
    exact = Replay(model, recorder, {})
    for group in recorder.groups():
        fitted = [layers[name] for name in group if name in layers and layers[name].scheme.fitted]
        inputs = _filled(stream.inputs(group[0])) if fitted else []
        targets = _filled(exact.inputs(group[0])) if any(layer.scheme.feedback for layer in fitted) else []
        seen: dict[object, list[Hessian]] = {}
        for name in group:
            if inputs and name in layers and layers[name] in fitted:
                _fit(layers[name], inputs, targets, recorder.means[name].value(), seen)
            stream.finish(name)
            exact.finish(name)


def _filled(inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the batches that are not empty."""
    return [x for x in inputs if x.numel()]


def _fit(
    layer: QuantizedLayer,
    inputs: list[torch.Tensor],
    targets: list[torch.Tensor],
    mean: torch.Tensor,
    seen: dict[object, list[Hessian]],
) -> None:
    """Fit one layer to its inputs; ``targets`` are those of the float model, ``mean`` is the one of its outputs."""
    scheme, weights = layer.scheme, layer.magnitudes()
    if scheme.feedback or scheme.weight_scales == WeightScales.HESSIAN:
        key = (scheme.inputs, layer.input_gamma.item()) if isinstance(layer, nn.Linear) else layer.name
        if key not in seen:
            seen[key] = [Hessian() for _ in range(layer.groups)]
            _observe(layer, inputs, seen[key])
        parts = [*zip(weights.chunk(layer.groups), seen[key], strict=True)]
        if scheme.feedback:
            errors = [Hessian() for _ in range(layer.groups)]
            _observe(layer, inputs, errors, targets)
            parts = [
                (_fed_back(layer, part, hessian, error), hessian)
                for (part, hessian), error in zip(parts, errors, strict=True)
            ]
        layer.freeze(_joined([_quantized(layer, *part) for part in parts]))
    if scheme.bias_correction:
        outputs = bias.ChannelMean(layer)
        for x in inputs:
            outputs.observe(layer(x))
        bias.add(layer, mean - outputs.value())


def _quantized(layer: QuantizedLayer, weights: torch.Tensor, hessian: Hessian) -> Quantized[torch.Tensor]:
    """Return the integers of one group's weights."""
    scheme, name = layer.scheme, f"{layer.name}.weight"
    if scheme.weight_scales == WeightScales.MAX:
        return pytorch.quantize(scheme.weights, weights, name=name)
    if scheme.weight_scales == WeightScales.MMSE:
        return mmse.quantize(scheme.weights, weights, name=name)
    h = hessian.matrix(layer.name, centred=scheme.bias_correction)
    if scheme.weight_codes == WeightCodes.GPTQ:
        return gptq.quantize(scheme.weights, weights, h, name=name)
    importance = damped(h, gptq.DAMPING).diagonal().reshape(weights.shape[1], -1)[:, : weights.shape[2]]
    return mmse.quantize(scheme.weights, weights, importance=importance.float(), name=name)


def _fed_back(layer: QuantizedLayer, weights: torch.Tensor, hessian: Hessian, error: Hessian) -> torch.Tensor:
    """Return weights W + strength * W E (H + damping)^-1, whose products with quantized inputs are nearer to W X.

    E is the sum of (x - x^) x^^T for inputs x of the float model: full strength would minimize ||W x - W' x^||^2.
    """
    h, e = (each.matrix(layer.name, centred=layer.scheme.bias_correction) for each in (hessian, error))
    flat = layer.scheme.inputs.split(weights, torch).double().flatten(1)
    change = torch.cholesky_solve((flat @ e).T, torch.linalg.cholesky(damped(h, _RIDGE))).T
    change = change.reshape(*weights.shape[:-1], -1)[..., : weights.shape[-1]]
    target = weights + layer.scheme.feedback * change.float()
    return target if layer.scheme.weights.element.signed else target.clamp(min=0)


def _observe(
    layer: QuantizedLayer,
    inputs: list[torch.Tensor],
    hessians: list[Hessian],
    targets: list[torch.Tensor] | None = None,
) -> None:
    """Show each group's Hessian the quantized inputs, padded to whole vectors; with targets, their difference to them.

    Every input has its target, of the same shape.
    """
    groups, scheme = layer.groups, layer.scheme

    def rows(values: torch.Tensor) -> torch.Tensor:
        flat: torch.Tensor = scheme.inputs.split(values, torch).flatten(1)
        flat = flat.reshape(-1, groups, flat.shape[1])
        return flat[:: -(-len(flat) * len(inputs) // _ROWS)]

    for i, x in enumerate(inputs):
        quantized = rows(layer.real_inputs(layer.grouped(layer.rows(layer.smoothed(x)))))
        if targets is None:
            for group, hessian in enumerate(hessians):
                hessian.observe(quantized[:, group])
        else:
            difference = rows(layer.grouped(layer.rows(layer.smoothed(targets[i])))) - quantized
            for group, hessian in enumerate(hessians):
                hessian.observe(difference[:, group], quantized[:, group])


def _joined(parts: list[Quantized[torch.Tensor]]) -> Quantized[torch.Tensor]:
    """Return the weights of all groups as one tensor."""
    if len(parts) == 1:
        return parts[0]
    codes = torch.cat([part.codes for part in parts])
    gamma = torch.cat([part.gamma.expand(len(part.codes), *part.gamma.shape[1:]) for part in parts])
    scales = None if parts[0].scales is None else torch.cat([part.scales for part in parts if part.scales is not None])
    return replace(parts[0], codes=codes, scales=scales, gamma=gamma)
