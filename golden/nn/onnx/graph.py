"""The nodes that stand for a quantized layer's integers in an ONNX graph.

Weights are initializers of the narrowest integer type, INT4 from 4 bits down, which DequantizeLinear takes; where they
have two levels, so are their scales, unless these are small floats: then ``step`` is one.

    w = DequantizeLinear(codes, step, block_size=V)      step = DequantizeLinear(scales, gamma)

Inputs with one static gamma are QuantizeLinear and DequantizeLinear, after a Clip where the type holds more than the
format; all others are a function ``Inputs`` of :mod:`vsq.golden.nn.onnx.functions`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from vsq.golden.formats.elements import Format, IntFormat, Minifloat
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.onnx import functions
from vsq.golden.quantizer import pytorch

_TYPES = {
    (True, 4): (TensorProto.INT4, -8, 7),
    (True, 8): (TensorProto.INT8, -128, 127),
    (True, 16): (TensorProto.INT16, -(2**15), 2**15 - 1),
    (True, 32): (TensorProto.INT32, -(2**31), 2**31 - 1),
    (False, 4): (TensorProto.UINT4, 0, 15),
    (False, 8): (TensorProto.UINT8, 0, 255),
    (False, 16): (TensorProto.UINT16, 0, 2**16 - 1),
}


def standard(layer: QuantizedLayer) -> bool:
    """Return whether QuantizeLinear says how the layer's inputs are quantized."""
    form = layer.scheme.inputs
    return (
        form.scale is None
        and isinstance(form.element, IntFormat)
        and layer.scheme.calibrated
        and bool(layer.input_gamma > 0)
    )


def expand(model: onnx.ModelProto, layers: Mapping[str, QuantizedLayer]) -> None:
    """Put in, for the placeholders of the domain ``vsq`` in ``model``, the nodes of ``layers``."""
    graph, results = _Expansion(model), {each.name for each in model.graph.output}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.domain != functions.DOMAIN:
            graph.nodes.append(node)
            continue
        [name] = (helper.get_attribute_value(attribute).decode() for attribute in node.attribute)
        what, put_in = _PUT_IN[node.op_type]
        [output] = node.output
        if output not in results:
            renamed[output] = graph.fresh(f"{name}.{what}")
        output = renamed.get(output, output)
        put_in(graph, name, layers[name], *node.input, output)
    infos = [info for info in model.graph.value_info if info.name not in renamed]
    del model.graph.value_info[:]
    model.graph.value_info.extend(infos)
    del model.graph.node[:]
    model.graph.node.extend(graph.nodes)
    model.functions.extend(graph.functions.values())
    if not graph.functions:
        standard_alone = [opset for opset in model.opset_import if opset.domain != functions.DOMAIN]
        del model.opset_import[:]
        model.opset_import.extend(standard_alone)


class _Expansion:
    """The nodes of a graph under way; each method puts in what one placeholder, of inputs and an output, stands for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[onnx.NodeProto] = []
        self.functions: dict[str, onnx.FunctionProto] = {}
        self._names = {one.name for one in model.graph.initializer}
        self._names.update(name for node in model.graph.node for name in node.output)

    def weights(self, name: str, layer: QuantizedLayer, output: str) -> None:
        """Put in the weights in the shape of ``layer.weight``, whose axis 1 the vectors run along."""
        weights, shape = pytorch.to_numpy(layer.quantized_weights()), layer.weight.shape
        codes = weights.codes.reshape(*weights.codes.shape[:2], -1)[..., : weights.length]  # [N, P, C]
        scales = weights.scales
        if scales is not None:
            scales = scales.transpose(0, 2, 1).reshape(len(scales), -1, *shape[2:])
        self._weights(name, layer, codes.transpose(0, 2, 1).reshape(shape), weights.gamma, scales, output)

    def row_weights(self, name: str, layer: QuantizedLayer, output: str) -> None:
        """Put in the weights as whole vectors, [N, K]; for layers of several groups as [N, K, 1]."""
        weights = pytorch.to_numpy(layer.quantized_weights())
        last = (1,) * (layer.groups > 1)
        codes, scales, gamma = (
            None if part is None else part.reshape(len(part), -1, *last)
            for part in (weights.codes, weights.scales, weights.gamma)
        )
        self._weights(name, layer, codes, gamma, scales, output)

    def _weights(self, name: str, layer: QuantizedLayer, codes: Any, gamma: Any, scales: Any, output: str) -> None:
        """Put in integers [N, K, ...]; gamma has N values or, without scales, one for each vector along axis 1."""
        form, gamma = layer.scheme.weights, layer.sign * gamma
        by_vector = {"axis": 1, "block_size": form.vector_size}
        integers = self._integers(f"{name}.weight_codes", codes, form.element)
        if layer.scheme.float_scales:
            step = self._initializer(f"{name}.weight_gamma", gamma)
            self._node("DequantizeLinear", [integers, step], output, **by_vector)
            return
        if isinstance(form.scale, Minifloat):
            steps = form.format.steps(scales, gamma.reshape(-1, *(1,) * (scales.ndim - 1)), np)
            step = self._initializer(f"{name}.weight_steps", steps)
            self._node("DequantizeLinear", [integers, step], output, **by_vector)
            return
        step = self._initializer(f"{name}.weight_gamma", gamma.reshape(-1))
        if form.scale is None:
            self._node("DequantizeLinear", [integers, step], output, axis=0)
            return
        taken = [self._integers(f"{name}.weight_scales", scales, form.scale), step]
        step = self._node("DequantizeLinear", taken, f"{name}.weight_steps", axis=0)
        self._node("DequantizeLinear", [integers, step], output, **by_vector)

    def inputs(self, name: str, layer: QuantizedLayer, x: str, output: str) -> None:
        """Put in the quantization of inputs."""
        if not standard(layer):
            self._vectors(name, layer, x, output)
            return
        element, gamma_value = layer.scheme.inputs.element, layer.input_gamma.numpy(force=True)
        kind, low, high = _type(element, least=8)  # runtimes fuse Clip and QuantizeLinear, but not in 4 bits
        gamma = self._initializer(f"{name}.input_gamma", gamma_value)
        if (element.qmin, element.qmax) != (low, high):
            limits = [
                self._initializer(f"{name}.input_{what}", np.float32(end) * gamma_value)
                for what, end in (("min", element.qmin), ("max", element.qmax))
            ]
            x = self._node("Clip", [x, *limits], self.fresh(f"{name}.input_clipped"))
        zero = self._initializer(f"{name}.input_zero", np.array(0, helper.tensor_dtype_to_np_dtype(kind)))
        codes = self._node("QuantizeLinear", [x, gamma, zero], self.fresh(f"{name}.input_codes"))
        self._node("DequantizeLinear", [codes, gamma, zero], output)

    def rounded_product(self, name: str, layer: QuantizedLayer, x: str, output: str) -> None:
        """Put in the product of rows of whole vectors with rounded scale products."""
        codes, gamma, *scales = self._vectors(name, layer, x, self.fresh(f"{name}.input_dequantized"))
        weights, form = pytorch.to_numpy(layer.quantized_weights()), layer.scheme.weights
        (w, sw), groups = weights.operand(), layer.groups

        def arranged(array: NDArray[Any], kind: Format, what: str) -> str:
            """Return integers [N, v, j] as floats [v, G, j, N / G]."""
            split = array.reshape(groups, -1, *array.shape[1:]).transpose(2, 0, 3, 1)
            taken = [self._integers(f"{name}.weight_{what}", split, kind), self._initializer("vsq.one", np.float32(1))]
            return self._node("DequantizeLinear", taken, f"{name}.weight_{what}_float")

        if form.scale is not None:
            scales.append(arranged(sw[..., None], form.scale, "scales"))
        unit = layer.sign * weights.gamma.reshape(-1).astype(np.float64) * 2.0**layer.scheme.config.scale_shift
        bias = np.zeros(len(w)) if layer.bias is None else layer.bias.detach().double().numpy(force=True)
        by_output = [
            self._initializer(f"{name}.{what}", values.reshape(groups, 1, -1))
            for what, values in (("unit", unit), ("offset", bias))
        ]
        taken = [codes, arranged(w, form.element, "codes"), *scales, gamma, *by_output]
        self._call(functions.rounded_product(layer.scheme), taken, [output])

    def _vectors(self, name: str, layer: QuantizedLayer, x: str, y: str) -> list[str]:
        """Call the function that quantizes inputs; return its outputs after the first: codes, gamma and scales."""
        function = functions.inputs(layer.scheme)
        taken = [x]
        if layer.scheme.calibrated:
            taken.append(self._initializer(f"{name}.input_gamma", layer.input_gamma.numpy(force=True)))
        outputs = [f"{name}.input_{what}" for what in ("codes", "gamma_used", "scales")][: len(function.output) - 1]
        return self._call(function, taken, [y, *map(self.fresh, outputs)])[1:]

    def _call(self, function: onnx.FunctionProto, inputs: list[str], outputs: list[str]) -> list[str]:
        self.functions[function.name] = function
        self.nodes.append(helper.make_node(function.name, inputs, outputs, outputs[0], domain=functions.DOMAIN))
        return outputs

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        if not any(output in node.output for node in self.nodes):
            self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def fresh(self, name: str) -> str:
        """Return the name, with a number if it is taken: a layer may be called several times."""
        number, chosen = 1, name
        while chosen in self._names:
            number += 1
            chosen = f"{name}_{number}"
        self._names.add(chosen)
        return chosen

    def _integers(self, name: str, codes: NDArray[Any], kind: Format) -> str:
        return self._initializer(name, codes.astype(helper.tensor_dtype_to_np_dtype(_type(kind)[0])))

    def _initializer(self, name: str, values: Any) -> str:
        if name not in self._names:
            self._names.add(name)
            self.model.graph.initializer.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name


def _type(kind: Format, least: int = 4) -> tuple[int, int, int]:
    """Return the narrowest ONNX type, from so many bits on, that holds a format's values, and its range."""
    return next(
        found
        for (signed, bits), found in _TYPES.items()
        if signed == kind.signed and bits >= least and found[1] <= kind.qmin and kind.qmax <= found[2]
    )


# placeholder -> what its output is called, and what puts its nodes in
_PUT_IN: dict[str, tuple[str, Callable[..., None]]] = {
    "Weights": ("weight_dequantized", _Expansion.weights),
    "RowWeights": ("weight_dequantized", _Expansion.row_weights),
    "Inputs": ("input_dequantized", _Expansion.inputs),
    "RoundedProduct": ("product", _Expansion.rounded_product),
}
