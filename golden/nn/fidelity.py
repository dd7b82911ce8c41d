"""Fidelity of quantized tensors to the real ones."""

import math
from dataclasses import dataclass

import torch

from vsq.golden.quantizer.tensor import Quantized


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """One tensor's figures."""

    sqnr: float  # signal to quantization noise, 10 log10(sum x^2 / sum (x - x^)^2), in dB; infinite without noise
    clipped: float  # share of the elements beyond the largest code by more than half a step
    zero_scales: float  # share of the vectors whose scale became 0 although they are not all zero

    def cells(self) -> list[str]:
        """Return the figures as a table shows them."""
        return [f"{self.sqnr:.1f} dB", f"{self.clipped:.2%}", f"{self.zero_scales:.2%}"]


@torch.no_grad()
def fidelity(x: torch.Tensor, quantized: Quantized[torch.Tensor]) -> Fidelity:
    """Return the figures of ``x``, which became ``quantized``."""
    form, exact = quantized.format, x.detach().double()
    noise = (exact - quantized.dequantize()).square().sum().item()
    signal = exact.square().sum().item()
    vectors = form.split(x.detach().float(), torch).double().abs()
    step = form.steps(quantized.scales, quantized.gamma, torch).double()
    alive = vectors.amax(dim=-1) > 0
    lost = alive & (step.expand(alive.shape) == 0)
    limit = form.element.qmax + form.element.last_step / 2
    clipped = (vectors > limit * step[..., None]) & ~lost[..., None]
    return Fidelity(
        sqnr=10 * math.log10(signal / noise) if signal and noise else math.inf if signal else -math.inf,
        clipped=clipped.sum().item() / x.numel(),
        zero_scales=lost.float().mean().item(),
    )
