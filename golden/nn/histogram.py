"""A histogram of magnitudes that grows with its data, and the thresholds that are read off it."""

import math

import torch

BINS = 2048


class Histogram:
    """Counts of magnitudes in ``BINS`` equal bins from 0 to a power of two.

    When a magnitude does not fit, pairs of bins merge until it does. Bin edges are thus the same whatever the order of
    the batches, and so are the counts.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.limit = 0.0

    @property
    def width(self) -> float:
        """The width of a bin."""
        return self.limit / BINS

    def add(self, magnitudes: torch.Tensor) -> None:
        """Count a batch of non-negative finite values."""
        values = magnitudes.double().flatten()
        if largest := values.max().item():
            needed = 2.0 ** math.frexp(largest)[1]
            self.limit = self.limit or needed
            while self.limit < needed:
                merged = self.counts.reshape(-1, 2).sum(dim=1)
                self.counts = torch.cat([merged, torch.zeros_like(merged)])
                self.limit *= 2
        bins = (values / (self.width or 1)).long().clamp_(max=BINS - 1)  # without a limit all are zeros
        self.counts += torch.bincount(bins, minlength=BINS).cpu()

    def percentile(self, percent: float) -> float:
        """Return the upper edge of the first bin up to which ``percent`` of 100 values lie."""
        reached = self.counts.cumsum(0) >= percent / 100 * self.counts.sum()
        return (int(reached.nonzero()[0]) + 1) * self.width

    def least_divergence(self, levels: int) -> float:
        """Return the threshold T that minimizes KL(P || Q), as a bin's upper edge.

        P are the counts up to T, with all beyond it in the last bin. Q spreads the unclipped counts below T evenly
        over the non-empty bins of each of ``levels`` equal parts. Bin 0 is left out: exact zeros, as after ReLU, would
        outweigh everything and are represented exactly under every threshold.
        """
        counts = self.counts.clone()
        counts[0] = 0
        filled = int(counts.nonzero()[-1]) + 1 if counts.any() else 0
        if filled <= levels:  # every bin is a level of its own: nothing to gain from clipping
            return max(filled, 1) * self.width
        candidates = range(levels, filled + 1)
        divergence = [_divergence(counts, top, levels) for top in candidates]
        return candidates[divergence.index(min(divergence))] * self.width


def _divergence(counts: torch.Tensor, top: int, levels: int) -> float:
    """Return KL(P || Q) of the first ``top`` bins, both normalized; infinite where Q misses what P has."""
    inside = counts[:top]
    clipped = inside.clone()
    clipped[-1] += counts[top:].sum()
    part = torch.arange(top) * levels // top
    occupied = inside > 0
    totals = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, inside)
    sharing = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, occupied.double())
    spread = torch.where(occupied, (totals / sharing.clamp(min=1))[part], 0.0)
    present = clipped > 0
    p, q = clipped[present] / clipped.sum(), spread[present] / spread.sum()
    return float((p * (p / q).log()).sum())
