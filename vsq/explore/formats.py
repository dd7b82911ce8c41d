"""The table of block formats: what each costs in hardware and keeps of networks' accuracy, beside published ratios.

Every figure is that of a measure of this package, kept in a store, from which an interrupted run resumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from vsq.explore.exploration import explore
from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.energy import EnergyMeasure
from vsq.explore.measures.measure import Measure
from vsq.explore.measures.storage import StorageMeasure
from vsq.explore.measures.timing import TimingMeasure
from vsq.explore.space import Space
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.contract.pe_config import Configuration, PeConfig
from vsq.golden.io.engine import Engine
from vsq.golden.workloads.metrics import Score
from vsq.golden.workloads.workload import load
from vsq.synth.measure.area import baseline_of
from vsq.synth.report.rows import POINTS
from vsq.synth.report.rows import SOURCE as VS_QUANT

METHODS: dict[str, Any] = {"weight_codes": "gptq", "bias_correction": True, "smoothing": 0.5, "feedback": 0.3}
_INTEGERS, _NO_CORE = "integers, exact here and there; not compared", "no tensor core has it"
_BLACKWELL = "Blackwell (mmasim 2.1.1), of 3,072 random results"

# Name, configuration, and the comparison with tensor cores: ours is the exact sum, rounded once to float32 toward zero.
FORMATS: dict[str, tuple[str, str]] = {
    "INT8": ("8/8/-/-", _INTEGERS),
    "INT4": ("4/4/-/-", _INTEGERS),
    "VSQ 4/4/4/6": ("4/4/4/6", _NO_CORE),
    "VSQ 4/8/6/10": ("4/8/6/10", _NO_CORE),
    "NVINT4": ("nvint4", _NO_CORE),
    "NVFP4": ("nvfp4", f"{_BLACKWELL}: all equal"),
    "MXFP4": ("mxfp4", f"{_BLACKWELL}: 3,046 equal, 26 beyond its 35 bits"),
    "MXFP6 E2M3": ("mxfp6-e2m3", "not compared"),
    "MXFP6 E3M2": ("mxfp6-e3m2", "not compared"),
    "MXFP8 E4M3": ("mxfp8-e4m3", f"{_BLACKWELL}: 2,879 equal, 193 beyond its 25 bits"),
    "MXFP8 E5M2": ("mxfp8-e5m2", f"{_BLACKWELL}: 2,835 equal, 237 beyond its 25 bits"),
    "MXINT8": ("mxint8", _NO_CORE),
    "W4A8-FP8": ("w4a8fp8", "decoded weights are E4M3, so as FP8; not compared"),
}


@dataclass(frozen=True)
class Published:
    """A published ratio of one format's area or energy to another's, of vector MACs or of processing elements."""

    name: str
    to: str
    quantity: str
    value: float
    source: str
    element: bool = False


_INT_AND_FP = "arXiv 2510.25602, gate model"
PUBLISHED = (
    *(
        Published(name, "INT8", "area", area, VS_QUANT, element=True)
        for name in ("VSQ 4/4/4/6", "VSQ 4/8/6/10")
        if (area := POINTS[FORMATS[name][0]].area) is not None
    ),
    *(
        Published(name, "MXFP8 E4M3", quantity, value, _INT_AND_FP)
        for name, values in {"MXINT8": (0.79, 0.63), "NVFP4": (0.54, 0.55), "NVINT4": (0.38, 0.34)}.items()
        for quantity, value in zip(("area", "energy"), values, strict=True)
    ),
    Published("MXFP4", "NVFP4", "area", 0.88, "arXiv 2603.08713, tensor cores"),
)


@dataclass(frozen=True, kw_only=True)
class FormatRow:
    """The figures of one format; of those that are None, ``missing`` has the reasons by name."""

    name: str
    configuration: str
    weight_bits: float | None
    activation_bits: float | None
    area: float | None  # of a vector MAC, a lane: divided by V
    element_area: float | None  # of a processing element, a bit of its buffers being one unit, by V and by lanes
    area_ratio: float | None  # of the vector MAC to INT8's of the same V
    path: float | None  # ns
    energy: float | None  # pJ of a multiply-accumulate
    minilm: Score | None
    minilm_methods: Score | None
    digits: Score | None
    tensor_cores: str
    missing: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class FormatMeasures:
    """The measures behind the columns; those that this machine does not allow are None, ``notes`` say why."""

    storage: Measure
    area: Measure
    digits: Measure | None
    minilm: Measure | None
    path: Measure | None
    energy: Measure | None
    minilm_methods: Measure | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, liberty: str | None, data: str) -> "FormatMeasures":
        """Return what can be measured: paths and energy with a library, accuracies of workloads that are there.

        Raises:
            InputError: If the library has no power data, or the data is not there.
        """
        notes, scored, timed = [], set[str](), None
        for name in ("digits", "minilm"):
            try:
                load(name)
                scored.add(name)
            except (InputError, ModuleNotFoundError) as error:
                notes.append(f"Accuracy on {name} is left out: {error}.")
        if liberty is None:
            notes.append("Critical paths and energy are left out: no library was given (--liberty).")
        else:
            try:
                timed = TimingMeasure(liberty=liberty)
            except InputError as error:
                notes.append(f"Critical paths are left out: {error}.")

        def accuracy(name: str, **methods: Any) -> Measure | None:
            return AccuracyMeasure(workload=name, **methods) if name in scored else None

        return cls(
            storage=StorageMeasure(),
            area=AreaMeasure(),
            path=timed,
            energy=None if liberty is None else EnergyMeasure(liberty=liberty, data=data),
            minilm=accuracy("minilm"),
            minilm_methods=accuracy("minilm", **METHODS),
            digits=accuracy("digits"),
            notes=tuple(notes),
        )

    @property
    def there(self) -> list[Measure]:
        """All that are not None."""
        return [one for each in fields(self) if isinstance(one := getattr(self, each.name), Measure)]


@dataclass(frozen=True, kw_only=True)
class FormatTable:
    """Rows, and what measured them."""

    rows: Sequence[FormatRow]
    measures: FormatMeasures

    @property
    def ratios(self) -> Iterator[tuple[Published, float | None]]:
        """Published ratios of the rows with the same ratio here; None where a figure is missing."""
        rows = {row.name: row for row in self.rows}
        for one in PUBLISHED:
            if one.name in rows and one.to in rows:
                field = "element_area" if one.element else one.quantity
                mine, theirs = (getattr(rows[name], field) for name in (one.name, one.to))
                yield one, None if mine is None or theirs is None else mine / theirs

    def tables(self) -> list[Table]:
        """Return costs, accuracies and ratios for people; a dash stands where :meth:`sentences` say why."""
        costs = _table("Costs", "format", "configuration")
        for head in ("bits W", "bits A", "MAC, a lane", "to INT8", "PE, a lane", "path, ns", "pJ / MAC"):
            costs.add_column(head, justify="right", no_wrap=True)
        accuracy = _table(
            "Accuracy, and equality with GPUs", "format", "MiniLM", "with methods", "digits", "tensor cores"
        )
        for row in self.rows:
            bits, areas = (row.weight_bits, row.activation_bits), (row.area, row.area_ratio, row.element_area)
            figures = zip(
                (*bits, *areas, row.path, row.energy), (".3g", ".3g", ".0f", ".3f", ".0f", ".2f", ".2f"), strict=True
            )
            costs.add_row(row.name, row.configuration, *(_shown(value, spec) for value, spec in figures))
            scores = (_shown(score, ".4f") for score in (row.minilm, row.minilm_methods, row.digits))
            accuracy.add_row(row.name, *scores, row.tensor_cores)
        ratios = _table("Beside published ratios", "format", "to", "of", "published", "here", "source")
        for one, here in self.ratios:
            what = f"{one.quantity}, {'PE with buffers' if one.element else 'MAC, a lane'}"
            ratios.add_row(one.name, one.to, what, f"{one.value:.3g}", _shown(here, ".3f"), one.source)
        return [costs, accuracy, ratios]

    def sentences(self) -> list[str]:
        """Return what the figures are of, and why those are missing that are."""
        missing = [f"{row.name}: no {what}: {reason}." for row in self.rows for what, reason in row.missing.items()]
        return [
            "A lane is one of the V multipliers of a vector MAC with its share of all else; of a processing element, "
            "whose buffers count at one unit a bit, one of V times lanes.",
            "Methods: weights by GPTQ, bias correction, smoothing .5, feedback .3, the same for every format.",
            "Tensor cores: exact sums rounded once toward zero, C = 0, beside theirs; those that differ lose bits of "
            "terms there, and equal the sum of such terms (make check-oracles).",
            *self.measures.notes,
            *missing,
        ]

    def document(self) -> dict[str, Any]:
        """Return everything for programs."""
        ratios = [{**asdict(one), "here": here} for one, here in self.ratios]
        return {"formats": [asdict(row) for row in self.rows], "published": ratios, "notes": self.sentences()}


def format_table(
    names: Sequence[str],
    measures: FormatMeasures,
    folder: Path,
    engine: Engine,
    console: Console | None = None,
) -> FormatTable:
    """Measure what the store in ``folder`` lacks, and return the table of formats, all of them if none is named.

    Raises:
        InputError: If a name is none of :data:`FORMATS`, nor one's configuration, or the store cannot be written.
    """
    chosen = {name: MacConfig.parse(FORMATS[name][0]) for name in map(_named, names or FORMATS)}
    elements = {name: element for name, config in chosen.items() if not isinstance(element := _element(config), str)}
    baselines = dict.fromkeys(baseline_of(config) for config in chosen.values())
    for space, measured in (  # elements, which take the longest, at last
        (chosen.values(), measures.there),
        (baselines, [measures.area]),
        (elements.values(), [measures.area]),
    ):
        explore(Space([*space]), measured, folder, engine, retry=True, console=console)
    store = RecordStore(folder)
    return FormatTable(rows=[_row(name, config, measures, store) for name, config in chosen.items()], measures=measures)


def _named(text: str) -> str:
    """Return the format that is meant by its name in any case, or by its configuration."""
    names = {spelling.casefold(): name for name, (config, _) in FORMATS.items() for spelling in (config, name)}
    if text.casefold() not in names:
        raise InputError(f"format {text!r}: there is none of that name; {did_you_mean(text.upper(), FORMATS)}")
    return names[text.casefold()]


def _element(config: MacConfig) -> PeConfig | str:
    """Return the processing element of a vector MAC, or why there is none."""
    try:
        return PeConfig(mac=config)
    except InputError as error:
        return str(error)


def _row(name: str, config: MacConfig, measures: FormatMeasures, store: RecordStore) -> FormatRow:
    missing = dict[str, str]()

    def figure(what: str, subject: Configuration | str, measure: Measure | None, *quantities: str) -> list[Any]:
        """Return figures of the whole; None for each, with a reason, where there are none."""
        if measure is None:
            return [None] * len(quantities)
        entry = None if isinstance(subject, str) else store.read(Task.of(subject, measure))
        if entry is None or "failure" in entry:
            missing[what] = str(subject) if entry is None else entry["failure"]
            return [None] * len(quantities)
        whole = {one["quantity"]: one["value"] for one in entry["records"] if one["component"] == "total"}
        return [whole.get(quantity) for quantity in quantities]

    def score(what: str, measure: Measure | None, metric: str) -> Score | None:
        value, error = figure(what, config, measure, metric, f"standard error of {metric}")
        return None if value is None else Score(value, error)

    weight_bits, activation_bits = figure("bits", config, measures.storage, "bits a weight", "bits an activation")
    [area] = figure("area of a MAC", config, measures.area, "area")
    [baseline] = figure("area of the baseline", baseline_of(config), measures.area, "area")
    element = _element(config)
    logic, bits = figure("area of a processing element", element, measures.area, "area", "memory bits")
    lanes = config.vector_size * (1 if isinstance(element, str) else element.lanes)
    return FormatRow(
        name=name,
        configuration=config.full_name,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        area=None if area is None else area / config.vector_size,
        area_ratio=None if area is None or baseline is None else area / baseline,
        element_area=None if logic is None else (logic + bits) / lanes,
        path=figure("critical path", config, measures.path, "critical path")[0],
        energy=figure("energy", config, measures.energy, "energy per operation")[0],
        minilm=score("accuracy on MiniLM", measures.minilm, "cosine"),
        minilm_methods=score("accuracy on MiniLM with methods", measures.minilm_methods, "cosine"),
        digits=score("accuracy on digits", measures.digits, "accuracy"),
        tensor_cores=FORMATS[name][1],
        missing=missing,
    )


def _table(title: str, *heads: str) -> Table:
    return Table(*heads, title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)


def _shown(value: float | Score | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
