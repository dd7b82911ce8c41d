"""The quantizer on PyTorch tensors, equal code for code to the one on NumPy arrays: device, gradient, conversion.

No gradient flows through the integers; straight-through estimation wraps these functions.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Quantized


@torch.no_grad()
def quantize(
    quantizer: Quantizer, x: torch.Tensor, *, gamma: Any = None, vector_scales: Any = None, name: str = "tensor"
) -> Quantized[torch.Tensor]:
    """Return :meth:`Quantizer.quantize <vsq.golden.quantizer.core.Quantizer.quantize>` of ``x``, on its device.

    ``torch.compile`` takes it as one graph, with the same integers, in which values are not checked.
    """
    if gamma is not None:
        gamma = torch.as_tensor(gamma, dtype=torch.float32, device=x.device)
    given = {"gamma": gamma, "vector_scales": vector_scales}
    return quantizer.quantize(x.detach(), **given, name=name, checked=not torch.compiler.is_compiling(), xp=torch)


@torch.no_grad()
def gamma(quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor") -> torch.Tensor:
    """Return :meth:`Quantizer.gamma <vsq.golden.quantizer.core.Quantizer.gamma>` of ``x``, on its device."""
    shared: torch.Tensor = quantizer.gamma(x.detach(), name=name, xp=torch)
    return shared


def to_numpy(quantized: Quantized[torch.Tensor]) -> Quantized[NDArray[Any]]:
    """Return the same integers as NumPy arrays, as the model of the datapath and files take them."""
    return quantized.convert(lambda array: array.numpy(force=True), np)
