"""The Hessian of a layer's squared output error in its weights, and what rounding needs of it.

    H = (2/n) sum_i x_i x_i^T         x_i: the rows that the weights are multiplied with, [K]

Where the bias is corrected as well, the error's mean does not count: then the x_i are centred, x_i - mean(x).
"""

import torch

from vsq.golden.contract.errors import InputError


class Hessian:
    """H of a layer's input rows, or the same sum of the products of two kinds of rows, batch by batch in float64."""

    def __init__(self) -> None:
        self.rows = 0
        self.sums: list[torch.Tensor] = []  # of either kind of rows, [K]
        self.products: torch.Tensor | None = None  # [K, K]

    @torch.no_grad()
    def observe(self, x: torch.Tensor, other: torch.Tensor | None = None) -> None:
        """Take one batch of rows x, [..., K]; the products are x^T x, or x^T other."""
        left = x.detach().double().reshape(-1, x.shape[-1])
        right = left if other is None else other.detach().double().reshape(left.shape)
        products, sums = left.T @ right, [left.sum(dim=0), right.sum(dim=0)]
        self.products = products if self.products is None else self.products + products
        self.sums = [new + old for new, old in zip(sums, self.sums, strict=True)] if self.sums else sums
        self.rows += len(left)

    def matrix(self, name: str = "layer", *, centred: bool = False) -> torch.Tensor:
        """Return H, [K, K] in float64; raise an InputError if no batch was seen."""
        if self.products is None:
            raise InputError(f"{name}: calibration saw no data; run the model on calibration batches first")
        left, right = self.sums
        products = self.products - torch.outer(left, right) / self.rows if centred else self.products
        return 2 / self.rows * products


def damped(hessian: torch.Tensor, damping: float) -> torch.Tensor:
    """Return H plus ``damping`` times the mean of its diagonal, in which columns that saw only zeros have 1."""
    h = hessian.detach().double().clone()
    diagonal = h.diagonal()
    diagonal[diagonal <= 0] = 1
    diagonal += damping * diagonal.mean()
    return h


def inverse_factor(hessian: torch.Tensor) -> torch.Tensor:
    """Return U, upper triangular, with U^T U = H^-1: row i weights what column i's error costs those to its right.

    With the order of columns reversed on both sides, H = L L^T turns into H = R R^T, R upper triangular; so U = R^-1.
    """
    r = torch.linalg.cholesky(hessian.flip(0, 1)).flip(0, 1)
    u: torch.Tensor = torch.linalg.solve_triangular(r, torch.eye(len(r), dtype=r.dtype, device=r.device), upper=True)
    return u
