"""The layers of a quantized model in integers, with inputs to run them on; NumPy alone is needed.

A file holds for every layer ``NAME.weights`` and, if inputs were recorded, ``NAME.inputs`` as
:mod:`vsq.golden.io.tensors` writes them, ``NAME.bias`` and ``NAME.input_gamma``, and each layer's configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.io import tensors
from vsq.golden.model.datapath import LayerResult, accumulator_unit, matmul
from vsq.golden.quantizer.tensor import Quantized
from vsq.golden.stimulus import stream

Integers = Quantized[NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLayer:
    """One layer: ``y = sign * acc * 2^s * gamma_w * gamma_x + bias``."""

    config: MacConfig  # of the vector MAC that computes ``acc``
    weights: Integers  # of N output channels, [N, P, G, V]
    inputs: Integers | None  # rows to run the layer on, [M, P, G, V], if they were recorded
    input_gamma: NDArray[np.float32]  # one value, the static gamma of inputs; NaN where each call takes its own
    bias: NDArray[np.float32] | None  # [N]
    sign: int = 1  # -1 where the weights are magnitudes of a plane that is not positive

    @cached_property
    def result(self) -> LayerResult:
        """Accumulators and overflow flags, [M, N], exactly as the hardware gives them."""
        return matmul(self.config, self.weights.operand(), self._rows().operand())

    def outputs(self) -> NDArray[np.float64]:
        """Return the layer's outputs, [M, N]."""
        y = self.result.acc.astype(np.float64) * self.unit(self._rows().gamma)
        return y if self.bias is None else y + self.bias

    def unit(self, gamma: Any) -> NDArray[np.float64]:
        """Return the real value of an accumulator's unit, [M, N] or [1, N], for the gamma of inputs."""
        unit: NDArray[np.float64] = self.sign * accumulator_unit(self.config, self.weights.gamma, gamma)
        return unit

    def beats(self) -> stream.Beats:
        """Return the layer as a stream for one vector MAC."""
        return stream.layer(self.weights.operand(), self._rows().operand())

    def _rows(self) -> Integers:
        if self.inputs is None:
            raise InputError("layer without inputs: only its weights were exported; export it with a forward_loop")
        return self.inputs


def streams(layers: Mapping[str, IntegerLayer], pattern: str = "*") -> dict[MacConfig, stream.Beats]:
    """Return, for every configuration, its layers one after another as a stream for one vector MAC.

    Raises:
        InputError: If no layer's name matches ``pattern``, written as in a shell, or one has no inputs.
    """
    chosen = [layer for name, layer in layers.items() if fnmatchcase(name, pattern)]
    if not chosen:
        raise InputError(f"layer {pattern!r}: matches none in the file; {did_you_mean(pattern, layers)}")
    by_config: dict[MacConfig, list[stream.Beats]] = {}
    for layer in chosen:
        by_config.setdefault(layer.config, []).append(layer.beats())
    return {config: stream.concatenate(parts) for config, parts in by_config.items()}


def save(path: str | Path, layers: Mapping[str, IntegerLayer]) -> None:
    """Write the layers atomically; the suffix, ``.safetensors`` or ``.npz``, chooses the container.

    Raises:
        InputError: If the suffix is another one, a tensor does not fit its configuration, or the file cannot be
            written.
    """
    arrays: tensors.Arrays = {}
    manifest: dict[str, Any] = {}
    for name, layer in layers.items():
        entry: dict[str, Any] = {"config": layer.config.full_name, "sign": layer.sign, "bias": layer.bias is not None}
        entry["weights"] = tensors.disassemble(f"{name}.weights", layer.weights, arrays, layer.config)
        entry["inputs"] = None
        if layer.inputs is not None:
            entry["inputs"] = tensors.disassemble(f"{name}.inputs", layer.inputs, arrays, layer.config)
        arrays[f"{name}.input_gamma"] = np.asarray(layer.input_gamma, np.float32).reshape(())
        if layer.bias is not None:
            arrays[f"{name}.bias"] = np.ascontiguousarray(layer.bias, np.float32)
        manifest[name] = entry
    tensors.write(path, arrays, {"layers": manifest})


def load(path: str | Path) -> dict[str, IntegerLayer]:
    """Read what :func:`save` wrote.

    Raises:
        InputError: If the file is missing, corrupt, of another version, or contradicts itself; the message names it.
    """
    return tensors.read(path, _parse)


def _parse(metadata: dict[str, Any], arrays: tensors.Arrays) -> dict[str, IntegerLayer]:
    layers = {}
    for name, entry in metadata["layers"].items():
        config = MacConfig.parse(entry["config"])
        weights = tensors.assemble(f"{name}.weights", entry["weights"], arrays, config)
        bias = arrays.pop(f"{name}.bias") if entry["bias"] else None
        if bias is not None and bias.shape != (len(weights.codes),):
            raise InputError(f"{name}: a bias of {bias.shape} for weights of {weights.codes.shape}")
        layers[name] = IntegerLayer(
            config=config,
            weights=weights,
            inputs=tensors.assemble(f"{name}.inputs", entry["inputs"], arrays, config) if entry["inputs"] else None,
            input_gamma=arrays.pop(f"{name}.input_gamma"),
            bias=bias,
            sign=entry["sign"],
        )
    return layers
