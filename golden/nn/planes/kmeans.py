"""Three clusters of real numbers, deterministic."""

import torch

_STEPS = 256


def boundaries(values: torch.Tensor) -> torch.Tensor:
    """Return the two numbers that part ``values`` into three clusters of least squared distance to their centres.

    They are the midpoints of neighbouring centres; a value on a boundary belongs below it. Clusters of numbers are
    intervals, so all pairs of cuts are tried: exact up to 256 distinct values. Of more, only cuts at 256 equal steps in
    rank and at 256 equal steps in value are tried, and Lloyd's iterations carry the best pair to the nearest optimum.

    Args:
        values: Any shape.

    Returns:
        float64, [2], ascending. Fewer than three distinct values have a cluster each; the rest of the boundaries is
        infinite.
    """
    points, counts = torch.unique(values.detach().double(), return_counts=True)
    if len(points) < 3:
        between = (points[1:] + points[:-1]) / 2
        return torch.cat([between, between.new_full((2 - len(between),), torch.inf)])
    zero = points.new_zeros(1)
    count = torch.cat([zero, counts.double().cumsum(0)])  # of the points below each cut
    mass = torch.cat([zero, (points * counts).cumsum(0)])
    cuts = _best_cuts(_candidates(points), count, mass)
    while True:
        ends = torch.cat([cuts.new_zeros(1), cuts, cuts.new_tensor([len(points)])])
        centres = mass[ends].diff() / count[ends].diff()
        middles = (centres[1:] + centres[:-1]) / 2
        moved = torch.searchsorted(points, middles, right=True)
        if torch.equal(moved, cuts) or not 0 < moved[0] < moved[1] < len(points):
            return middles
        cuts = moved


def _candidates(points: torch.Tensor) -> torch.Tensor:
    """Return numbers of points that may lie below a cut, ascending, without 0 and all of them."""
    ranks = torch.linspace(0, len(points), min(len(points), _STEPS) + 1).round().long().to(points.device)
    steps = torch.searchsorted(points, torch.linspace(0, 1, _STEPS).to(points) * (points[-1] - points[0]) + points[0])
    cuts: torch.Tensor = torch.unique(torch.cat([ranks, steps]))
    return cuts[(cuts > 0) & (cuts < len(points))]


def _best_cuts(cuts: torch.Tensor, count: torch.Tensor, mass: torch.Tensor) -> torch.Tensor:
    """Return the two cuts of the largest sum of mass^2 / count; a constant less it are the squared distances."""
    n, m = count[cuts], mass[cuts]
    between = (m[None, :] - m[:, None]).square() / (n[None, :] - n[:, None])
    gain = (m.square() / n)[:, None] + between + ((mass[-1] - m).square() / (count[-1] - n))[None, :]
    ascending = torch.ones_like(gain, dtype=torch.bool).triu(1)
    best = int(torch.where(ascending, gain, -torch.inf).argmax())
    return cuts[[best // len(cuts), best % len(cuts)]]
