"""Dual Precision Quantization: weights stored as 4-bit integers and computed with as 8-bit floats E4M3 (W4A8).

    w ~ s8 * E4M3(s_g * q)        q: -8 .. 7;  s_g: one per output row and group;  s8: one per tensor, a power of two
    y = s_x * s8 * sum_k x8[k] * w8[k] + bias

Columns are rounded one after another, and the error of each, to INT4 and to E4M3 together, is compensated by the
columns that are still real, weighted by the inverse Hessian of the layer's output error.

Source: Gafni et al., Dual Precision Quantization (arXiv 2505.14638); Frantar et al., GPTQ (arXiv 2210.17323).
"""

import math
from dataclasses import dataclass

import torch

from vsq.golden.contract.errors import InputError
from vsq.golden.formats import fp8

PROTECTED = 224.0  # 240 - 240/15: then 16/15 of it, which code -8 reaches, still fits E4M3 with a largest value of 240
_BLOCK = 128


class Hessian:
    """H = (2/n) X^T X of a Linear's inputs X [n, K], summed up batch by batch in float64."""

    def __init__(self) -> None:
        self.rows = 0
        self.products: torch.Tensor | None = None

    @torch.no_grad()
    def observe(self, x: torch.Tensor) -> None:
        """Take one batch of inputs, [..., K]."""
        rows = x.detach().double().reshape(-1, x.shape[-1])
        self.products = rows.T @ rows if self.products is None else self.products + rows.T @ rows
        self.rows += len(rows)

    def matrix(self, name: str = "layer") -> torch.Tensor:
        """Return H, [K, K] in float64; raise an InputError if no batch was seen."""
        if self.products is None:
            raise InputError(f"{name}: calibration saw no data; run the model on calibration batches first")
        return 2 / self.rows * self.products


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
        hessian: :meth:`Hessian.matrix`, [K, K]. With the identity nothing is compensated: :func:`round_to_nearest`.
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
    h = hessian.detach().to(w, copy=True)
    dead = h.diagonal() == 0
    h.diagonal()[dead] = 1
    w[:, dead] = 0

    largest = w.abs().max().item()
    tensor_scale = 2.0 ** math.ceil(math.log2(largest / PROTECTED)) if largest else 1.0
    w /= tensor_scale
    scales = _group_scales(w, group_size, scale_dtype)
    of_column = torch.arange(w.shape[1], device=w.device) // group_size

    order = _order(h.diagonal(), group_size) if reorder else torch.arange(w.shape[1], device=w.device)
    h.diagonal().add_(damping * h.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h[order][:, order]))
    factor = torch.linalg.cholesky(inverse, upper=True)
    codes = _compensated(w[:, order], scales[:, of_column[order]], factor)[:, order.argsort()]
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


def _compensated(w: torch.Tensor, scales: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Return the codes [N, K] of ``w``, column by column.

    Each column's error, over the diagonal of the inverse Hessian's upper Cholesky ``factor``, is taken off the columns
    to its right: at once within a block, and off all later blocks when the block is done.
    """
    columns, steps = w.T.contiguous(), scales.T.contiguous()  # [K, N]: a column lies together
    codes = torch.zeros_like(columns)
    for start in range(0, len(columns), _BLOCK):
        stop = min(start + _BLOCK, len(columns))
        errors = torch.zeros_like(columns[start:stop])
        for i in range(start, stop):
            codes[i] = torch.where(steps[i] > 0, columns[i] / steps[i], 0.0).round().clamp(-8, 7)
            error = (columns[i] - _e4m3(steps[i] * codes[i]).double()) / factor[i, i]
            columns[i:stop] -= factor[i, i:stop, None] * error
            errors[i - start] = error
        columns[stop:] -= factor[start:stop, stop:].T @ errors
    return codes.T
