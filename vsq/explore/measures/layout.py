"""Core area, critical path and energy of a placed, or placed and routed, vector MAC."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vsq.explore.measures.measure import Measure, file_digest
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.layout.qflow import versions
from vsq.synth.layout.run import layout, library
from vsq.synth.library.liberty import Library
from vsq.synth.measure.records import Record


@dataclass(frozen=True, kw_only=True)
class LayoutMeasure(Measure):
    """Core area in um2, wires, critical path in ns and energy in pJ of one layout, without and with its wires.

    Args:
        liberty: A Liberty file with timing and power.
        lef: The library's LEF, in one file.
        data: What energy is measured on.
        route: Whether wires are routed; otherwise they are estimated from the placement.
    """

    name = "layout"
    summary = "core area, wires, path and energy of a placed MAC; needs liberty=FILE,lef=FILE, and qflow"
    quantity = "core area"
    layers = ("golden", "hw", "synth")
    packages = ("amaranth", "numpy", "pyosys")

    liberty: str
    lef: str
    data: str = "gaussian"
    route: bool = False

    def __post_init__(self) -> None:
        library(self.liberty, [self.lef], self.data, ())

    def preview(self) -> None:
        """Return None: candidates are chosen by other figures, such as the area, which it mostly follows."""

    def inputs(self) -> dict[str, str]:
        """Return the digests of Liberty and LEF."""
        return {"liberty": Library.load(self.liberty).digest, "lef": file_digest(Path(self.lef))}

    def tools(self) -> dict[str, str]:
        """Return the versions of those that lay out and analyse."""
        return versions()

    def figures(self, config: Configuration) -> list[Record]:
        """Return the figures of the layout with seed 1.

        Raises:
            InputError: If a net of it is open or touches another, too.
        """
        config.mac.check_hardware()
        with TemporaryDirectory(prefix="vsq-layout-") as folder:
            report = layout(config, folder, route=self.route, liberty=self.liberty, lef=[self.lef], data=self.data)
        for reason in report.refused.values():
            raise InputError(f"{config.full_name}: its layout has no figures ({reason}); leave this point out")
        return report.layouts[0].records()
