"""Figures of the paper, for a whole processing element, relative to its ``8/8/-/-``.

Source: VS-Quant (Dai et al., MLSys 2021, arXiv 2102.04503 v1), the energy and area figures of section 6, read off their
bitmaps to about 0.005. The headline points are in the text: 4/4/4/6 with 37 % less area and 24 % less energy, 4/8/6/10
with 26 % less area. The paper gives no accuracy for rounded scale products.
"""

from dataclasses import dataclass

SOURCE = "VS-Quant (arXiv 2102.04503 v1), read off its figures to about 0.005"
READING_ERROR = 0.005


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """A design point's energy per operation and area, to those of ``8/8/-/-``; None where the paper gives none."""

    energy: float | None = None
    area: float | None = None


# Configuration to ratios; R is the width of the rounded scale product.
POINTS: dict[str, Ratios] = {
    # The design points, with full scale products.
    "4/4/4/6": Ratios(energy=0.761, area=0.629),
    "4/4/4/4": Ratios(energy=0.642, area=0.621),
    "4/6/4/-": Ratios(energy=0.57, area=0.637),
    "6/6/-/-": Ratios(energy=0.764, area=0.779),
    "6/6/4/4": Ratios(energy=1.042, area=0.833),
    "8/8/6/-": Ratios(energy=1.042, area=1.058),
    "6/8/-/-": Ratios(energy=0.822, area=0.813),
    "4/8/6/10": Ratios(energy=1.345, area=0.742),
    "4/8/4/10": Ratios(energy=1.225, area=0.713),
    "3/8/6/10": Ratios(energy=1.190, area=0.642),
    "3/8/4/10": Ratios(energy=1.042, area=0.622),
    "4/8/-/10": Ratios(energy=0.991, area=0.665),
    # Energy by the width of the scale product.
    "4/4/-/-": Ratios(energy=0.486),
    "4/4/4/4:R=6": Ratios(energy=0.425),
    "4/4/4/4:R=4": Ratios(energy=0.365),
    "6/6/4/4:R=6": Ratios(energy=0.739),
    "6/6/4/4:R=4": Ratios(energy=0.626),
    "6/8/8/-": Ratios(energy=0.978),
    "6/8/8/-:R=6": Ratios(energy=0.825),
    "6/8/8/-:R=4": Ratios(energy=0.798),
    "8/8/6/-:R=4": Ratios(energy=0.858),
}
