"""Quantized layers in the hardware's integers: run, compared with their float arithmetic, exported and imported."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.io.layer import IntegerLayer
from vsq.golden.io.layers import save
from vsq.golden.nn.arguments import check
from vsq.golden.nn.calibration import first_input, watch
from vsq.golden.nn.folding import folded_into, following, refuse
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.product import QuantizedProduct
from vsq.golden.nn.quantize import quantized_layers, some_quantized
from vsq.golden.quantizer import pytorch


@dataclass(frozen=True)
class Difference:
    """The difference between a layer's float32 outputs and those of its integers."""

    outputs: int = 0  # those compared
    overflows: int = 0  # other outputs, whose accumulator overflowed
    inexact: int = 0  # those compared whose window lost bits
    largest: float = 0.0  # absolute difference
    share: float = 0.0  # largest difference over its bound, which is proven: at most 1


def integer_layer(layer: QuantizedLayer, rows: torch.Tensor | None = None) -> IntegerLayer:
    """Return the layer's integers, with those of input rows [M * groups, P, C] if given.

    Raises:
        InputError: If the layer has float scales.
    """
    if layer.scheme.float_scales:
        raise InputError(f"layer {layer.name!r}: {layer.scheme} has float scales, which no hardware has; quantize anew")
    return IntegerLayer(
        config=layer.scheme.config,
        weights=pytorch.to_numpy(layer.quantized_weights()),
        inputs=None if rows is None else pytorch.to_numpy(layer.quantized_inputs(rows)),
        input_gamma=layer.input_gamma.numpy(force=True),
        bias=None if layer.bias is None else layer.bias.detach().float().numpy(force=True),
        sign=layer.sign,
        smoothed=bool(layer.scheme.smoothing),
        groups=layer.groups,
    )


def _product_integers(product: QuantizedProduct, left: torch.Tensor, right: torch.Tensor) -> IntegerLayer:
    """Return B products of [B, M, K] and [B, N, K] as a layer of B groups."""
    rows = left.transpose(0, 1)  # of which m * B + b is for product b
    return IntegerLayer(
        config=product.scheme.config,
        weights=pytorch.to_numpy(product.quantized("right", right)),
        inputs=pytorch.to_numpy(product.quantized("left", rows)),
        input_gamma=product.left_gamma.numpy(force=True),
        bias=None,
        groups=len(right),
    )


@contextmanager
def inference(model: nn.Module) -> Iterator[dict[str, Difference]]:
    """Let every quantized layer and product compute with the golden datapath; differences to floats are yielded.

    ::

        with inference(model) as differences:
            logits = model(images)

    Each layer's integer outputs are the next one's inputs. With K products in an output, and x^ and w^ the dequantized
    operands, float32 arithmetic in any order is off by at most

        n*u / (1 - n*u) * (sum_k |x^_k w^_k| + |bias|),   n = K + 10,  u = 2^-24

    which counts K + 1 additions, K products and the roundings of scales, dequantization, gammas and result. Where a
    layer's output has another type than float32, half a unit in its last place is added; where a window lost bits, a
    unit of its bit 0 for each vector.

    Raises:
        InputError: If no layer is quantized, and as :func:`integer_layer` does.
    """
    check(model=model)
    differences: dict[str, Difference] = {}

    def of_layer(name: str, layer: Any, args: Any, kwargs: Any, output: torch.Tensor) -> torch.Tensor:
        x = first_input(layer, args, kwargs)
        return compared(name, integer_layer(layer, layer.rows(x)), output, lambda y: layer.output(y, x.double()))

    def of_product(name: str, product: Any, operands: Any, output: torch.Tensor) -> torch.Tensor:
        left, right, shape = product.operands(*operands)
        if not left.numel() or not right.numel():
            return output
        by_batch = (left.shape[1], len(right), right.shape[1])
        integers = _product_integers(product, left, right)
        return compared(name, integers, output, lambda y: y.reshape(by_batch).transpose(0, 1).reshape(shape))

    def compared(
        name: str, integers: IntegerLayer, output: torch.Tensor, arranged: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        exact = torch.from_numpy(integers.outputs()).to(output.device)
        y = arranged(exact)

        def shaped(products: torch.Tensor) -> torch.Tensor:
            return _flat(arranged(products.to(exact)))

        flags, inexact = (
            shaped(torch.from_numpy(each)) > 0 for each in (integers.result.overflow, integers.result.inexact)
        )
        gap = (_flat(output).double() - _flat(y)).abs()[~flags]
        share = gap / shaped(_bound(integers, exact.cpu(), output.dtype))[~flags]
        before = differences.get(name, Difference())
        differences[name] = Difference(
            outputs=before.outputs + gap.numel(),
            overflows=before.overflows + int(flags.sum()),
            inexact=before.inexact + int((inexact & ~flags).sum()),
            largest=float(gap.numpy(force=True).max(initial=before.largest)),
            share=float(share.numpy(force=True).max(initial=before.share)),
        )
        return y.to(output.dtype)

    some_quantized(model)
    with ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, QuantizedLayer):
                hooks.enter_context(module.register_forward_hook(partial(of_layer, name), with_kwargs=True))
            elif isinstance(module, QuantizedProduct):
                hooks.enter_context(module.register_forward_hook(partial(of_product, name)))
        yield differences


def _flat(y: torch.Tensor) -> torch.Tensor:
    """Return the elements of an output that may be nested."""
    return torch.cat([part.flatten() for part in y.unbind()]) if y.is_nested else y


def _bound(layer: IntegerLayer, exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the bound of :func:`inference`, [M, N], for outputs of type ``dtype``; ``exact`` has that shape too."""
    assert layer.inputs is not None
    x, w = (np.abs(part.dequantize()).reshape(len(part.codes), -1) for part in (layer.inputs, layer.weights))
    by_group = x.astype(np.float64).reshape(-1, layer.groups, x.shape[1]).swapaxes(0, 1)  # [groups, M, K]
    products = by_group @ w.astype(np.float64).reshape(layer.groups, -1, w.shape[1]).swapaxes(1, 2)
    magnitudes = products.swapaxes(0, 1).reshape(-1, len(w))
    if layer.bias is not None:
        magnitudes += np.abs(layer.bias)
    nu = (w.shape[1] + 10) * 2.0**-24
    exactly = nu / (1 - nu) * magnitudes + np.finfo(np.float32).tiny
    if layer.offsets is not None:
        steps = np.ldexp(layer.unit(layer.inputs.gamma), layer.offsets)
        exactly += np.where(layer.result.inexact, steps * layer.weights.codes[0, ..., 0].size, 0)
    bound = torch.from_numpy(exactly)
    if dtype != torch.float32:
        of = torch.finfo(dtype)
        bound += of.eps / 2 * (exact.abs() + bound) + of.tiny
    return bound


def integers(
    model: nn.Module, forward_loop: Callable[[nn.Module], Any] | None = None, *, rows: int | None = 4
) -> dict[str, IntegerLayer]:
    """Return every quantized layer's integers by name, for :func:`vsq.golden.io.layers.save`.

    Args:
        forward_loop: Runs the model that it is given; None records no inputs.
        rows: Input rows recorded of each layer's first call, of all groups: the first ones; None records all.

    Raises:
        InputError: As :func:`integer_layer` does, if no layer is quantized, if a BatchNorm follows one (its factor and
            offset would be missing: :func:`vsq.golden.nn.folding.fold` first), or if ``rows`` is not positive.
    """
    check("forward_loop", model=model, forward_loop=forward_loop)
    if rows is not None and not (isinstance(rows, int) and rows >= 1):
        raise InputError(f"{rows!r} rows: at least 1 is recorded; ask for more, or give no forward_loop")
    layers = some_quantized(model)
    seen: dict[str, torch.Tensor] = {}

    def record(name: str, x: torch.Tensor) -> None:
        if name not in seen:
            count = None if rows is None else rows * layers[name].groups
            seen[name] = layers[name].rows(x)[:count].clone()

    if forward_loop is None:
        refuse(model, None)
    else:
        with following(model) as trace:
            watch(model, {name: partial(record, name) for name in layers}, forward_loop)
        refuse(model, trace)
    of_norms = folded_into(model)
    return {
        name: replace(integer_layer(layer, seen.get(name)), folded=name in of_norms) for name, layer in layers.items()
    }


def export(
    model: nn.Module, path: str | Path, forward_loop: Callable[[nn.Module], Any] | None = None, *, rows: int = 4
) -> dict[str, IntegerLayer]:
    """Write the :func:`integers` of a quantized model to a ``.safetensors`` or ``.npz`` file; return them.

    ``vsq regress --workload`` streams the file's layers through the RTL. Parameters are those of :func:`integers`.

    Raises:
        InputError: As :func:`integers` does, or if the file cannot be written.
    """
    check(path=path)
    exported = integers(model, forward_loop, rows=rows)
    save(path, exported)
    return exported


@torch.no_grad()
def restore(model: nn.Module, layers: Mapping[str, IntegerLayer]) -> None:
    """Give a prepared model (:func:`vsq.golden.nn.quantize.prepare`) the integers, gammas and biases of ``layers``.

    Raises:
        InputError: If a layer is on one side only, or its configuration or a shape differs; the message names both. If
            a layer's inputs are smoothed, whose multipliers are not among its integers.
    """
    ours, of_norms = quantized_layers(model), folded_into(model)
    for odd in sorted(ours.keys() ^ layers.keys()):
        where = "model but not in the file" if odd in ours else "file but not in the model"
        raise InputError(f"layer {odd!r}: in the {where}; prepare the model with the rules that it was exported with")
    for name, layer in ours.items():
        given, bias = layers[name], None if layer.bias is None else tuple(layer.bias.shape)
        if layer.scheme.smoothing or given.smoothed:
            rule = "multipliers of smoothed inputs are not among the integers; load its state_dict"
            raise InputError(f"layer {name!r}: {rule}, or the folder that vsq.save writes")
        shape = (*given.weights.codes.shape[:-2], given.weights.length)
        for what, left, right in (
            ("configuration", layer.scheme.config.full_name, given.config.full_name),
            ("sign", layer.sign, given.sign),
            ("folded BatchNorm", name in of_norms, given.folded),
            ("weights", tuple(layer.magnitudes().shape), shape),
            ("bias", bias, None if given.bias is None else given.bias.shape),
            ("format", layer.weight_format(given.weights.gamma), given.weights.format),
        ):
            if left != right:
                raise InputError(
                    f"layer {name!r}: its {what} in the model, {left}, and in the file, {right}, differ; prepare the "
                    "same model in the same way"
                )
    for name, layer in ours.items():
        given, device = layers[name], layer.input_gamma.device
        layer.freeze(given.weights.convert(partial(torch.as_tensor, device=device), torch))
        layer.input_gamma.copy_(torch.from_numpy(np.array(given.input_gamma)))
        if given.bias is not None:
            layer.bias.copy_(torch.from_numpy(given.bias))
