"""One layer of MiniLM on a processing element: the first query projection, 384 to 384, of real tokens."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.mapping import Layer, fit_params
from vsq.golden.quantizer.core import Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Quantized
from vsq.golden.workloads import minilm
from vsq.golden.workloads.sentences import EVALUATION

TOKENS = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """The layer, its input rows, and what its outputs stand for.

    Parameters
    ----------
    layer
        Weights and output parameters of 384 channels.
    inputs
        ``TOKENS`` rows of 384 activations.
    unit
        The real value of an output's code * scale = 1.
    real
        The float layer's outputs, [TOKENS, 384].
    """

    layer: Layer
    inputs: Quantized[NDArray[np.float32]]
    unit: float
    real: NDArray[np.float32]


def query_projection(config: PeConfig) -> Projection:
    """Quantize the layer and the tokens of the evaluation sentences for the element.

    Raises
    ------
    InputError
        If the model's package is not installed, or the element cannot hold the output parameters.
    """
    encoder, caught = minilm.load_encoder(), []
    ids = torch.tensor([encoder.tokenizer.encode(" ".join(EVALUATION)).ids[:TOKENS]])
    linear = encoder.model.get_submodule("layers.0.attention.query")
    assert isinstance(linear, nn.Linear)
    linear.register_forward_hook(lambda module, inputs, output: caught.append((inputs[0][0], output[0])))
    with torch.no_grad():
        encoder.model(ids)
    tokens, real = (values.numpy() for values in caught[0])
    weights = Quantizer.for_weights(config.mac).quantize(linear.weight.detach().numpy())
    inputs = Quantizer.for_activations(config.mac, scale_rounding=ScaleRounding.CEIL).quantize(tokens)
    unit = float(np.abs(real).max()) / config.z_range[1]
    factors = weights.gamma.reshape(-1) * inputs.gamma.reshape(-1) * 2.0**config.mac.scale_shift / unit
    params = fit_params(config, factors, linear.bias.detach().numpy() / unit)
    codes, scales = weights.operand()
    return Projection(
        layer=Layer(weights=codes, weight_scales=scales, params=params), inputs=inputs, unit=unit, real=real
    )
