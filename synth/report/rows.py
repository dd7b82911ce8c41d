"""The report's rows: ratios to the 8-bit element, the paper's beside them, and why they differ.

The paper's are of a whole processing element. Source: VS-Quant (Dai et al., MLSys 2021, arXiv 2102.04503 v1), the
energy and area figures of section 6, read off their bitmaps to about 0.005. The headline points are in the text:
4/4/4/6 with 37 % less area and 24 % less energy, 4/8/6/10 with 26 % less area. The paper gives no accuracy for rounded
scale products.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.io.files import read_results
from vsq.golden.workloads.metrics import Scores, read
from vsq.synth.measure.area import LANES, baseline_of
from vsq.synth.measure.energy import MEMORIES
from vsq.synth.measure.records import Record

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

Figures = dict[tuple[str, str], float]  # by component and quantity

AREA, WITH_BUFFERS, BITS, ENERGY, PATH = "area", "area with buffers", "memory bits", "energy", "critical path"


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Scores of one workload by configuration and name, as ``vsq accuracy --json`` wrote them."""

    task: str
    metric: str  # the name of the score that charts show
    scores: Mapping[str, Scores]

    @classmethod
    def load(cls, path: Path) -> "Accuracy":
        """Read a file; one that is missing or of something else is an InputError."""
        content = read_results(path, "scores")
        try:
            return cls(task=content["task"], metric=content["metric"], scores=read(content["scores"]))
        except (KeyError, ValueError):
            raise InputError(f"{path}: no file of scores; give one that 'vsq accuracy --json' wrote") from None

    @property
    def title(self) -> str:
        """A title for the scores: task and metric."""
        return f"{self.task}: {self.metric}"

    def of(self, config: Configuration) -> Scores | None:
        """Return the best scores of a configuration after quantization without training; None if it was not measured.

        The best are those of the options of quantization, of all that the file has, with the highest metric.
        """
        name = f"{essential(config.mac).full_name} ptq"
        found = [
            scores for key, scores in self.scores.items() if f"{key} ".startswith(f"{name} ") and "seed=" not in key
        ]
        return max(found, key=lambda scores: scores[self.metric].value, default=None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One element: its figures, and those of the baseline."""

    config: Configuration
    figures: Figures
    baseline: Figures

    @property
    def name(self) -> str:
        """The configuration."""
        return self.config.full_name

    @property
    def paper(self) -> Ratios:
        """The paper's ratios of these formats and this width of the scale product."""
        return POINTS.get(essential(self.config.mac).full_name, Ratios())

    @property
    def values(self) -> dict[str, float | None]:
        """Every figure of the report by name; None where it was not measured, or the paper gives none beside it."""
        energy = self._ratio("total", ENERGY)
        return {
            "lanes area ratio": self._ratio("lanes", AREA),
            "logic area ratio": self._ratio("total", AREA),
            "area ratio": self._ratio("total", WITH_BUFFERS),
            "equal bytes area ratio": self._equal_bytes,
            "paper area ratio": self.paper.area,
            "energy ratio": energy,
            "logic energy ratio": self._ratio("logic", ENERGY),
            "paper energy ratio": None if energy is None else self.paper.energy,
            "energy pJ": self.figures.get(("total", ENERGY)),
            "critical path ns": self.figures.get(("total", PATH)),
            "lanes critical path ns": self.figures.get(("lanes", PATH)),
        }

    @property
    def explanations(self) -> list[str]:
        """One sentence for each figure that the paper gives too."""
        values, sentences = self.values, []
        if (area := values["area ratio"]) is not None and self.paper.area is not None:
            scale = self.figures.get(("scale", AREA), 0) / self.figures["total", WITH_BUFFERS]
            sentences.append(
                f"Area {_beside(area, self.paper.area)}: dot products have {self._ratio('dot', AREA):.2f} of the "
                f"baseline's area, the scale path is {scale:.1%} of the element, and buffers have "
                f"{self._ratio('total', BITS):.2f} of the bits."
            )
        if (energy := values["energy ratio"]) is not None and self.paper.energy is not None:
            scale = self.figures.get(("scale", ENERGY), 0) / self.figures["total", ENERGY]
            sentences.append(
                f"Energy {_beside(energy, self.paper.energy)}: dot products use {self._ratio('dot', ENERGY):.2f} of "
                f"the baseline's energy, the scale path is {scale:.1%} of the element, and memories use "
                f"{self._ratio(MEMORIES, ENERGY):.2f}; "
                f"without memories the ratio is {values['logic energy ratio']:.3f}."
            )
        return sentences

    @property
    def _equal_bytes(self) -> float:
        """Area with the baseline's buffers to the baseline's."""
        logic, everything = self.baseline["total", AREA], self.baseline["total", WITH_BUFFERS]
        return (self.figures["total", AREA] + everything - logic) / everything

    def _ratio(self, component: str, quantity: str) -> float | None:
        key = component, quantity
        return self.figures[key] / self.baseline[key] if key in self.figures and key in self.baseline else None


def rows_of(found: Mapping[Configuration, Sequence[Record]], bit_area: float) -> list[Row]:
    """Return the rows of elements, baselines among them; ``bit_area`` of a buffer is in the library's unit."""
    figures = {config: _with_sums(records, bit_area) for config, records in found.items()}
    return [Row(config=config, figures=mine, baseline=figures[baseline_of(config)]) for config, mine in figures.items()]


def _with_sums(records: Sequence[Record], bit_area: float) -> Figures:
    """Return an element's figures, and of all lanes, of all logic, and in total those that are sums."""
    figures = {(record.component, record.quantity): record.value for record in records}
    figures["total", WITH_BUFFERS] = figures["total", AREA] + bit_area * figures["total", BITS]
    figures["lanes", AREA] = sum(figures.get((component, AREA), 0.0) for component in LANES)
    energies = {component: value for (component, quantity), value in figures.items() if quantity == ENERGY}
    if energies:
        figures["total", ENERGY] = sum(energies.values())
        figures["logic", ENERGY] = sum(value for component, value in energies.items() if component != MEMORIES)
    return figures


def scored(rows: Sequence[Row], accuracy: Accuracy) -> list[tuple[str, float, Scores]]:
    """Return configuration, area ratio and scores of the elements that have some."""
    return [
        (row.name, area, scores)
        for row in rows
        if (area := row.values["area ratio"]) is not None and (scores := accuracy.of(row.config)) is not None
    ]


def essential(mac: MacConfig) -> MacConfig:
    """Return what accuracy, and the paper's figures, depend on: formats, V, and the rounding of scale products."""
    kept = ("weight", "activation", "vector_size", "weight_scale", "activation_scale", "scale_product_bits", "rounding")
    return MacConfig(**{name: getattr(mac, name) for name in kept}, narrow=False)


def _beside(ours: float, paper: float) -> str:
    difference = ours - paper
    if abs(difference) <= READING_ERROR:
        return f"{ours:.3f} equals the paper's {paper:.3f} within the error of reading it"
    return f"{ours:.3f} is {abs(difference):.3f} {'above' if difference > 0 else 'below'} the paper's {paper:.3f}"
