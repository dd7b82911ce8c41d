"""Critical path of a synthesized design."""

from dataclasses import dataclass

from vsq.explore.measures.measure import Measure
from vsq.golden.contract.errors import choice
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import synthesize_all
from vsq.synth.measure.records import Record
from vsq.synth.measure.timing import critical_paths, find_sta


@dataclass(frozen=True, kw_only=True)
class TimingMeasure(Measure):
    """Critical path in ns, of the whole and of each component, by OpenSTA.

    Args:
        liberty: A Liberty file with timing.
        goal: What the netlist is mapped for: ``area``, ``delay``, or both (``balanced``).
    """

    name = "timing"
    summary = "critical path of a synthesized design in ns; needs liberty=FILE with timing, and OpenSTA"
    quantity = "critical path"
    layers = ("golden", "hw", "synth")
    packages = ("amaranth", "pyosys")

    liberty: str
    goal: str = "delay"

    def __post_init__(self) -> None:
        choice("goal", self.goal, Goal)
        find_sta(Library.load(self.liberty))

    def preview(self) -> None:
        """Return None: candidates are chosen by other figures."""

    def inputs(self) -> dict[str, str]:
        """Return the library's digest."""
        return {"liberty": Library.load(self.liberty).digest}

    def figures(self, config: Configuration) -> list[Record]:
        """Return critical paths, and the highest clock frequencies that they allow."""
        config.mac.check_hardware()
        library = Library.load(self.liberty)
        (netlist,) = synthesize_all([config], Flow(library=library, goal=Goal(self.goal)))
        paths = critical_paths(netlist, library)
        return [record for part, path in paths.items() for record in path.records(config.full_name, part)]
