"""Weights rounded column by column, each error compensated by the columns that are still real (GPTQ).

    codes of column k = nearest(w_k / step),   e = (w_k - step*codes) / U_kk,   w_j -= U_kj * e   for all j > k

U^T U is the inverse Hessian. The step of a vector of two levels is sq*gamma: its sq is the integer of least error on
the compensated weights, before the first of its columns is rounded, and an element's error counts 1 / U_kk^2, what
it costs after the others have made up for it. Gammas of channels are those of the plain weights.

Source: Frantar et al., GPTQ (arXiv 2210.17323); Frantar et al., Optimal Brain Compression (arXiv 2208.11580).
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from vsq.golden.model.dual_precision import rounded
from vsq.golden.nn import mmse
from vsq.golden.nn.methods.hessian import damped, inverse_factor
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Granularity, Quantized, step_size

DAMPING = 0.01
_POINTS = 16  # scales tried for each vector
_SECTIONS = 3  # and golden sections, where they are real
_BLOCK = 128  # columns, about, between whose rounding the rest is brought up to date at once


@torch.no_grad()
def quantize(
    quantizer: Quantizer, weights: torch.Tensor, hessian: torch.Tensor, *, name: str = "weight"
) -> Quantized[torch.Tensor]:
    """Return weights [N, ..., C] quantized so that ``tr(D H D^T)`` of their differences D is small.

    Args:
        hessian: Of the columns of ``quantizer.split(weights)``: [K, K] with K = ... * ceil(C / V) * V.

    Raises:
        InputError: As :meth:`vsq.golden.quantizer.core.Quantizer.quantize` does.
    """
    plain = pytorch.quantize(quantizer, weights, name=name)  # refuses what cannot be quantized
    h = damped(hessian, DAMPING)
    factor = inverse_factor(h)
    importance = factor.diagonal().square().reciprocal()
    importance[hessian.diagonal() <= 0] = 0  # columns that saw only zeros
    importance = importance.reshape(plain.codes.shape[1:])  # [..., G, V]
    if quantizer.scale is None and quantizer.granularity == Granularity.CHANNEL:
        flat = importance.flatten(-2)[..., : weights.shape[-1]]
        plain = mmse.quantize(quantizer, weights, importance=flat.float(), name=name)
    steps = Steps(quantizer, plain, importance.float())
    columns = quantizer.split(weights.detach().double(), torch).flatten(1).T.contiguous()  # [K, N]
    codes = compensate(columns, factor, steps.rounded, quantizer.vector_size)
    return steps.result(codes)


class Steps:
    """The steps of a matrix of weights, chosen vector by vector."""

    def __init__(self, quantizer: Quantizer, plain: Quantized[torch.Tensor], importance: torch.Tensor) -> None:
        self.quantizer, self.plain = quantizer, plain
        self.importance = importance.reshape(-1, quantizer.vector_size)  # [L, V], for L vectors in a row
        lead = (len(plain.codes), len(self.importance))
        self.gamma = plain.gamma.expand(plain.codes.shape[:-1]).reshape(lead).clone()  # [N, L]
        self.scales = None if plain.scales is None else plain.scales.reshape(lead).clone()
        self.step = torch.empty(0)

    def rounded(self, k: int, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the codes of column k, and the values that they stand for."""
        vector, place = divmod(k, self.quantizer.vector_size)
        if not place:
            self.step = self._chosen(vector, columns[k : k + self.quantizer.vector_size].T.float()).double()
        step = torch.where(self.step > 0, self.step, torch.inf)
        codes = self.quantizer.element.nearest(columns[k] / step, torch)
        if self.scales is None or not self.quantizer.dual_precision:
            return codes, codes * self.step
        seen = rounded(codes[:, None], self.scales[:, vector], torch)[:, 0]  # by the multipliers
        return codes, seen.double() * self.gamma[:, vector]

    def _chosen(self, vector: int, values: torch.Tensor) -> torch.Tensor:
        """Return the steps [N] of one vector of all rows, whose compensated weights are [N, V]; keep their scales."""
        importance = self.importance[vector].expand(values.shape)
        if self.scales is not None and self.quantizer.scale is not None:
            gamma = self.gamma[:, vector]
            best = mmse.best_scales(self.quantizer, values, gamma, _POINTS, importance)
            self.scales[:, vector] = self.quantizer.scale.codes(best, torch)
            step: torch.Tensor = step_size(best, gamma, torch)
            return step
        if self.quantizer.granularity == Granularity.TOKEN:
            self.gamma[:, vector] = mmse.best_steps(self.quantizer, values, _POINTS, _SECTIONS, importance)
        return self.gamma[:, vector]

    def result(self, codes: torch.Tensor) -> Quantized[torch.Tensor]:
        """Return the quantized weights, given the codes [K, N]."""
        shape = self.plain.codes.shape
        scales = None if self.scales is None else self.scales.reshape(shape[:-1])
        gamma = self.plain.gamma
        if self.scales is None and self.quantizer.granularity == Granularity.TOKEN:
            gamma = self.gamma.reshape(gamma.shape)
        integers = self.quantizer.element.codes(codes.T.reshape(shape), torch)
        return replace(self.plain, codes=integers, scales=scales, gamma=gamma)


def compensate(
    columns: torch.Tensor,
    factor: torch.Tensor,
    rounded: Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    vector_size: int = 1,
) -> torch.Tensor:
    """Return the codes [K, N] of ``columns``, which change in place.

    Args:
        columns: Real weights, [K, N].
        factor: The upper Cholesky factor of the inverse Hessian, [K, K].
        rounded: From k, and all columns, to the codes of column k and the values that they stand for. The columns up to
            the end of k's vector are up to date.
        vector_size: Columns in a vector.
    """
    codes = torch.zeros_like(columns)
    block = -(-_BLOCK // vector_size) * vector_size
    for start in range(0, len(columns), block):
        stop = min(start + block, len(columns))
        errors = torch.zeros_like(columns[start:stop])
        for k in range(start, stop):
            codes[k], values = rounded(k, columns)
            error = (columns[k] - values) / factor[k, k]
            columns[k:stop] -= factor[k, k:stop, None] * error
            errors[k - start] = error
        columns[stop:] -= factor[start:stop, stop:].T @ errors
    return codes
