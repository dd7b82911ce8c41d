"""Data for measuring energy: one layer in integers, by the name of where it comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.core import Quantizer

Integers = NDArray[Any]

SOURCES = ("digits", "minilm", "gaussian")
_CHANNELS, _LENGTH, _ROWS = 32, 288, 1024  # of Gaussian data: the shape of the digits layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Operands:
    """A layer: weight codes [N, G, V] with scales [N, G], activation codes [M, G, V] with scales [M, G] (or None).

    ``relu`` says whether its outputs go through a ReLU.
    """

    weights: Integers
    weight_scales: Integers | None
    activations: Integers
    activation_scales: Integers | None
    relu: bool = False


def operands(config: MacConfig, source: str) -> Operands:
    """Return a layer, quantized for a configuration.

    ``digits`` is the layer conv3 of :mod:`vsq.golden.workloads.digits` on 64 test images, ``minilm`` the first query
    projection of the MiniLM encoder on the evaluation sentences, ``gaussian`` normal weights and activations (their
    magnitudes for an unsigned format). Anything else is a NumPy file with float arrays ``weights`` [N, K] and
    ``inputs`` [M, K].

    Raises
    ------
    InputError
        If the file can not be read or has no such arrays, or what a source needs is not installed.
    """
    if source == "digits":
        return _digits(config)
    if source == "minilm":
        weights, rows = _minilm()
    elif source == "gaussian":
        rng = np.random.default_rng(1)
        weights, rows = rng.standard_normal((_CHANNELS, _LENGTH)), rng.standard_normal((_ROWS, _LENGTH))
        rows = rows if config.activation.signed else np.abs(rows)
    else:
        weights, rows = _file(source)
    quantized = [
        Quantizer.for_weights(config).quantize(weights.astype(np.float32)),
        # Small vectors keep a scale above 0, without which encoders lose their accuracy.
        Quantizer.for_activations(config, scale_rounding="ceil").quantize(rows.astype(np.float32)),
    ]
    return Operands(
        weights=quantized[0].operand()[0],
        weight_scales=quantized[0].operand()[1],
        activations=quantized[1].operand()[0],
        activation_scales=quantized[1].operand()[1],
    )


def _digits(config: MacConfig) -> Operands:
    from vsq.golden.workloads import digits

    layer = digits.load().quantize(config).layer("conv3", images=64)
    weights, weight_scales = layer.weights.operand()
    activations, activation_scales = layer.activations.operand()
    return Operands(
        weights=weights,
        weight_scales=weight_scales,
        activations=activations,
        activation_scales=activation_scales,
        relu=True,
    )


def _minilm() -> tuple[NDArray[Any], NDArray[Any]]:
    from vsq.golden.workloads import minilm, sentences

    encoder = minilm.load_encoder()
    query: Any = encoder.model
    query, caught = query.layers[0].attention.query, []
    query.register_forward_hook(lambda module, inputs, output: caught.append(inputs[0].numpy()))
    encoder.embed(sentences.EVALUATION)
    return query.weight.detach().numpy(), np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in caught])


def _file(path: str) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        with np.load(Path(path)) as arrays:
            weights, rows = arrays["weights"], arrays["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"data {path}: not one of {', '.join(SOURCES)}, nor an .npz file of weights [N, K] and inputs [M, K]; "
            "give one of these"
        ) from None
    if weights.ndim != 2 or rows.ndim != 2 or weights.shape[1] != rows.shape[1]:
        raise InputError(
            f"data {path}: weights {weights.shape} and inputs {rows.shape} are not [N, K] and [M, K]; reshape them"
        )
    return weights, rows
