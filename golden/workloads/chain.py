"""Chains of layers in integers, as a processing element runs them: each layer's outputs are the next one's inputs.

The element requantizes a layer's outputs to the next layer's codes and scales; between the layers only max-pooling,
padding and the sliding of windows happen, all on integers. The executor of the commands, golden model or RTL, is passed
in, so that both run the same chain.
"""

import copy
import math
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
from vsq.golden.io.layer import IntegerLayer
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.mapping import fit_params, gather, plan, scale_base, unfold
from vsq.golden.model.pe import CommandResult, Streams, simulate
from vsq.golden.model.ppu import LaneParams, dequantize
from vsq.golden.model.ppu import quantize as quantize_outputs
from vsq.golden.model.readout import least_offsets
from vsq.golden.nn.integer import inference, integer_layer, integers
from vsq.golden.nn.planes.integers import element_of_planes, integer_sum, share_gammas
from vsq.golden.nn.planes.splitquant import SumLayer, split_model
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
    split: bool = False  # whether each layer runs as the sum of three planes (SplitQuant), on one accumulator

    def first(self, count: int | None) -> "Chain":
        """Return the chain with its first inputs, None for all; raise an InputError if there are not so many."""
        if count is not None and count > len(self.inputs):
            raise InputError(f"{count} {self.items}: there are {len(self.inputs)}; ask for no more")
        return replace(self, inputs=self.inputs[:count])

    def quantized(self, config: MacConfig) -> nn.Module:
        """Return a quantized copy of the model; planes have gammas of their own."""
        model = split_model(copy.deepcopy(self.model)) if self.split else self.model
        return quantize(model, config, lambda model: model(self.calibration))

    @torch.no_grad()
    def in_pytorch(self, config: MacConfig) -> dict[str, float]:
        """Return scores in PyTorch by what they are of: the float model, and the quantized one."""
        quantized, scores = self.quantized(config), {}
        for name, model in (("float", self.model), ("planes" if self.split else "quantized", quantized)):
            scores[name] = self.score(model(self.inputs).numpy())
        if self.split:
            scores["planes of one gamma"] = self.score(share_gammas(quantized)(self.inputs).numpy())
        return scores

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

    @property
    def planes(self) -> list[Any]:
        """The layers that it is the sum of; itself alone, if it is none."""
        return [*self.module.children()] if isinstance(self.module, SumLayer) else [self.module]

    def integers(self) -> IntegerLayer:
        """Return what an element computes."""
        return integer_sum(self.module) if isinstance(self.module, SumLayer) else integer_layer(self.module)


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


@dataclass(frozen=True, eq=False)
class _Step:
    """A layer as an element runs it: its accumulators, or if there are ``params`` its outputs, in units of ``unit``."""

    stage: _Stage
    layer: IntegerLayer
    factors: NDArray[Any]  # [N]: ``acc * factors + biases`` is the output in units
    biases: NDArray[Any]
    unit: float
    offset: int | None  # of windows
    params: LaneParams | None
    scale_base: int  # of powers of two


class ElementChain:
    """A chain in the integers of one element; an InputError says which layer or output parameters do not fit it.

    Args:
        config: Of the element; where the chain is split, of what :func:`element_of_planes` makes of it.

    Attributes:
        config: Of the element that runs the chain.
    """

    def __init__(self, chain: Chain, config: PeConfig) -> None:
        if not config.ppu and (chain.requantized or len(_stages(chain.model)) > 1):
            raise InputError(f"{config}: it has no post-processing, which gives the next layer's inputs; give ppu=on")
        self.config = element_of_planes(config) if chain.split else config
        self._inputs = chain.inputs
        stages = _stages(share_gammas(chain.quantized(config.mac)))
        layers = [stage.integers() for stage in stages]
        first = stages[0].planes[0]
        rows = pytorch.to_numpy(first.quantized_inputs(first.rows(self._inputs)))
        self._rows = rows.operand()
        fixed = config.powers  # the gamma of all inputs, which stands beside the first ones
        gammas = [rows.gamma.flat[0] if fixed else float(layer.input_gamma) for layer in layers]
        units = _units(chain, config, gammas[1:])
        largest = 1 if rows.scales is None else int(rows.scales.max())
        self._steps: list[_Step] = []
        for stage, layer, gamma, unit in zip_longest(stages, layers, gammas, units):
            offset = _least_offset(config.mac, layer, largest)
            factors, biases = _output(layer, gamma, unit or 1, offset or 0)
            params = fit_params(config, factors, biases) if unit else None
            base = scale_base(config, int(np.log2(unit / gamma))) if unit and fixed else 0
            self._steps.append(_Step(stage, layer, factors, biases, unit or 1, offset, params, base))
            largest = base + config.z_range[1].bit_length() - 1 if fixed else config.scale_max  # that outputs may have

    def trace(self, execute: Execute | None = None) -> Iterator[tuple[str, CommandResult]]:
        """Yield every layer's name and outputs, each computed from the one before it.

        ``execute`` runs a layer's commands on an element that was just reset; None means the golden model.
        """
        execute = execute or partial(simulate, self.config)
        rows, sides = self._rows, [*self._inputs.shape[2:]]
        for step, after in zip_longest(self._steps, self._steps[1:]):
            stage, weights = step.stage, step.layer.weights.operand()
            streams = plan(
                self.config,
                weights,
                rows.map(partial(np.repeat, repeats=len(stage.planes), axis=1)),
                params=step.params,
                relu=stage.relu and step.params is not None,
                offset=step.offset,
                scale_base=step.scale_base,
            )
            output = gather(self.config, execute(streams), len(rows.codes), len(weights.codes))
            yield stage.name, output
            if after is not None:
                conv, following = stage.planes[0], after.stage.planes[0]
                sides = [side + 2 * conv.padding[0] - conv.kernel_size[0] + 1 for side in sides]
                maps = self._pooled(output, sides, step)
                rows = unfold(maps, kernel=following.kernel_size[0], padding=following.padding[0])
                sides = [side // stage.pool for side in sides]

    def _pooled(self, output: CommandResult, sides: Sequence[int], step: _Step) -> BlockOperand:
        """Return outputs as maps [B, H, W, G, V] with scales, after max-pooling, which is requantized exactly."""
        maps = BlockOperand(output.codes, output.scales).map(lambda array: array.reshape(-1, *sides, *array.shape[1:]))
        if (pool := step.stage.pool) == 1:
            return maps
        height, width = (side // pool for side in sides)
        z = dequantize(self.config, *maps, step.scale_base)
        windows = z.reshape(len(z), height, pool, width, pool, *z.shape[3:])
        return BlockOperand(*quantize_outputs(self.config, windows.max(axis=(2, 4)), step.scale_base))

    def outputs(self, output: CommandResult) -> NDArray[Any]:
        """Return the real values [B, N] of the last layer's outputs."""
        last = self._steps[-1]
        if output.codes is None:
            return np.asarray(output.acc * last.factors + last.biases, np.float32)
        z = dequantize(self.config, output.codes, output.scales, last.scale_base).reshape(len(self._inputs), -1)
        values: NDArray[Any] = z[:, : len(last.biases)] * last.unit
        return values


def _output(layer: IntegerLayer, gamma: float, unit: float, offset: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return factor and bias of each channel, [N]: ``acc * factor + bias`` is the output in units of ``unit``."""
    bias = np.zeros(len(layer.weights.codes)) if layer.bias is None else layer.bias
    factors = np.broadcast_to(layer.unit(gamma).reshape(-1), bias.shape)  # weights may share one gamma
    return np.ldexp(factors, offset) / unit, bias / unit


def _units(chain: Chain, config: PeConfig, gammas: list[float]) -> list[float]:
    """Return the real values of the units that requantized outputs are counted in: gammas of the next layers' inputs.

    Beside powers of two they are powers of two, and the largest output in calibration has one bit less than z.
    """
    most = config.z_range[1]
    peaks = _peaks(chain)[: None if chain.requantized else -1]
    if config.powers:
        return [2.0 ** (math.frexp(peak)[1] + 1 - most.bit_length()) for peak in peaks]
    return [*gammas, *([peaks[-1] / most] if chain.requantized else [])]


def _least_offset(config: MacConfig, layer: IntegerLayer, largest: int) -> int | None:
    """Return the least offset with which no window overflows for inputs whose scales are at most ``largest``."""
    if config.window is None:
        return None
    weights = layer.weights.operand()
    codes = weights.codes[:1]
    scales = np.full(codes.shape[:2], largest) if config.activation_scale else None
    return int(least_offsets(config, weights, BlockOperand(codes, scales)).max())


@torch.no_grad()
def _peaks(chain: Chain) -> list[float]:
    """Return the largest magnitudes in calibration of every layer's inputs but the first one's, and of the outputs."""
    layers, peaks, x = [stage.name for stage in _stages(chain.model)], [], chain.calibration
    for name, module in chain.model.named_children():
        if name in layers[1:]:
            peaks.append(float(x.abs().max()))
        x = module(x)
    return [*peaks, float(x.abs().max())]
