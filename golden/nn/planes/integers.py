"""The planes of quantized layers on one accumulator, as layers of n times the vectors.

    y = (sum_g sum_p sign[p] * d[p,g] * r[p,g]) * 2^s * gamma * gamma_x + bias

d and r are dot products and scale factors of plane p's g-th vector, whose n planes follow each other, and each input
vector stands n times. Hardware sees one layer, raw or requantized: n beats a vector, and no circuit for planes.

For that all planes of an output channel need one gamma, the largest of theirs. With s the real scales of a plane,

    gamma = max_p gamma[p],   sq = round(s / gamma),   q = nearest(w / (sq * gamma))

The plane of the largest gamma keeps its integers; a plane's scales lose log2(gamma / gamma[p]) bits.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import IntFormat
from vsq.golden.formats.scales import spell_scale
from vsq.golden.io.layer import IntegerLayer, Integers
from vsq.golden.nn.integer import integer_layer
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.planes.splitquant import PLANES, SumLayer
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import WeightCodes


def element_of_planes(config: PeConfig) -> PeConfig:
    """Return the element that runs layers of ``config``'s formats as SplitQuant's planes.

    Its weights have a sign beside the magnitudes of W bits that planes of one sign have, and banks of weights hold
    three planes in the place of one.

    Raises:
        InputError: If weights are no integers, have no per-vector scale, or would have too many bits.
    """
    mac, depth = _with_sign(config.mac), 1 << (len(PLANES) * config.weight_depth - 1).bit_length()
    if mac.max_vectors == config.weight_depth:
        mac = replace(mac, max_vectors=None)  # as many as the banks hold
    return replace(config, mac=mac, weight_depth=depth)


@torch.no_grad()
def share_gammas(model: nn.Module) -> nn.Module:
    """Freeze the weights of every sum of quantized layers in ``model``, in place, with one gamma for all its planes.

    Raises:
        InputError: If a sum's planes have no integer scales, differ in how they quantize inputs, have codes fitted to
            data, or if one of them vanishes, because its scales are below half of the others' unit.
    """
    for module in model.modules():
        if not isinstance(module, SumLayer):
            continue
        planes = _planes(module)
        weights = [plane.quantized_weights() for plane in planes]
        gamma = torch.stack([weight.gamma for weight in weights]).amax(dim=0)
        for plane, own in zip(planes, weights, strict=True):
            scales = own.format.steps(own.scales, own.gamma, torch)
            name, quantizer = plane.name, plane.scheme.weights
            shared = pytorch.quantize(quantizer, plane.magnitudes(), gamma=gamma, vector_scales=scales, name=name)
            if own.codes.any() and not shared.codes.any():
                rule = "it vanishes beside the sum's other planes; give weights finer scales"
                raise InputError(f"{name}: with scales {spell_scale(quantizer.scale)} {rule}")
            plane.freeze(shared)
    return model


def integer_sum(layer: SumLayer, rows: torch.Tensor | None = None) -> IntegerLayer:
    """Return a sum of quantized layers as one layer of all their vectors, with those of input rows [M, P, C] if given.

    Its accumulators are ``sum_p sign[p] * acc[p]`` of the planes' own, bit for bit, as long as none overflows.

    Raises:
        InputError: As :func:`share_gammas` does for what is no such sum, and if its planes have gammas of their own.
    """
    planes = [integer_layer(plane, rows) for plane in _planes(layer)]
    first = planes[0]
    if any((plane.weights.gamma != first.weights.gamma).any() for plane in planes):
        raise InputError("sum of planes: each has a gamma of its own; call share_gammas first")
    one_sign = any(plane.config.weight != first.config.weight or plane.sign < 0 for plane in planes)
    config = first.config if not one_sign else _with_sign(first.config)
    biases = [plane.bias for plane in planes if plane.bias is not None]
    return replace(
        first,
        config=config,
        weights=_vector_by_vector(planes, config),
        inputs=first.inputs and _each_vector(first.inputs, len(planes)),
        bias=np.sum(biases, axis=0) if biases else None,
        sign=1,
    )


def _planes(layer: SumLayer) -> list[QuantizedLayer]:
    """Return the planes of a sum, or refuse what no single accumulator can compute."""
    planes: list[QuantizedLayer] = []
    for plane in layer.children():
        if not isinstance(plane, QuantizedLayer):
            raise InputError(f"sum of planes: {type(plane).__name__} is not quantized; quantize all planes alike")
        _check_scales(plane.scheme.config)
        if plane.scheme.weight_codes != WeightCodes.NEAREST:
            raise InputError(f"{plane.name}: codes by {plane.scheme.weight_codes} fit its own gamma; choose nearest")
        planes.append(plane)
        if _sides(plane) != _sides(planes[0]):
            raise InputError(f"{plane.name}: its formats or inputs are not those of {planes[0].name}; quantize it so")
    return planes


def _sides(plane: QuantizedLayer) -> tuple[Any, ...]:
    """Return what the planes of one accumulator have in common."""
    config, gamma = plane.scheme.config, plane.input_gamma.nan_to_num().item()
    return config.weight.bits, config.weight_scale, config.scale_product_bits, plane.scheme.inputs, gamma


def _check_scales(config: MacConfig) -> None:
    if config.weight_scale is None:
        rule = "planes of one accumulator differ by their weights' scales, and there are none"
        raise InputError(f"{config}: {rule}; give scale bits, as in 2/8U/4/-")


def _with_sign(config: MacConfig) -> MacConfig:
    """Return the configuration whose signed weights hold magnitudes of as many bits as those of ``config`` have."""
    _check_scales(config)
    if not isinstance(config.weight, IntFormat):
        raise InputError(f"{config}: planes of one sign are of integers; choose an integer format of weights")
    return replace(config, weight=IntFormat(bits=config.weight.bits + 1, signed=True))


def _vector_by_vector(planes: Sequence[IntegerLayer], config: MacConfig) -> Integers:
    """Return weights [N, P, n*G, V] of planes [N, P, G, V], with their signs."""
    first = planes[0].weights
    codes = np.stack([plane.sign * plane.weights.codes for plane in planes], axis=3)
    scales = np.stack([np.asarray(plane.weights.scales) for plane in planes], axis=3)
    codes, scales = (array.reshape(*array.shape[:2], -1, *array.shape[4:]) for array in (codes, scales))
    form = replace(first.format, element=config.weight)
    return replace(first, codes=codes, scales=scales, length=codes[0, 0].size, format=form)


def _each_vector(inputs: Integers, times: int) -> Integers:
    """Return inputs [M, P, n*G, V] of inputs [M, P, G, V]."""
    codes = inputs.codes.repeat(times, axis=2)
    scales = None if inputs.scales is None else inputs.scales.repeat(times, axis=2)
    return replace(inputs, codes=codes, scales=scales, length=codes[0, 0].size)
