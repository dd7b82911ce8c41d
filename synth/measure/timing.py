"""Critical paths of mapped netlists, by OpenSTA with the library's own timing tables."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.synth.flow.memory import without_parameters
from vsq.synth.flow.netlist import Netlist
from vsq.synth.library.liberty import Library
from vsq.synth.measure.records import Record, records

# Inputs arrive and outputs are wanted at the clock's edge; the slack at this period gives the path's length. Latches,
# which are those of clock gates, stay open: paths through them end at the gate, before the clock's edge, as others do.
# A module's network replaces the one before, and with it OpenSTA forgets the netlist.
_PERIOD = 10.0
_SCRIPT = """
read_liberty cells.lib
set_cmd_units -time ns
foreach module {{{modules}}} {{
  read_verilog mapped.v
  link_design $module
  {wires}
  set inputs {{}}
  set clocks {{}}
  foreach port [all_inputs] {{
    if {{[get_property $port full_name] == "clk"}} {{lappend clocks $port}} else {{lappend inputs $port}}
  }}
  create_clock -name clock -period {period} $clocks
  foreach enable [all_registers -level_sensitive -clock_pins] {{set_case_analysis 1 $enable}}
  set_input_delay 0 -clock clock $inputs
  set_output_delay 0 -clock clock [all_outputs]
  foreach path [find_timing_paths -path_delay max] {{
    set from [get_property [get_property $path startpoint] full_name]
    set to [get_property [get_property $path endpoint] full_name]
    puts "path $module [get_property $path slack] $from $to"
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class CriticalPath:
    """The longest path between ports and registers, setup included: ``delay`` in ns, from pin to pin.

    Wires have no resistance and no capacitance unless they are given; inputs no transition time, outputs no load.
    """

    delay: float
    start: str
    end: str

    @property
    def frequency(self) -> float:
        """The highest clock frequency in MHz, 1000 / delay."""
        return 1000 / self.delay

    def records(self, configuration: str, component: str) -> list[Record]:
        """Return delay and frequency as records."""
        delay = (component, "critical path", self.delay, "ns")
        return records(configuration, [delay, (component, "maximum frequency", self.frequency, "MHz")])


def find_sta(library: Library) -> str:
    """Return OpenSTA's program; raise an InputError if there is none, or the library holds no timing."""
    if not library.timed:
        raise InputError(
            f"Liberty file {library.path}: it has no timing groups, so there is no critical path; "
            "give --liberty a characterised one"
        )
    if program := shutil.which("sta"):
        return program
    raise InputError("OpenSTA: there is no program 'sta' on the PATH, and timing needs it; install 'opensta'")


def critical_paths(netlist: Netlist, library: Library, spef: str = "") -> dict[str, CriticalPath]:
    """Return the critical path of the whole netlist (``total``) and of each submodule of its top, taken alone.

    Args:
        netlist: The netlist.
        library: The cells of it.
        spef: The wires of a flat netlist, in the Standard Parasitic Exchange Format.

    Raises:
        InputError: If OpenSTA is missing, or the library holds no timing, or OpenSTA refuses it.
    """
    program = find_sta(library)
    modules = [name for name in netlist.modules[netlist.top] if name in netlist.modules]
    components = {netlist.top: "total", **{name: name.removeprefix(f"{netlist.top}_") for name in modules}}
    with tempfile.TemporaryDirectory(prefix="vsq-sta-") as folder:
        Path(folder, "cells.lib").write_text(library.text)
        # OpenSTA 2.0 knows neither the keyword nor parameters; memories are black boxes to it.
        Path(folder, "mapped.v").write_text(re.sub(r"\bsigned ", "", without_parameters(netlist.verilog)))
        Path(folder, "wires.spef").write_text(spef)
        script = _SCRIPT.format(
            modules=" ".join(components), period=_PERIOD, wires="read_spef wires.spef" if spef else ""
        )
        Path(folder, "script.tcl").write_text(script)
        done = subprocess.run(
            [program, "-no_splash", "-exit", "script.tcl"], cwd=folder, capture_output=True, text=True, check=False
        )
    if errors := [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]:
        raise InputError(f"Liberty file {library.path}: OpenSTA refuses {netlist.top} in it ({errors[0]}); check both")
    return {
        components[module]: CriticalPath(delay=_PERIOD - float(slack), start=start, end=end)
        for module, slack, start, end in re.findall(r"^path (\S+) (\S+) (\S+) (\S+)$", done.stdout, re.MULTILINE)
    }
