"""Resources and frequencies of designs on FPGAs as tables and records."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table

from vsq.golden.contract.config import Target
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.fpga.families import FAMILIES, family_of
from vsq.synth.fpga.placement import Placement, place
from vsq.synth.fpga.resources import FpgaDesign, for_fpga, measure
from vsq.synth.measure.area import with_baselines
from vsq.synth.report.comparison import components_in_order, of_one_kind, plain_table, shown

_PLACED = "ice40"


@dataclass(frozen=True, kw_only=True)
class FpgaReport:
    """Designs by family, in the order given, the tables of their 8-bit baselines, and placements on an iCE40."""

    designs: dict[str, list[FpgaDesign]]
    baselines: dict[str, dict[Configuration, FpgaDesign]]
    dsp: bool
    placements: dict[Configuration, Placement] = field(default_factory=dict)

    def tables(self) -> list[Table]:
        """Return a table for each family: sites of lookup tables, split by component, and the other resources."""
        return [self._table(family) for family in self.designs]

    def _table(self, family: str) -> Table:
        found, baselines = self.designs[family], self.baselines[family]
        components = components_in_order(each.components for each in found)
        placed = family == _PLACED and bool(self.placements)
        table = plain_table(
            f"Lookup tables in {FAMILIES[family].device}",
            f"Yosys: {self._command(family)}. Ratio: of tables to those of the 8-bit design, where neither has DSP "
            f"blocks.{' MHz: median of placements between registers on an HX8K.' if placed else ''}",
            ("tables", *components, "FFs", "DSPs", "memories", "ratio", *(["MHz"] if placed else [])),
        )
        for each in found:
            total, baseline = each.total, baselines[each.config].total
            parts = (each.components[name].tables if name in each.components else None for name in components)
            ratio = None if total.dsps or baseline.dsps else total.tables / baseline.tables
            others = (f"{value:,}" for value in (total.flip_flops, total.dsps, total.memories))
            speed = [f"{self.placements[each.config].frequency:.1f}"] if placed else []
            name = each.config.full_name.replace(":", "\n", 1)
            table.add_row(
                name, f"{total.tables:,}", *(shown(part, ",") for part in parts), *others, shown(ratio), *speed
            )
        return table

    def _command(self, family: str) -> str:
        command = FAMILIES[family].command
        return command if self.dsp else f"{command} {FAMILIES[family].no_dsp}".strip()

    def document(self) -> dict[str, Any]:
        """Return the commands and every figure, for JSON."""
        figures = [record for found in self.designs.values() for each in found for record in each.records()]
        figures += [record for placement in self.placements.values() for record in placement.records()]
        return {
            "commands": {family: self._command(family) for family in self.designs},
            "records": [asdict(record) for record in figures],
        }


def fpga(
    designs: Configuration | str | Iterable[Configuration | str],
    families: Sequence[str] = (_PLACED,),
    *,
    pe: bool = False,
    dsp: bool = True,
    placements: int = 0,
) -> FpgaReport:
    """Synthesize designs of one kind, and their 8-bit baselines, for FPGA families; return their resources.

    Args:
        designs: Vector MACs, or processing elements, as :func:`vsq.area` takes them; they get ``target=fpga``.
        families: Of ice40, ecp5, gowin, xilinx.
        pe: Whether texts without ``@`` name processing elements too.
        dsp: Whether products written as ``*`` may go into DSP blocks.
        placements: How often each design is placed and routed, by nextpnr on an iCE40 HX8K.

    Raises:
        InputError: If the kinds are mixed, a family is unknown or given twice, nextpnr is missing, or a design is too
            large for the device.
    """
    configs = list(dict.fromkeys(map(for_fpga, of_one_kind(designs, pe=pe))))
    chosen = [family_of(name) for name in families]
    for config in configs:
        if config.mac.target == Target.ECP5 and set(families) != {"ecp5"}:
            raise InputError(f"{config.full_name}: its carry chains are cells of ECP5; give target=fpga, or ecp5 alone")
    if len(set(families)) < len(families):
        raise InputError(f"families {', '.join(families)}: one is given twice; give each once")
    if placements and _PLACED not in families:
        raise InputError(f"families {', '.join(families)}: nextpnr places iCE40 alone; give {_PLACED} too")
    needed = with_baselines(configs)
    made = {family.name: dict(zip(needed, measure(needed, family, dsp), strict=True)) for family in chosen}
    return FpgaReport(
        designs={family: [found[config] for config in configs] for family, found in made.items()},
        baselines={
            family: {config: found[with_baselines([config])[0]] for config in configs} for family, found in made.items()
        },
        dsp=dsp,
        placements={config: place(made[_PLACED][config], placements) for config in configs if placements},
    )
