"""FPGA families: Yosys's command for each, and which of its cells are tables, flip-flops, DSP blocks, memories."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vsq.golden.contract.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family.

    Attributes:
        name: As users give it.
        device: In words.
        command: Of Yosys, with the options that give the fewest tables.
        no_dsp: Option of the command that keeps products out of DSP blocks; empty if it does not use them anyway.
        tables: Sites of lookup tables by cell type, those of carries included that take a table's site.
        flip_flops, dsps, memories: Patterns of cell types.
    """

    name: str
    device: str
    command: str
    no_dsp: str
    tables: Mapping[str, int]
    flip_flops: str
    dsps: str
    memories: str

    def count(self, cells: Mapping[str, int]) -> "Resources":
        """Return the resources that cells take, given by type."""

        def matching(pattern: str) -> int:
            return sum(number for cell, number in cells.items() if re.fullmatch(pattern, cell))

        return Resources(
            tables=sum(cells.get(cell, 0) * sites for cell, sites in self.tables.items()),
            flip_flops=matching(self.flip_flops),
            dsps=matching(self.dsps),
            memories=matching(self.memories),
        )


@dataclass(frozen=True)
class Resources:
    """Sites of lookup tables, flip-flops, DSP blocks, and memory cells (blocks and those of tables)."""

    tables: int = 0
    flip_flops: int = 0
    dsps: int = 0
    memories: int = 0


_FAMILIES = (
    Family(
        name="ice40",
        device="Lattice iCE40, LUT4",
        command="synth_ice40 -noflatten",
        no_dsp="",
        tables={"SB_LUT4": 1},
        flip_flops="SB_DFF.*",
        dsps="SB_MAC16",
        memories="SB_RAM40_.*|SB_SPRAM.*",
    ),
    Family(
        name="ecp5",
        device="Lattice ECP5, LUT4",
        command="synth_ecp5 -noflatten -nowidelut",
        no_dsp="-nodsp",
        tables={"LUT4": 1, "CCU2C": 2},
        flip_flops="TRELLIS_FF",
        dsps="MULT18X18D|ALU54B",
        memories="DP16KD|PDPW16KD|TRELLIS_DPR16X4",
    ),
    Family(
        name="gowin",
        device="Gowin GW2A, LUT4",
        command="synth_gowin -noflatten -nowidelut -noiopads",
        no_dsp="-nodsp",
        tables={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1},
        flip_flops="DFF.*",
        dsps="MULT.*|PADD.*",
        memories=r"SDP.*|DP.*|SP.*|RAM16.*",
    ),
    Family(
        name="xilinx",
        device="Xilinx 7, LUT6, whose two outputs are not paired",
        command="synth_xilinx -family xc7 -noiopad -noclkbuf",
        no_dsp="-nodsp",
        tables={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "LUT5": 1, "LUT6": 1},
        flip_flops="FD[RSCP]E.*",
        dsps="DSP48E1",
        memories="RAMB.*|RAM(32|64|128|256).*",
    ),
)
FAMILIES = {family.name: family for family in _FAMILIES}


def family_of(name: str) -> Family:
    """Return a family by name; an InputError if there is none of that name."""
    if name not in FAMILIES:
        raise InputError(f"family {name!r}: choose {' or '.join(FAMILIES)}")
    return FAMILIES[name]
