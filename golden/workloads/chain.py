"""Chains of layers in integers, as a processing element runs them: each layer's outputs are the next one's inputs.

The element requantizes a layer's outputs to the next layer's codes and scales; between the layers only max-pooling,
padding and the sliding of windows happen, all on integers. The executor of the commands, golden model or RTL, is passed
in, so that both run the same chain.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.io.layers import IntegerLayer
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.mapping import fit_params, gather, plan, unfold
from vsq.golden.model.pe import CommandResult, Streams, simulate
from vsq.golden.model.ppu import quantize as quantize_outputs
from vsq.golden.nn.integer import inference, integer_layer, integers
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer import pytorch

Execute = Callable[[Streams], Sequence[CommandResult]]


@dataclass(frozen=True, eq=False)
class Chain:
    """Float layers one after another, with inputs and the score of their outputs."""

    model: nn.Sequential  # Conv2d layers of stride 1, each with its ReLU and its max-pooling behind it; or one Linear
    calibration: torch.Tensor  # inputs from which static gammas are taken
    inputs: torch.Tensor  # of a run, [B, C, H, W] or [B, K]
    items: str  # the name of the inputs, in the plural
    metric: str  # the name of the score
    score: Callable[[NDArray[Any]], float]  # of real outputs, [B, N]
    requantized: bool = False  # the last layer's outputs too; otherwise they are its accumulators

    def first(self, count: int | None) -> "Chain":
        """Return the chain with its first inputs, None for all; raise an InputError if there are not so many."""
        if count is not None and count > len(self.inputs):
            raise InputError(f"{count} {self.items}: there are {len(self.inputs)}; ask for no more")
        return replace(self, inputs=self.inputs[:count])

    def quantized(self, config: MacConfig) -> nn.Module:
        """Return a quantized copy of the model."""
        return quantize(self.model, config, lambda model: model(self.calibration))

    def layer(self, config: MacConfig, name: str) -> IntegerLayer:
        """Return one layer in integers, with the rows that all inputs give it when every layer computes in integers."""
        model = self.quantized(config)
        with inference(model):
            return integers(model, lambda model: model(self.inputs), rows=None)[name]

    def has_relu(self, name: str) -> bool:
        """Return whether a ReLU follows the layer."""
        return next(stage.relu for stage in _stages(self.model) if stage.name == name)


@dataclass(eq=False)
class _Stage:
    """A layer, and what follows it: whether there is a ReLU, and the side of the max-pooling window (1 for none)."""

    name: str
    module: Any
    relu: bool = False
    pool: Any = 1


def _stages(model: nn.Module) -> list[_Stage]:
    stages: list[_Stage] = []
    for name, module in model.named_children():
        match module:
            case nn.ReLU():
                stages[-1].relu = True
            case nn.MaxPool2d():
                stages[-1].pool = module.kernel_size
            case nn.Flatten():
                pass
            case _:
                stages.append(_Stage(name, module))
    return stages


class ElementChain:
    """A chain in the integers of one element; an InputError says which layer or output parameters do not fit it."""

    def __init__(self, chain: Chain, config: PeConfig) -> None:
        self._config, self._inputs = config, chain.inputs
        self._stages = _stages(chain.quantized(config.mac))
        self._layers = [integer_layer(stage.module) for stage in self._stages]
        self._units = [float(layer.input_gamma) for layer in self._layers[1:]]  # of the requantized outputs
        if chain.requantized:
            with torch.no_grad():
                self._units.append(float(chain.model(chain.calibration).abs().max()) / config.z_range[1])
        requantized = zip(self._layers, self._units, strict=False)
        self._params = [fit_params(config, *_output(layer, unit)) for layer, unit in requantized]

    def trace(self, execute: Execute | None = None) -> Iterator[tuple[str, CommandResult]]:
        """Yield every layer's name and outputs, each computed from the one before it.

        ``execute`` runs a layer's commands on an element that was just reset; None means the golden model.
        """
        execute = execute or partial(simulate, self._config)
        first = self._stages[0].module
        rows = pytorch.to_numpy(first.quantized_inputs(first.rows(self._inputs))).operand()
        sides = [*self._inputs.shape[2:]]
        for stage, layer, params, after in zip_longest(self._stages, self._layers, self._params, self._stages[1:]):
            weights = layer.weights.operand()
            streams = plan(self._config, weights, rows, params=params, relu=stage.relu and params is not None)
            output = gather(self._config, execute(streams), len(rows.codes), len(weights.codes))
            yield stage.name, output
            if after is not None:
                conv, following = stage.module, after.module
                sides = [side + 2 * conv.padding[0] - conv.kernel_size[0] + 1 for side in sides]
                maps = self._pooled(output, sides, stage.pool)
                rows = unfold(maps, kernel=following.kernel_size[0], padding=following.padding[0])
                sides = [side // stage.pool for side in sides]

    def _pooled(self, output: CommandResult, sides: Sequence[int], pool: int) -> BlockOperand:
        """Return outputs as maps [B, H, W, G, V] with scales, after max-pooling, which is requantized exactly."""
        maps = BlockOperand(output.codes, output.scales).map(lambda array: array.reshape(-1, *sides, *array.shape[1:]))
        if pool == 1:
            return maps
        height, width = (side // pool for side in sides)
        z = _z(maps)
        windows = z.reshape(len(z), height, pool, width, pool, *z.shape[3:])
        return BlockOperand(*quantize_outputs(self._config, windows.max(axis=(2, 4))))

    def outputs(self, output: CommandResult) -> NDArray[Any]:
        """Return the real values [B, N] of the last layer's outputs."""
        last = self._layers[-1]
        if output.acc is None:
            z = _z(output).reshape(len(self._inputs), -1)
            values: NDArray[Any] = z[:, : len(last.weights.codes)] * self._units[-1]
            return values
        factor, bias = _output(last, 1)
        return np.asarray(output.acc * factor + bias, np.float32)


def _output(layer: IntegerLayer, unit: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return factor and bias of each channel, [N]: ``acc * factor + bias`` is the output in units of ``unit``."""
    bias = np.zeros(len(layer.weights.codes)) if layer.bias is None else layer.bias
    return layer.unit(layer.input_gamma).reshape(-1) / unit, bias / unit


def _z(vectors: Any) -> NDArray[Any]:
    """Return codes * scales, [..., V]."""
    z: NDArray[Any] = vectors.codes if vectors.scales is None else vectors.codes * vectors.scales[..., None]
    return z
