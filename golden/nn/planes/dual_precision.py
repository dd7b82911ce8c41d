"""Dual Precision Quantization: weights stored as 4-bit integers and computed with as 8-bit floats E4M3 (W4A8).

    w ~ s8 * E4M3(s_g * q)        q: -8 .. 7;  s_g: one per output row and group;  s8: one per tensor, a power of two
    y = s_x * s8 * sum_k x8[k] * w8[k] + bias

Columns are rounded one after another, and the error of each, to INT4 and to E4M3 together, is compensated by the
columns that are still real, weighted by the inverse Hessian of the layer's output error.

Source: Gafni et al., Dual Precision Quantization (arXiv 2505.14638); Frantar et al., GPTQ (arXiv 2210.17323).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats import fp8
from vsq.golden.formats.elements import Format
from vsq.golden.io.layer import IntegerLayer
from vsq.golden.nn.methods.gptq import compensate
from vsq.golden.nn.methods.hessian import damped, inverse_factor
from vsq.golden.quantizer.tensor import Granularity, Quantized, TensorFormat

PROTECTED = 224.0  # 240 - 240/15: then 16/15 of it, which code -8 reaches, still fits E4M3 with a largest value of 240


@dataclass(frozen=True, eq=False)
class DualPrecision:
    """A weight in both precisions."""

    codes: torch.Tensor  # int8, [N, K]: -8 .. 7
    group_scales: torch.Tensor  # float32, [N, ceil(K / group_size)]: s_g at its stored precision
    tensor_scale: float  # s8, a power of two
    group_size: int  # elements along K that share s_g

    def e4m3(self) -> torch.Tensor:
        """Return w8 = E4M3(s_g * q), as ``torch.float8_e4m3fn``: what the multipliers see."""
        scales = self.group_scales.repeat_interleave(self.group_size, dim=1)[:, : self.codes.shape[1]]
        return _e4m3(scales * self.codes)

    def dequantize(self) -> torch.Tensor:
        """Return ``s8 * w8`` in float32, [N, K], exact."""
        return self.tensor_scale * self.e4m3().float()


@torch.no_grad()
def quantize(
    weight: torch.Tensor,
    hessian: torch.Tensor,
    *,
    group_size: int = 128,
    reorder: bool = True,
    damping: float = 0.01,
    scale_dtype: torch.dtype = torch.bfloat16,
    name: str = "weight",
) -> DualPrecision:
    """Return ``weight`` in both precisions, rounded so that the layer's output changes little.

    Args:
        weight: A Linear's, [N, K].
        hessian: :meth:`vsq.golden.nn.methods.hessian.Hessian.matrix`, [K, K]. With the identity nothing is compensated:
            :func:`round_to_nearest`.
        group_size: Elements along K that share s_g.
        reorder: Whether columns of large inputs are rounded first, while many others can still compensate: columns
            within their group and groups as a whole, so that hardware needs no gather.
        damping: Share of the Hessian's mean diagonal that is added to its diagonal. The source's 0.01 is for many times
            more calibration rows than K; with fewer the compensation fits their noise, and 1 generalizes better.
        scale_dtype: Stored precision of s_g: a float, or ``torch.float8_e8m0fnu`` for powers of two, which make the
            decoder an addition of exponents.

    Raises:
        InputError: If the shapes do not match, or a value is NaN or infinite.
    """
    _check(weight, hessian, group_size, name)
    w = weight.detach().double()
    h = damped(hessian, damping)
    w[:, hessian.diagonal() == 0] = 0

    largest = w.abs().max().item()
    tensor_scale = 2.0 ** math.ceil(math.log2(largest / PROTECTED)) if largest else 1.0
    w /= tensor_scale
    scales = _group_scales(w, group_size, scale_dtype)
    of_column = torch.arange(w.shape[1], device=w.device) // group_size

    order = _order(h.diagonal(), group_size) if reorder else torch.arange(w.shape[1], device=w.device)
    steps = scales[:, of_column[order]].T

    def rounded(k: int, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes = torch.where(steps[k] > 0, columns[k] / steps[k], 0.0).round().clamp(-8, 7)
        return codes, _e4m3(steps[k] * codes).double()

    codes = compensate(w[:, order].T.contiguous(), inverse_factor(h[order][:, order]), rounded).T[:, order.argsort()]
    return DualPrecision(codes.to(torch.int8), scales.float(), tensor_scale, group_size)


def round_to_nearest(weight: torch.Tensor, *, group_size: int = 128, name: str = "weight") -> DualPrecision:
    """Return ``weight`` in the same formats with every column rounded by itself: the baseline."""
    return quantize(weight, torch.eye(weight.shape[-1]), group_size=group_size, name=name)


def activation_scale(largest: float) -> float:
    """Return s_x, the least power of two for which magnitudes up to ``largest`` fit E4M3."""
    return 2.0 ** math.ceil(math.log2(largest / fp8.MAX)) if largest else 1.0


def activations(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Return x8 = E4M3(x / s_x), clipped to its largest value, as ``torch.float8_e4m3fn``."""
    return (x.detach().float() / scale).clamp(-fp8.MAX, fp8.MAX).to(torch.float8_e4m3fn)


def linear(x: torch.Tensor, weight: DualPrecision, scale: float, *, exact: bool = True) -> torch.Tensor:
    """Return ``s_x * s8 * sum_k x8[k] * w8[k]`` for x8 of ``torch.float8_e4m3fn``, [M, K]: float64, [M, N].

    ``exact`` sums are of integers of 2^-18, by :func:`vsq.golden.formats.fp8.matmul`; others of float32 in ascending
    order of k. An InputError is raised if a code is NaN.
    """
    codes = [operand.view(torch.uint8).numpy(force=True) for operand in (x, weight.e4m3())]
    sums = fp8.matmul(*codes) / 2.0**fp8.PRODUCT_FRACTION_BITS if exact else fp8.matmul_float32(*codes)
    return torch.from_numpy(sums).double() * (scale * weight.tensor_scale)


def integer_layer(
    weight: DualPrecision, x: torch.Tensor, scale: float, config: MacConfig | str = "w4a8fp8"
) -> IntegerLayer:
    """Return a layer in the integers of a MAC in dual precision; its outputs are those of :func:`linear`, exact.

    Args:
        weight: Of group scales that ``torch.float8_e4m3fn`` holds, in groups of whole vectors of ``config``.
        x: x8, ``torch.float8_e4m3fn``, [M, K].
        scale: s_x.
        config: Its configuration, or that as a text.

    Raises:
        InputError: If ``config`` is none in dual precision with inputs e4m3, a group is no multiple of V, or a group
            scale is no value of ue4m3.
    """
    config = MacConfig.parse(config) if isinstance(config, str) else config
    form, size = config.weight_scale, config.vector_size
    if not config.dual_precision or form is None or str(config.activation) != "e4m3":
        raise InputError(f"{config.full_name}: no MAC of weights in dual precision and inputs e4m3; choose w4a8fp8")
    if weight.group_size % size:
        raise InputError(f"group size {weight.group_size}: no multiple of V = {size}; choose one, or another V")
    units = weight.group_scales.double().numpy(force=True) * 2.0**form.fraction_bits
    if (units % 1).any() or not np.isin(units, form.values).all():
        raise InputError("group scales: not all are values of ue4m3; quantize with scale_dtype=torch.float8_e4m3fn")
    rows = fp8.fixed_point(x.view(torch.uint8).numpy(force=True), "x")

    def tensor(values: NDArray[Any], element: Format, unit: float) -> Quantized[NDArray[Any]]:
        scaled = form if element is config.weight else None
        form_of = TensorFormat(
            element=element,
            scale=scaled,
            vector_size=size,
            granularity=Granularity.TENSOR,
            dual_precision=scaled is not None,
        )
        codes = form_of.split(values.astype(element.dtype()))[:, None]
        repeated = units.astype(np.int32).repeat(weight.group_size // size, axis=1)[:, None, : codes.shape[2]]
        gamma = np.full((1, 1, 1), unit, np.float32)
        scales = None if scaled is None else repeated
        return Quantized(codes=codes, scales=scales, gamma=gamma, length=values.shape[1], format=form_of)

    gamma = scale * 2.0**-fp8.FRACTION_BITS
    return IntegerLayer(
        config=config,
        weights=tensor(weight.codes.numpy(force=True), config.weight, weight.tensor_scale * 2.0**-fp8.FRACTION_BITS),
        inputs=tensor(rows, config.activation, gamma),
        input_gamma=np.asarray(gamma, np.float32),
        bias=None,
    )


# The steps ----------------------------------------------------------------------------------------------------


def _check(weight: torch.Tensor, hessian: torch.Tensor, group_size: int, name: str) -> None:
    if weight.ndim != 2 or hessian.shape != (weight.shape[1], weight.shape[1]):
        raise InputError(
            f"{name}: shape {tuple(weight.shape)} with a Hessian of {tuple(hessian.shape)}; give [N, K] and [K, K]"
        )
    if group_size < 1:
        raise InputError(f"group size {group_size}: must be at least 1; choose for example 128")
    for values, what in ((weight, name), (hessian, f"Hessian of {name}")):
        if not values.isfinite().all():
            raise InputError(f"{what}: must be finite; remove NaN and infinity first")


def _e4m3(values: torch.Tensor) -> torch.Tensor:
    """Return the nearest E4M3 within the protected range; the clipping is needed, because casts may give NaN."""
    return values.float().clamp(-PROTECTED, PROTECTED).to(torch.float8_e4m3fn)


def _group_scales(w: torch.Tensor, group_size: int, dtype: torch.dtype) -> torch.Tensor:
    """Return s_g = 2/15 * the largest E4M3 magnitude of each group, rounded to its stored precision; [N, G]."""
    padding = -w.shape[1] % group_size
    groups = torch.nn.functional.pad(_e4m3(w).double(), (0, padding)).reshape(len(w), -1, group_size)
    return (2 / 15 * groups.abs().amax(dim=-1)).float().to(dtype).double()


def _order(importance: torch.Tensor, group_size: int) -> torch.Tensor:
    """Return the columns by descending importance within their groups, and groups by descending largest importance."""
    starts = range(0, len(importance), group_size)
    groups = [start + importance[start : start + group_size].argsort(descending=True, stable=True) for start in starts]
    largest = torch.stack([importance[group[0]] for group in groups])
    return torch.cat([groups[i] for i in largest.argsort(descending=True, stable=True)])
