"""The quantizer on PyTorch tensors, equal code for code to the one on NumPy arrays: device, gradient, conversion.

No gradient flows through the integers; straight-through estimation wraps these functions.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsq.golden.formats.elements import IntFormat, Minifloat
from vsq.golden.kernels import quantize as kernels
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding
from vsq.golden.quantizer.passes import BLOCK, Passes
from vsq.golden.quantizer.tensor import Quantized, TensorFormat


@torch.no_grad()
def quantize(
    quantizer: Quantizer, x: torch.Tensor, *, gamma: Any = None, vector_scales: Any = None, name: str = "tensor"
) -> Quantized[torch.Tensor]:
    """Return :meth:`Quantizer.quantize <vsq.golden.quantizer.core.Quantizer.quantize>` of ``x``, on its device.

    ``torch.compile`` takes it as one graph, with the same integers, in which values are not checked.
    """
    return quantizer.quantize(
        x.detach(), gamma=_tensor(gamma, x), vector_scales=vector_scales, name=name, **_options(x)
    )


@torch.no_grad()
def dequantized(quantizer: Quantizer, x: torch.Tensor, *, gamma: Any = None, name: str = "tensor") -> torch.Tensor:
    """Return :meth:`Quantizer.dequantized <vsq.golden.quantizer.core.Quantizer.dequantized>` of ``x``."""
    options = _options(x)
    if isinstance(options["passes"], _FusedPasses) and x.is_floating_point() and x.ndim > 1 and x.numel():
        fused = _fused(quantizer, x.detach().float(), _tensor(gamma, x), name, options)
        if fused is not None:
            return fused
    real: torch.Tensor = quantizer.dequantized(x.detach(), gamma=_tensor(gamma, x), name=name, **options)
    return real


def _fused(
    quantizer: Quantizer, values: torch.Tensor, gamma: torch.Tensor | None, name: str, options: dict[str, Any]
) -> torch.Tensor | None:
    """Return :func:`dequantized` of integers with integer scales, or none, in one pass; None of all else."""
    element, scale = quantizer.element, quantizer.scale
    if not (values.is_contiguous() and isinstance(element, IntFormat) and isinstance(scale, IntFormat | None)):
        return None
    if gamma is None:
        gamma = quantizer.gamma(values, name=name, **options)
    if gamma.numel() != math.prod(quantizer.gamma_shape(values.shape)):
        return None
    rounding = quantizer.scale_rounding
    rules = rounding == ScaleRounding.CEIL, rounding == ScaleRounding.AT_LEAST_ONE, quantizer.order == Order.PAPER
    scales = 0 if scale is None else scale.max, *map(int, rules)
    real, good = kernels.fake_quantized(values, gamma, quantizer.vector_size, element.qmin, element.qmax, scales)
    return real if good else None  # the caller says what is wrong


@torch.no_grad()
def gamma(quantizer: Quantizer, x: torch.Tensor, *, name: str = "tensor") -> torch.Tensor:
    """Return :meth:`Quantizer.gamma <vsq.golden.quantizer.core.Quantizer.gamma>` of ``x``, on its device."""
    shared: torch.Tensor = quantizer.gamma(x.detach(), name=name, **_options(x))
    return shared


def to_numpy(quantized: Quantized[torch.Tensor]) -> Quantized[NDArray[Any]]:
    """Return the same integers as NumPy arrays, as the model of the datapath and files take them."""
    return quantized.convert(lambda array: array.numpy(force=True), np)


def in_graph() -> bool:
    """Return whether operations become those of a compiled or traced graph, so that no step may depend on data."""
    return torch.compiler.is_compiling() or is_traced()


def is_traced() -> bool:
    """Return whether operations become those of a graph of ``torch.jit.trace``."""
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # PyTorch leaves it so
    return traced


def _tensor(gamma: Any, x: torch.Tensor) -> Any:
    return gamma if gamma is None else torch.as_tensor(gamma, dtype=torch.float32, device=x.device)


def _options(x: torch.Tensor) -> dict[str, Any]:
    """Return how ``x`` is worked on: on a CPU by the kernel, or else in blocks; compiled code is fused anyway."""
    graph = in_graph()
    block = None if graph or not x.is_cpu else BLOCK * torch.get_num_threads()  # each has its part in its own cache
    fused = block is not None and kernels.available()
    return {"checked": not graph, "passes": (_FusedPasses if fused else Passes)(torch, block)}


class _FusedPasses(Passes):
    """Passes by the kernel, each a single one over the elements; of tensors that are not contiguous in PyTorch."""

    def peaks(self, form: TensorFormat, values: Any) -> Any:
        if not values.is_contiguous():
            return super().peaks(form, values)
        return kernels.peaks(values, form.vector_size)

    def codes(self, form: TensorFormat, values: Any, divisor: Any) -> Any:
        if not values.is_contiguous() or form.element.dtype(torch) != torch.int32:
            return super().codes(form, values, divisor)
        return kernels.codes(values, divisor, *_of_element(form))

    def reals(self, form: TensorFormat, values: Any, divisor: Any, step: Any) -> Any:
        if not values.is_contiguous():
            return super().reals(form, values, divisor, step)
        return kernels.reals(values, divisor, step, *_of_element(form))


def _of_element(form: TensorFormat) -> tuple[int, ...]:
    """Return V, the least and the largest code, and the bits of the mantissa, -1 for integers."""
    element = form.element
    mantissa = element.mantissa_bits if isinstance(element, Minifloat) else -1
    return form.vector_size, element.qmin, element.qmax, mantissa
