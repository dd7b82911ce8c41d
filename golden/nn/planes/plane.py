"""A tensor as the sum of several quantized planes, each with its own scales."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from vsq.golden.quantizer.tensor import Quantized


@dataclass(frozen=True, eq=False)
class Plane:
    """One summand: it stands for ``sign * quantized``.

    Parameters
    ----------
    quantized
        Codes, scales and gammas.
    sign
        1, or -1 where ``quantized`` holds the magnitudes of a plane without positive values.
    """

    quantized: Quantized[torch.Tensor]
    sign: int = 1

    def dequantize(self) -> torch.Tensor:
        """Return the plane's values in float32."""
        return self.sign * self.quantized.dequantize()


def total(planes: Iterable[Plane]) -> torch.Tensor:
    """Return the sum of the planes' values in float32: the tensor that they approximate."""
    return torch.stack([plane.dequantize() for plane in planes]).sum(dim=0)
