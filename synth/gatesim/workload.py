"""Data for measuring energy: one layer in integers, by the name of where it comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import read_npz
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.workloads.workload import WORKLOADS, load

SOURCES = (*WORKLOADS, "gaussian")
_CHANNELS, _LENGTH, _ROWS = 32, 288, 1024  # of Gaussian data: the shape of the digits layer


@dataclass(frozen=True, eq=False)
class Operands:
    """A layer: weights [N, G, V], activations [M, G, V], and whether its outputs go through a ReLU."""

    weights: BlockOperand
    activations: BlockOperand
    relu: bool = False


def operands(config: MacConfig, source: str) -> Operands:
    """Return a layer, quantized for a configuration.

    The name of a workload is the layer of its ``sample``: of ``digits`` conv3 on 64 test images, of ``minilm`` the
    first query projection on the evaluation sentences. ``gaussian`` is normal weights and activations (their magnitudes
    for an unsigned format). Anything else is a NumPy file with float arrays ``weights`` [N, K] and ``inputs`` [M, K].

    Raises:
        InputError: If the file can not be read or has no such arrays, or what a source needs is not installed.
    """
    if source in WORKLOADS:
        chain, name = load(source).sample()
        layer = chain.layer(config, name)
        return Operands(layer.weights.operand(), layer.inputs.operand(), relu=chain.has_relu(name))
    if source == "gaussian":
        rng = np.random.default_rng(1)
        weights, rows = rng.standard_normal((_CHANNELS, _LENGTH)), rng.standard_normal((_ROWS, _LENGTH))
        rows = rows if config.activation.signed else np.abs(rows)
    else:
        weights, rows = _file(source)
    # Small vectors keep a scale above 0, without which encoders lose their accuracy.
    by = Quantizer.for_activations(config, scale_rounding="ceil")
    return Operands(Quantizer.for_weights(config).quantize(weights).operand(), by.quantize(rows).operand())


def _file(path: str) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        arrays = read_npz(Path(path))
        weights, rows = arrays["weights"], arrays["inputs"]
    except (ValueError, KeyError):
        raise InputError(
            f"data {path}: not one of {', '.join(SOURCES)}, nor an .npz file of weights [N, K] and inputs [M, K]; "
            "give one of these"
        ) from None
    if weights.ndim != 2 or rows.ndim != 2 or weights.shape[1] != rows.shape[1]:
        raise InputError(
            f"data {path}: weights {weights.shape} and inputs {rows.shape} are not [N, K] and [M, K]; reshape them"
        )
    return weights, rows
