"""Quantized models as ONNX files, for onnxruntime and the compilers of accelerators."""

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnxscript as onnxscript  # what torch.onnx.export needs
import torch
from torch import nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves, tree_map

from vsq.golden.contract.distribution import NAME, VERSION
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat, Minifloat
from vsq.golden.io.files import replacing
from vsq.golden.nn.arguments import check, place
from vsq.golden.nn.layers import convolution
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.linear import QuantizedLinear
from vsq.golden.nn.onnx import functions, graph
from vsq.golden.nn.quantize import some_quantized

_LARGEST = (1 << 31) - 1  # bytes of a protobuf message
_FLOAT_OPERATIONS = (
    QuantizedLinear,
    convolution.QuantizedConv1d,
    convolution.QuantizedConv2d,
    convolution.QuantizedConv3d,
)


def to_onnx(model: nn.Module, path: str | Path, inputs: Any, *, dynamic_shapes: Any = None) -> onnx.ModelProto:
    """Write a quantized model as an ONNX file, atomically; return it.

    Float parts are what ``torch.onnx.export`` makes of them. Quantized weights stand in the file as integers of 4 or 8
    bits, :mod:`vsq.golden.nn.onnx.graph` says how. onnxruntime computes with the integers of the layers; outputs differ
    by float32 rounding.

    Args:
        model: The quantized model, which is exported in evaluation mode.
        path: Ends in ``.onnx``.
        inputs: An example of the model's inputs: a tensor, a tuple of arguments, or a mapping of keyword arguments.
        dynamic_shapes: Which axes have any size, as :func:`torch.export.export` takes it; None: each input's first.

    Raises:
        InputError: If an argument is of another type, no layer is quantized, the suffix is another one, the model is
            too large for one ONNX file, or the file cannot be written.
    """
    check(model=model, path=path)
    path, layers = Path(path), some_quantized(model)
    for name, layer in layers.items():
        scheme, floats = layer.scheme, [each for each in layer.scheme.config.scales if isinstance(each, Minifloat)]
        others = [each for each in scheme.config.scales if not isinstance(each, (IntFormat, Minifloat, type(None)))]
        odd = scheme.config.scale_shift or scheme.four_over_six or scheme.config.dual_precision
        if others or (floats and odd):
            rule = "exponents alone, dual precision, and R or four over six with small floats, are not written as ONNX"
            raise InputError(f"{place(name)}: {layer.scheme}: {rule}; choose .safetensors, or the folder of vsq.save")
    if path.suffix != ".onnx":
        raise InputError(f"{path}: suffix {path.suffix!r} is not .onnx; choose it")
    args, kwargs = _arguments(inputs)
    if not any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
        rule = "has no tensor; give an example of the model's inputs"
        raise InputError(f"inputs of type {type(inputs).__name__}: {rule}")
    if "" in layers:  # the model itself: PyTorch reads the signature of a root's forward, which a placeholder hides
        model, layers = nn.Sequential(model), {layers[""].name: layers[""]}
    shapes = _first_axes(model, args, kwargs) if dynamic_shapes is None else dynamic_shapes
    with _placeholders(model, layers), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own code
        program = torch.onnx.export(
            model,
            args,
            kwargs=kwargs,
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=functions.OPSET,
            verbose=False,
        )
    assert program is not None
    exported: onnx.ModelProto = program.model_proto
    graph.expand(exported, layers)
    _describe(exported, layers)
    fixed = [repr(x.name) for x in exported.graph.input for axis in x.type.tensor_type.shape.dim[:1] if axis.dim_value]
    if fixed and dynamic_shapes is None:
        rule = "the model's code allows no other; give dynamic_shapes if that is as it should be"
        warnings.warn(f"inputs {', '.join(fixed)}: their first axis has one size in the file: {rule}", stacklevel=2)
    if exported.ByteSize() > _LARGEST:
        raise InputError(f"{path}: {exported.ByteSize()} bytes, but an ONNX file holds {_LARGEST}; export parts of it")
    onnx.checker.check_model(exported, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(exported.SerializeToString())
    return exported


def called_with(model: nn.Module, forward_loop: Callable[[nn.Module], Any]) -> tuple[Any, ...]:
    """Return the arguments of the first call that ``forward_loop`` makes of ``model``."""
    calls: list[tuple[Any, ...]] = []
    with model.register_forward_pre_hook(lambda _model, args: calls.append(args)), torch.no_grad():
        forward_loop(model)
    return calls[0]


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return example inputs as positional and keyword arguments."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), {}


def _first_axes(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return, by the model's names of them, that the first axis of each tensor has any size."""

    def first(x: Any) -> Any:
        return {0: torch.export.Dim.AUTO} if isinstance(x, torch.Tensor) and x.ndim else None

    axes: dict[str, Any] = tree_map(first, dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments))
    return axes


@contextmanager
def _placeholders(model: nn.Module, layers: Mapping[str, QuantizedLayer]) -> Iterator[None]:
    """Let the layers of a model in evaluation mode compute with placeholders of their integers."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    for name, layer in layers.items():
        vars(layer)["forward"] = _Placeholder(name, layer)
    try:
        yield
    finally:
        for layer in layers.values():
            del vars(layer)["forward"]
        for module, mode in training.items():
            module.training = mode


class _Placeholder:
    """A quantized layer's forward pass, in which nodes of the domain ``vsq`` stand for what :mod:`.graph` puts in."""

    def __init__(self, name: str, layer: Any) -> None:
        self.name, self.layer, self.config = name, layer, layer.scheme.config
        self.standard = graph.standard(layer)
        shape = layer.magnitudes().shape  # [N, P, C]
        self.outputs, self.depth = shape[0], shape[1] * (shape[2] + self._missing(shape[2]))

    def __call__(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        [x] = [*args, *kwargs.values()]
        bias = None if self.layer.bias is None else self.layer.bias.float()
        if self._is_float_operation():
            return self._float_operation(x.float(), bias).to(x.dtype)
        rows = self._whole(self.layer.grouped(self.layer.rows(x))).flatten(1)
        y = self._rounded(rows) if self.config.scale_shift else self._product(rows, bias)
        output: torch.Tensor = self.layer.output(y, x)
        return output

    def _is_float_operation(self) -> bool:
        """Return whether the float layer's operation, on quantized inputs and weights, is what the layer computes."""
        if self.config.scale_shift or not self.layer.scheme.calibrated or not isinstance(self.layer, _FLOAT_OPERATIONS):
            return False
        along_channels = isinstance(self.layer, QuantizedLinear) or self.layer.in_channels > self.layer.groups
        return along_channels or (self.standard and self.config.weight_scale is None)

    def _float_operation(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        weight = self._node("Weights", self.layer.weight.shape)
        if isinstance(self.layer, nn.Linear):
            return functional.linear(self._quantized(x), weight, bias)
        if self.standard:
            maps = self._quantized(x)
        else:
            axis = -len(self.layer.kernel_size) - 1
            pixels = x.movedim(axis, -1)
            by_group = pixels.reshape(*pixels.shape[:-1], self.layer.groups, -1)
            maps = self._quantized(by_group).flatten(-2).movedim(-1, axis)
        y: torch.Tensor = self.layer._conv_forward(maps, weight, bias)
        return y

    def _product(self, rows: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return rows [M * G, K] times the weights of their group, [M, N]."""
        if self.layer.groups == 1:
            weights = self._node("RowWeights", (self.outputs, self.depth))
            return functional.linear(self._node("Inputs", rows.shape, rows), weights, bias)
        weights = self._node("RowWeights", (self.outputs, self.depth, 1))
        pixel = (-1, self.layer.groups * self.depth, 1)
        if self.standard:  # no reshaping between DequantizeLinear and the product: onnxruntime 1.31 fails on it
            x = rows.reshape(pixel)
            x = self._node("Inputs", x.shape, x)
        else:
            x = self._node("Inputs", rows.shape, rows).reshape(pixel)
        return functional.conv1d(x, weights, bias, groups=self.layer.groups).squeeze(-1)

    def _rounded(self, rows: torch.Tensor) -> torch.Tensor:
        return self._node("RoundedProduct", (rows.shape[0] // self.layer.groups, self.outputs), rows)

    def _quantized(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the integers of ``x`` stand for, whose vectors run along its last axis."""
        if self.standard:
            return self._node("Inputs", x.shape, x)
        whole = self._whole(x)
        rows = whole.reshape(-1, whole.shape[-1])
        return self._node("Inputs", rows.shape, rows).reshape(whole.shape)[..., : x.shape[-1]]

    def _whole(self, x: torch.Tensor) -> torch.Tensor:
        missing = self._missing(x.shape[-1])
        return functional.pad(x, (0, missing)) if missing else x

    def _missing(self, length: int) -> int:
        return -length % int(self.config.vector_size)

    def _node(self, kind: str, shape: Sequence[Any], *inputs: torch.Tensor) -> torch.Tensor:
        options: Any = {"attrs": {"layer": self.name}, "dtype": torch.float32, "version": functions.VERSION}
        return torch.onnx.ops.symbolic(f"{functions.DOMAIN}::{kind}", inputs, shape=shape, **options)


def _describe(exported: onnx.ModelProto, layers: Mapping[str, QuantizedLayer]) -> None:
    """Write into the model what made it, and the layers' configurations; drop the exporter's notes of its stack."""
    graph_of = exported.graph
    for holder in (exported, graph_of, *graph_of.node, *graph_of.value_info, *graph_of.input, *graph_of.output):
        del holder.metadata_props[:]
    exported.producer_name, exported.producer_version = NAME, VERSION
    configurations = {name: str(layer.scheme) for name, layer in layers.items()}
    onnx.helper.set_model_props(exported, {"vsq.version": VERSION, "vsq.layers": json.dumps(configurations)})
