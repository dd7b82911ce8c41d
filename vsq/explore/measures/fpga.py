"""Resources of a design in an FPGA."""

from dataclasses import dataclass

from vsq.explore.measures.measure import Measure
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.fpga.families import FAMILIES, family_of
from vsq.synth.fpga.resources import for_fpga, measure
from vsq.synth.measure.records import Record, records

_QUANTITIES = {"tables": "lookup tables", "flip_flops": "flip-flops", "dsps": "DSP blocks", "memories": "memories"}


@dataclass(frozen=True, kw_only=True)
class FpgaMeasure(Measure):
    """Lookup tables, flip-flops, DSP blocks and memories of a design with ``target=fpga``, by Yosys.

    Args:
        family: Of :data:`vsq.synth.fpga.families.FAMILIES`.
    """

    name = "fpga"
    summary = f"lookup tables and other resources of an FPGA: family={', '.join(FAMILIES)}"
    quantity = "lookup tables"
    layers = ("golden", "hw", "synth")
    packages = ("amaranth", "pyosys")

    family: str = "ice40"

    def __post_init__(self) -> None:
        family_of(self.family)

    def subject(self, config: Configuration) -> Configuration:
        """Return the configuration with ``target=fpga``."""
        return for_fpga(config)

    def preview(self) -> None:
        """Return None: candidates are chosen by other figures."""

    def figures(self, config: Configuration) -> list[Record]:
        """Return the resources of the whole and of each component."""
        config.mac.check_hardware()
        [found] = measure([config], family_of(self.family))
        parts = {"total": found.total, **found.components}
        rows = (
            (part, word, getattr(of, name), "1") for part, of in parts.items() for name, word in _QUANTITIES.items()
        )
        return records(config.full_name, rows)
