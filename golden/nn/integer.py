"""Quantized layers in the hardware's integers: run, compared with their float arithmetic, exported and imported."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.errors import InputError
from vsq.golden.io.layers import IntegerLayer, save
from vsq.golden.nn.calibration import watch
from vsq.golden.nn.modules import QuantizedLayer
from vsq.golden.nn.quantize import quantized_layers
from vsq.golden.quantizer import pytorch


@dataclass(frozen=True)
class Difference:
    """The difference between a layer's float32 outputs and those of its integers."""

    outputs: int = 0  # those compared
    overflows: int = 0  # other outputs, whose accumulator overflowed
    largest: float = 0.0  # absolute difference
    share: float = 0.0  # largest difference over its bound, which is proven: at most 1


def integer_layer(layer: QuantizedLayer, rows: torch.Tensor | None = None) -> IntegerLayer:
    """Return the layer's integers, with those of input rows [M, P, C] if given; float scales raise an InputError."""
    if layer.scheme.float_scales:
        raise InputError(f"layer {layer.name!r}: {layer.scheme} has float scales, which no hardware has; quantize anew")
    return IntegerLayer(
        config=layer.scheme.config,
        weights=pytorch.to_numpy(layer.quantized_weights()),
        inputs=None if rows is None else pytorch.to_numpy(layer.quantized_inputs(rows)),
        input_gamma=layer.input_gamma.numpy(force=True),
        bias=None if layer.bias is None else layer.bias.detach().float().numpy(force=True),
        sign=layer.sign,
    )


@contextmanager
def inference(model: nn.Module) -> Iterator[dict[str, Difference]]:
    """Let every quantized layer compute with the golden datapath; the differences to its float arithmetic are yielded.

    ::

        with inference(model) as differences:
            logits = model(images)

    Each layer's integer outputs are the next one's inputs. With K products in an output, and x^ and w^ the dequantized
    operands, float32 arithmetic in any order is off by at most

        n*u / (1 - n*u) * (sum_k |x^_k w^_k| + |bias|),   n = K + 10,  u = 2^-24

    which counts K + 1 additions, K products and the roundings of scales, dequantization, gammas and result. Where a
    layer's output has another type than float32, half a unit in its last place is added.
    """
    differences: dict[str, Difference] = {}

    def replaced(name: str, layer: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        rows = layer.rows(inputs[0])
        integers = integer_layer(layer, rows)
        exact = torch.from_numpy(integers.outputs()).to(rows.device)
        y: torch.Tensor = layer.output(exact, inputs[0])

        def shaped(products: torch.Tensor) -> torch.Tensor:
            return _flat(layer.output(products.to(exact), inputs[0].double()))

        flags = shaped(torch.from_numpy(integers.result.overflow)) > 0
        gap = (_flat(output).double() - shaped(exact)).abs()[~flags]
        share = gap / shaped(_bound(integers, exact.cpu(), y.dtype))[~flags]
        before = differences.get(name, Difference())
        differences[name] = Difference(
            outputs=before.outputs + gap.numel(),
            overflows=before.overflows + int(flags.sum()),
            largest=float(gap.numpy(force=True).max(initial=before.largest)),
            share=float(share.numpy(force=True).max(initial=before.share)),
        )
        return y

    with ExitStack() as hooks, torch.no_grad():
        for name, layer in quantized_layers(model).items():
            hooks.enter_context(layer.register_forward_hook(partial(replaced, name)))
        yield differences


def _flat(y: torch.Tensor) -> torch.Tensor:
    """Return the elements of an output that may be nested."""
    return torch.cat([part.flatten() for part in y.unbind()]) if y.is_nested else y


def _bound(layer: IntegerLayer, exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the bound of :func:`inference`, [M, N], for outputs of type ``dtype``; ``exact`` has that shape too."""
    assert layer.inputs is not None
    x, w = (np.abs(part.dequantize()).reshape(len(part.codes), -1) for part in (layer.inputs, layer.weights))
    magnitudes = x.astype(np.float64) @ w.astype(np.float64).T
    if layer.bias is not None:
        magnitudes += np.abs(layer.bias)
    nu = (w.shape[1] + 10) * 2.0**-24
    bound = torch.from_numpy(nu / (1 - nu) * magnitudes + np.finfo(np.float32).tiny)
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
        rows: Input rows recorded of each layer's first call: the first ones; None records all.

    Raises:
        InputError: As :func:`integer_layer` does, if no layer is quantized, or if ``rows`` is not positive.
    """
    if rows is not None and rows < 1:
        raise InputError(f"{rows} rows: at least 1 is recorded; ask for more, or give no forward_loop")
    layers = quantized_layers(model)
    if not layers:
        raise InputError(f"model {type(model).__name__}: no layer is quantized; call quantize first")
    seen: dict[str, torch.Tensor] = {}

    def record(name: str, x: torch.Tensor) -> None:
        if name not in seen:
            seen[name] = layers[name].rows(x)[:rows].clone()

    if forward_loop is not None:
        watch(model, {name: partial(record, name) for name in layers}, forward_loop)
    return {name: integer_layer(layer, seen.get(name)) for name, layer in layers.items()}


def export(
    model: nn.Module, path: str | Path, forward_loop: Callable[[nn.Module], Any] | None = None, *, rows: int = 4
) -> dict[str, IntegerLayer]:
    """Write the :func:`integers` of a quantized model to a ``.safetensors`` or ``.npz`` file; return them.

    ``vsq regress --workload`` streams the file's layers through the RTL. Parameters are those of :func:`integers`.

    Raises:
        InputError: As :func:`integers` does, or if the file cannot be written.
    """
    exported = integers(model, forward_loop, rows=rows)
    save(path, exported)
    return exported


@torch.no_grad()
def restore(model: nn.Module, layers: Mapping[str, IntegerLayer]) -> None:
    """Give a prepared model (:func:`vsq.golden.nn.quantize.prepare`) the integers, gammas and biases of ``layers``.

    Raises:
        InputError: If a layer is on one side only, or its configuration or a shape differs; the message names both.
    """
    ours = quantized_layers(model)
    for odd in sorted(ours.keys() ^ layers.keys()):
        where = "model but not in the file" if odd in ours else "file but not in the model"
        raise InputError(f"layer {odd!r}: in the {where}; prepare the model with the rules that it was exported with")
    for name, layer in ours.items():
        given, bias = layers[name], None if layer.bias is None else tuple(layer.bias.shape)
        shape = (*given.weights.codes.shape[:-2], given.weights.length)
        for what, left, right in (
            ("configuration", layer.scheme.config.full_name, given.config.full_name),
            ("sign", layer.sign, given.sign),
            ("weights", tuple(layer.magnitudes().shape), shape),
            ("bias", bias, None if given.bias is None else given.bias.shape),
            ("format", layer.scheme.weights.format, given.weights.format),
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
