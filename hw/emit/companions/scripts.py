"""Scripts and constraints for FPGA tools: a run from the Verilog to a netlist or a report, the design alone."""

from collections.abc import Sequence

from vsq.hw.emit.companions.constraints import period_ns
from vsq.hw.emit.companions.words import Manifest

_CLOCK = """# The clock of {name}: {title}
create_clock -name {clock} -period {period} [get_ports {{{clock}}}]
"""
_YOSYS = """# Yosys: lookup tables of ECP5 for {name}, {title}
#   yosys {name}.ys
# Then nextpnr, without pads, since a design has more ports than a device has pins:
#   nextpnr-ecp5 --25k --freq {frequency:g} --out-of-context --json {name}_netlist.json
# For other families: synth_ice40, synth_gowin -nowidelut, or synth_xilinx. -nodsp keeps products out of DSP blocks.
read_verilog {name}.v
synth_ecp5 -nowidelut -top {name}
delete t:$scopeinfo
write_json {name}_netlist.json
tee -o {name}_cells.txt stat
"""
_UNTRIED = "# Written after the tool's manual, and not tried: it was not at hand."
_VIVADO = f"""# Vivado, without a project: {{title}}
#   vivado -mode batch -source {{name}}_vivado.tcl
{_UNTRIED}
set part xc7a35tcpg236-1
read_verilog {{name}}.v
read_xdc {{name}}.xdc
synth_design -top {{name}} -part $part -mode out_of_context
opt_design
place_design
route_design
report_utilization -hierarchical -file {{name}}_utilization.txt
report_timing_summary -file {{name}}_timing.txt
"""
_QUARTUS = f"""# Quartus: {{title}}
#   quartus_sh -t {{name}}_quartus.tcl
{_UNTRIED}
package require ::quartus::project
package require ::quartus::flow
project_new {{name}} -overwrite
set_global_assignment -name FAMILY "Cyclone V"
set_global_assignment -name DEVICE 5CSEMA5F31C6
set_global_assignment -name TOP_LEVEL_ENTITY {{name}}
set_global_assignment -name VERILOG_FILE {{name}}.v
set_global_assignment -name SDC_FILE {{name}}_clock.sdc
foreach port {{{{{{ports}}}}}} {{{{
  set_instance_assignment -name VIRTUAL_PIN ON -to $port
}}}}
execute_flow -compile
project_close
"""


def yosys(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.ys``: synthesis for ECP5, with nextpnr's command in its comment."""
    del bench
    return {f"{manifest['name']}.ys": _filled(_YOSYS, manifest)}


def gowin(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_clock.sdc``: the clock alone, without variables."""
    del bench
    return {f"{manifest['name']}_clock.sdc": _filled(_CLOCK, manifest)}


def vivado(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.xdc``, the clock, and ``<name>_vivado.tcl``: place and route out of context.

    Source: Vivado Design Suite Tcl Command Reference Guide (UG835).
    """
    del bench
    name = manifest["name"]
    return {f"{name}.xdc": _filled(_CLOCK, manifest), f"{name}_vivado.tcl": _filled(_VIVADO, manifest)}


def quartus(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_clock.sdc`` and ``<name>_quartus.tcl``: compilation with virtual pins but for the clock.

    Source: Quartus Prime Standard Edition User Guide: Scripting.
    """
    return {**gowin(manifest, bench), f"{manifest['name']}_quartus.tcl": _filled(_QUARTUS, manifest)}


def _filled(template: str, manifest: Manifest) -> str:
    clock = manifest["clock"]["port"]
    ports = (port["name"] + "[*]" * (port["width"] > 1) for port in manifest["ports"] if port["name"] != clock)
    return template.format(
        name=manifest["name"],
        title=manifest["title"],
        clock=clock,
        frequency=manifest["clock"]["frequency_mhz"],
        period=period_ns(manifest),
        ports=" ".join(ports),
    )
