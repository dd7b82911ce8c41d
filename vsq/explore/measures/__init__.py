"""Measures of a point, one in a file: :data:`MEASURES` lists them."""

from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.counts import CountsMeasure
from vsq.explore.measures.energy import EnergyMeasure
from vsq.explore.measures.fpga import FpgaMeasure
from vsq.explore.measures.layout import LayoutMeasure
from vsq.explore.measures.measure import Measure
from vsq.explore.measures.storage import StorageMeasure
from vsq.explore.measures.timing import TimingMeasure

_ALL = (
    AreaMeasure,
    EnergyMeasure,
    TimingMeasure,
    LayoutMeasure,
    FpgaMeasure,
    StorageMeasure,
    AccuracyMeasure,
    CountsMeasure,
)
MEASURES: dict[str, type[Measure]] = {each.name: each for each in _ALL}
