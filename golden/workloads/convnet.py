"""Small convolutional networks, run in float32 and in golden integers, layer by layer.

Features are [B, H, W, C], channels last. A layer sees them as M = B*H'*W' rows of P kernel positions with C channels
each, and multiplies them with weights [N, P, C]. Vectors run along the channels of one position, as in the paper; with
a single channel they run along the window of positions instead, so that a vector is not one element and padding.

Source: VS-Quant (Dai et al., MLSys 2021), section 4: weights calibrated statically by their maximum, activations here
with a per-tensor gamma calibrated on training data and a dynamic scale per vector.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import LayerResult, matmul
from vsq.golden.quantizer.core import Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Quantized

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class ConvLayer:
    """Convolution with stride 1, bias, and optionally ReLU and max-pooling.

    Parameters
    ----------
    name
        What users call the layer.
    weights, bias
        float32, [N, P, C] with P = kernel^2 positions in row-major order, and [N].
    kernel, padding
        Side of the square window, and zeros around the features.
    relu
        Whether negative outputs become 0.
    pool
        Side of the max-pooling window, which is its stride too; 1 for none.
    """

    name: str
    weights: Floats
    bias: Floats
    kernel: int
    padding: int
    relu: bool
    pool: int

    def unfold(self, features: Floats) -> Floats:
        """Return the rows [B, H', W', P, C] that the weights are multiplied with."""
        margin = (self.padding, self.padding)
        padded = np.pad(features, ((0, 0), margin, margin, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel), axis=(1, 2))
        batch, height, width, channels = windows.shape[:4]
        return windows.transpose(0, 1, 2, 4, 5, 3).reshape(batch, height, width, self.kernel**2, channels)

    def finish(self, products: NDArray[Any]) -> Floats:
        """Return the layer's output features from the products [B, H', W', N]: bias, ReLU, max-pooling."""
        features = (products + self.bias).astype(np.float32)
        if self.relu:
            features = np.maximum(features, 0)
        batch, height, width, channels = features.shape
        tiles = features.reshape(batch, height // self.pool, self.pool, width // self.pool, self.pool, channels)
        pooled: Floats = tiles.max(axis=(2, 4))
        return pooled

    def forward(self, features: Floats) -> Floats:
        """Return the output features in float32."""
        rows = self.unfold(features)
        flat = rows.reshape(-1, self.weights[0].size) @ self.weights.reshape(len(self.weights), -1).T
        return self.finish(flat.reshape(*rows.shape[:3], -1))


def vectors(rows: Floats) -> Floats:
    """Return [..., P, C] with the axis along which vectors run last: [M, P, C], or [M, 1, P] for a single channel."""
    *_, positions, channels = rows.shape
    return rows.reshape(-1, 1, positions) if channels == 1 else rows.reshape(-1, positions, channels)


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerTensors:
    """One layer's operands as integers, and what the golden datapath makes of them.

    Parameters
    ----------
    layer, config
        The layer, and the configuration that it was quantized for.
    weights, activations
        Integers; their ``operand()`` is [N, G, V] and [M, G, V] with scales [N, G] and [M, G].
    shape
        Images, output height and width: M is their product.
    """

    layer: ConvLayer
    config: MacConfig
    weights: Quantized[NDArray[Any]]
    activations: Quantized[NDArray[Any]]
    shape: tuple[int, int, int]

    @cached_property
    def result(self) -> LayerResult:
        """Accumulators and overflow flags, [M, N], exactly as the hardware gives them."""
        return matmul(self.config, *self.weights.operand(), *self.activations.operand())

    @property
    def features(self) -> Floats:
        """The layer's output features, from ``acc * 2^s * gamma_w * gamma_a``."""
        gammas = self.weights.gamma.reshape(1, -1).astype(np.float64) * self.activations.gamma.reshape(-1, 1)
        products = self.result.acc.astype(np.float64) * 2.0**self.config.scale_shift * gammas
        return self.layer.finish(products.reshape(*self.shape, -1))


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """A layer whose weights are integers and whose activations have a calibrated gamma."""

    layer: ConvLayer
    config: MacConfig
    weights: Quantized[NDArray[Any]]
    quantizer: Quantizer
    gamma: Floats

    def tensors(self, features: Floats) -> LayerTensors:
        """Return the operands for these input features."""
        rows = self.layer.unfold(features)
        activations = self.quantizer.quantize(vectors(rows), gamma=self.gamma, name=f"activations of {self.layer.name}")
        return LayerTensors(
            layer=self.layer,
            config=self.config,
            weights=self.weights,
            activations=activations,
            shape=rows.shape[:3],
        )


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network in golden integers."""

    config: MacConfig
    layers: Sequence[QuantizedLayer]

    @property
    def names(self) -> list[str]:
        """The layers' names, from input to output."""
        return [layer.layer.name for layer in self.layers]

    def trace(self, images: Floats) -> Iterator[LayerTensors]:
        """Yield every layer's operands for ``images``; each layer's integers feed the next one."""
        features = images
        for layer in self.layers:
            tensors = layer.tensors(features)
            yield tensors
            features = tensors.features

    def layer(self, name: str, images: Floats) -> LayerTensors:
        """Return one layer's operands for ``images``.

        Raises
        ------
        InputError
            If there is no layer of that name.
        """
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, cutoff=0.5) or self.names
            raise InputError(f"layer {name!r}: the network has none of that name; did you mean {' or '.join(near)}?")
        return next(tensors for tensors in self.trace(images) if tensors.layer.name == name)


def input_peaks(layers: Sequence[ConvLayer], images: Floats) -> list[float]:
    """Return the largest input that ``images`` cause in each layer in float32: what max calibration needs."""
    peaks, features = [], images
    for layer in layers:
        peaks.append(float(np.abs(features).max()))
        features = layer.forward(features)
    return peaks


def quantize(layers: Sequence[ConvLayer], config: MacConfig, peaks: Sequence[float]) -> QuantizedNetwork:
    """Quantize a network for ``config``, which serves every layer.

    Parameters
    ----------
    layers
        The network.
    config
        Without weight scales the weights have one scale per output channel, without activation scales the activations
        one per tensor.
    peaks
        Each layer's largest input on calibration images (:func:`input_peaks`); sets its activation gamma. Activation
        scales round up (``ceil``), because vectors far below that peak would vanish otherwise.
    """
    quantizer = Quantizer.for_activations(config, scale_rounding=ScaleRounding.CEIL)
    quantized = []
    for layer, peak in zip(layers, peaks, strict=True):
        weights = Quantizer.for_weights(config).quantize(vectors(layer.weights), name=f"weights of {layer.name}")
        gamma = quantizer.gamma([[peak]], name=f"activations of {layer.name}")  # a tensor's gamma needs its peak only
        quantized.append(QuantizedLayer(layer, config, weights, quantizer, gamma))
    return QuantizedNetwork(config, quantized)
