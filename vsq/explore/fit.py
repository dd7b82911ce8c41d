"""Estimates from counts: the cost of each counted element, by component, fitted to designs whose figures are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Counts = Mapping[str, Mapping[str, float]]  # by component and element
Figures = Mapping[str, float]  # by component

_RIDGE = 1e-2  # least singular value, as a share of the largest: elements that come together share their cost


@dataclass(frozen=True)
class Fit:
    """Costs of elements: a component's figure is estimated as ``sum over elements of count * cost``.

    Of elements that come together, as the bits of a Booth recoding, only the sum of costs has a meaning.
    """

    costs: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, counts: Sequence[Counts], figures: Sequence[Figures]) -> "Fit":
        """Return the costs with the least sum of squares of relative errors, and of the costs themselves a little."""
        costs = {}
        for part in sorted({part for known in figures for part in known}):
            pairs = [(a.get(part, {}), b[part]) for a, b in zip(counts, figures, strict=True) if b.get(part)]
            names = sorted({name for elements, _ in pairs for name in elements})
            rows = np.array([[elements.get(name, 0.0) / figure for name in names] for elements, figure in pairs])
            scale = np.abs(rows).max(axis=0)
            found = np.linalg.lstsq(rows / scale, np.ones(len(pairs)), rcond=_RIDGE)[0] / scale
            costs[part] = dict(zip(names, map(float, found), strict=True))
        return cls(costs)

    def __call__(self, counts: Counts) -> float:
        """Return the estimate for the whole design."""
        return sum(
            count * self.costs.get(part, {}).get(name, 0.0)
            for part, elements in counts.items()
            for name, count in elements.items()
        )
