"""A layer of a quantized model in integers, with inputs to run it on."""

from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import BlockOperand, LayerResult, accumulator_unit, matmul
from vsq.golden.model.readout import least_offsets
from vsq.golden.quantizer.tensor import Quantized
from vsq.golden.stimulus import stream

Integers = Quantized[NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLayer:
    """One layer: ``y = sign * acc * 2^s * gamma_w * gamma_x + bias``."""

    config: MacConfig  # of the vector MAC that computes ``acc``
    weights: Integers  # of N output channels, [N, P, G, V]; the first N / groups are those of the first group
    inputs: Integers | None  # rows to run the layer on, [M * groups, P, G, V], if they were recorded
    input_gamma: NDArray[np.float32]  # one value, the static gamma of inputs; NaN where each call takes its own
    bias: NDArray[np.float32] | None  # [N]
    sign: int = 1  # -1 where the weights are magnitudes of a plane that is not positive
    folded: bool = False  # whether gamma and bias hold a BatchNorm that followed
    smoothed: bool = False  # whether inputs were multiplied, or may have been, before they were quantized
    groups: int = 1  # matrices side by side: rows m * groups + g meet the weights of group g

    @cached_property
    def result(self) -> LayerResult:
        """Accumulators and overflow flags, [M, N], exactly as the hardware gives them."""
        places = [None] * self.groups if self.offsets is None else np.split(self.offsets, self.groups, axis=1)
        pairs = zip(self._matrices(), places, strict=True)
        found = [vars(matmul(self.config, *operands, offsets)).values() for operands, offsets in pairs]
        return LayerResult(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))

    @cached_property
    def offsets(self) -> NDArray[np.int64] | None:
        """Of a window, the least exponents of bit 0 with which no result overflows, [M, N]; None without one."""
        if self.config.window is None:
            return None
        return np.concatenate([least_offsets(self.config, *operands) for operands in self._matrices()], axis=1)

    def outputs(self) -> NDArray[np.float64]:
        """Return the layer's outputs, [M, N]."""
        y = self.result.acc.astype(np.float64) * self.unit(self._rows().gamma)
        y = y if self.offsets is None else np.ldexp(y, self.offsets)
        return y if self.bias is None else y + self.bias

    def unit(self, gamma: Any) -> NDArray[np.float64]:
        """Return the real value of an accumulator's unit, [M, N] or [1, N], for the gamma of inputs.

        That of a window is 2^offset times as large (:attr:`offsets`).
        """
        by_row = np.reshape(gamma, (-1, 1 if np.size(gamma) == 1 else self.groups)).astype(np.float64)
        by_output = by_row.repeat(len(self.weights.codes) // by_row.shape[1], axis=1)
        unit: NDArray[np.float64] = self.sign * accumulator_unit(self.config, self.weights.gamma, 1.0) * by_output
        return unit

    def beats(self) -> stream.Beats:
        """Return the layer as a stream for one vector MAC, group after group."""
        return stream.concatenate([stream.layer(*pair) for pair in self._matrices()])

    def _matrices(self) -> list[tuple[BlockOperand, BlockOperand]]:
        """Return the weights and inputs of each group."""
        weights, inputs = self.weights.operand(), self._rows().operand()
        size = len(weights.codes) // self.groups
        places = [
            (slice(group * size, (group + 1) * size), slice(group, None, self.groups)) for group in range(self.groups)
        ]
        return [(weights.map(itemgetter(mine)), inputs.map(itemgetter(rows))) for mine, rows in places]

    def _rows(self) -> Integers:
        if self.inputs is None:
            raise InputError("layer without inputs: only its weights were exported; export it with a forward_loop")
        return self.inputs
