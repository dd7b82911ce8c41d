"""A quantized convolutional network on a processing element: its layers' integers, and the way from one to the next.

The element's requantised outputs are the next layer's inputs; between the layers only max-pooling, padding and the
sliding of windows happen, all on integers. The last layer leaves its accumulators. The executor of the commands, golden
model or RTL, is passed in, so that both run the same network.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.mapping import Layer, Output, fit_params, gather, plan, unfold
from vsq.golden.model.pe import ProcessingElement, Result, Streams
from vsq.golden.model.ppu import quantise
from vsq.golden.workloads.convnet import Floats, QuantizedLayer, QuantizedNetwork

Integers = NDArray[Any]
Execute = Callable[[Streams], Sequence[Result]]


@dataclass(frozen=True, kw_only=True, eq=False)
class PeNetwork:
    """A network for one element.

    Parameters
    ----------
    config
        The element.
    network
        The network in golden integers; its first layer quantizes the input.
    layers
        The same layers for the element.
    """

    config: PeConfig
    network: QuantizedNetwork
    layers: Sequence[Layer]

    @classmethod
    def of(cls, network: QuantizedNetwork, config: PeConfig) -> "PeNetwork":
        """Fit each layer's output parameters to the next layer's gamma.

        Raises
        ------
        InputError
            If the element's vector MAC is another one than the network's, or parameters do not fit.
        """
        if config.mac != network.config:
            raise InputError(
                f"{config}: the network is quantized for {network.config.full_name}; quantize it for the element's MAC"
            )
        following: list[QuantizedLayer | None] = [*network.layers[1:], None]
        layers = [_layer(config, layer, after) for layer, after in zip(network.layers, following, strict=True)]
        return cls(config=config, network=network, layers=layers)

    def trace(self, images: Floats, execute: Execute | None = None) -> Iterator[Output]:
        """Yield every layer's outputs for ``images``, each computed from the one before it.

        Parameters
        ----------
        images
            float32, [B, H, W, C].
        execute
            Runs a layer's commands on an element that was just reset; None means the golden model.
        """
        execute = execute or (lambda streams: ProcessingElement(self.config).run(streams))
        first = self.network.layers[0].tensors(images)
        rows, scales = first.activations.operand()
        height, width = first.shape[1:]
        following = [quantized.layer for quantized in self.network.layers[1:]]
        for layer, quantized, after in zip(self.layers, self.network.layers, [*following, None], strict=True):
            results = execute(plan(self.config, layer, rows, scales))
            output = gather(self.config, results, len(rows), len(layer.weights))
            yield output
            if after is not None:
                pool = quantized.layer.pool
                codes, scales = self._pool(output, (len(images), height, width), pool)
                rows, scales = unfold(codes, scales, kernel=after.kernel, padding=after.padding)
                height, width = (size // pool + 2 * after.padding - after.kernel + 1 for size in (height, width))

    def logits(self, output: Output) -> Floats:
        """Return the real values [B, N] of the last layer's accumulators."""
        last = self.network.layers[-1]
        assert output.acc is not None
        values: Floats = (output.acc * _gamma(last) + last.layer.bias).astype(np.float32)
        return values

    def _pool(self, output: Output, shape: tuple[int, int, int], pool: int) -> tuple[Integers, Integers | None]:
        """Return the outputs as maps [B, H, W, G, V] with scales, after max-pooling, which is requantised exactly."""
        assert output.codes is not None
        batch, height, width = shape
        codes = output.codes.reshape(batch, height, width, *output.codes.shape[1:])
        scales = None if output.scales is None else output.scales.reshape(batch, height, width, -1)
        if pool == 1:
            return codes, scales
        z = codes if scales is None else codes * scales[..., None]
        windows = z.reshape(batch, height // pool, pool, width // pool, pool, *codes.shape[3:])
        return quantise(self.config, windows.max(axis=(2, 4)))


def _gamma(layer: QuantizedLayer) -> NDArray[Any]:
    """Return the real value of a unit of each channel's accumulator, [N]."""
    gammas: NDArray[Any] = layer.weights.gamma.reshape(-1).astype(np.float64) * float(layer.gamma.reshape(-1)[0])
    return gammas * 2.0**layer.config.scale_shift


def _layer(config: PeConfig, layer: QuantizedLayer, following: QuantizedLayer | None) -> Layer:
    codes, scales = layer.weights.operand()
    if following is None:
        return Layer(weights=codes, weight_scales=scales)
    unit = float(following.gamma.reshape(-1)[0])
    params = fit_params(config, _gamma(layer) / unit, layer.layer.bias / unit)
    return Layer(weights=codes, weight_scales=scales, params=params, relu=layer.layer.relu)
