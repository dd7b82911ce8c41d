"""Resources of designs in an FPGA family, by Yosys, split by component."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from vsq.golden.contract.config import MacConfig, Target
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.netlist import cells_by_component, module_cells
from vsq.synth.fpga.families import Family, Resources
from vsq.synth.measure.records import Record, records


@dataclass(frozen=True, kw_only=True)
class FpgaDesign:
    """A design in a family: its resources, of which each component has a part (module boundaries are kept)."""

    config: Configuration
    family: Family
    total: Resources
    components: dict[str, Resources]

    def records(self) -> list[Record]:
        """Return every figure."""
        return records(
            self.config.full_name,
            (
                (component, f"{self.family.name} {quantity.replace('_', '-')}", value, "1")
                for component, found in {"total": self.total, **self.components}.items()
                for quantity, value in vars(found).items()
            ),
        )


def for_fpga(config: Configuration) -> Configuration:
    """Return the configuration for an FPGA: with ``target=fpga``, if it has none of its own."""
    if config.mac.target != Target.ASIC:
        return config
    mac = replace(config.mac, target=Target.FPGA)
    return mac if isinstance(config, MacConfig) else replace(config, mac=mac)


def measure(configs: Sequence[Configuration], family: Family, dsp: bool = True) -> list[FpgaDesign]:
    """Synthesize designs for a family, on every core; in order, the configurations' targets being FPGAs.

    Args:
        configs: Designs.
        family: The family; its command is what Yosys runs.
        dsp: Whether products that are written as ``*`` may go into DSP blocks.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(partial(_measure, family=family, dsp=dsp), map(for_fpga, configs)))


def _measure(config: Configuration, family: Family, dsp: bool) -> FpgaDesign:
    made = design(config)
    name = made.default_name
    # Modules of the design stay; those of carry chains, which stand in them, do not.
    keep = [f"setattr -mod -{action} {name}_*" for action in ("set keep_hierarchy 1", "unset keep_hierarchy")]
    reading = ["read_verilog design.v", f"hierarchy -top {name}", keep[0], "flatten", keep[1]]
    command = f"{family.command} {'' if dsp else family.no_dsp} -top {name}"
    done = run_yosys(
        [*reading, command, "tee -q -o cells.json stat -json"],
        {"design.v": made.verilog()},
        ["cells.json"],
    )
    cells = cells_by_component(module_cells(done["cells.json"]), name, made.components)
    return FpgaDesign(
        config=config,
        family=family,
        total=family.count(sum(cells.values(), Counter())),
        components={name: family.count(part) for name, part in cells.items() if part},
    )
