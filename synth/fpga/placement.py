"""Frequency of a design on an iCE40, placed and routed by nextpnr."""

import json
import shutil
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Shape
from amaranth.lib.wiring import Out

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import Design, design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.fpga.resources import FpgaDesign
from vsq.synth.measure.records import Record, records

_PROGRAM = "nextpnr-ice40"
_DEVICE = "hx8k"
_SITES = 7680  # lookup tables of the device
_TARGET = 200  # MHz that nextpnr strives for; it reports what it reaches

# Each input comes from a shift register and each output goes into one, so that every path lies between registers.
_HARNESS = """
module harness(input wire {clock}, input wire shift_in, output wire shift_out);
  reg [{inputs}-1:0] given;
  reg [{outputs}-1:0] taken;
  reg load;
  wire [{outputs}-1:0] results;
  always @(posedge {clock}) begin
    given <= {{given[{inputs}-2:0], shift_in}};
    load <= given[0] & shift_in;
    taken <= load ? results : {{taken[{outputs}-2:0], 1'b0}};
  end
  assign shift_out = taken[{outputs}-1];
  {name} design(.{clock}({clock}), {ports});
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Frequencies in MHz of a design by seed of the placement, between registers, on an iCE40 HX8K."""

    config: Configuration
    frequencies: dict[int, float]

    @property
    def frequency(self) -> float:
        """The median."""
        return statistics.median(self.frequencies.values())

    def records(self) -> list[Record]:
        """Return the median, the least and the largest frequency."""
        values = self.frequencies.values()
        figures = [("median", self.frequency), ("least", min(values)), ("largest", max(values))]
        return records(self.config.full_name, (("total", f"{name} frequency", mhz, "MHz") for name, mhz in figures))


def find_nextpnr() -> str:
    """Return nextpnr's program for iCE40; an InputError if there is none."""
    if program := shutil.which(_PROGRAM):
        return program
    raise InputError(f"nextpnr: there is no program {_PROGRAM!r} on the PATH; install it, or leave --pnr out")


def place(found: FpgaDesign, seeds: int) -> Placement:
    """Place and route a design with seeds 1, 2, ..., on every core.

    Args:
        found: The design's resources in the family iCE40.
        seeds: How many placements.

    Raises:
        InputError: If nextpnr is missing, or the design is larger than the device.
    """
    program, name = find_nextpnr(), found.config.full_name
    if found.total.tables > _SITES:
        size = f"it takes {found.total.tables} lookup tables and an iCE40 HX8K has {_SITES}"
        raise InputError(f"{name}: {size}; leave --pnr out")
    made = design(found.config)
    done = run_yosys(
        [
            "read_rtlil design.il",
            "read_verilog harness.v",
            "synth_ice40 -top harness",
            "delete t:$scopeinfo",
            "write_json mapped.json",
        ],
        {"design.il": made.rtlil(), "harness.v": harness(made)},
        ["mapped.json"],
    )
    with tempfile.TemporaryDirectory(prefix="vsq-nextpnr-") as folder:
        Path(folder, "mapped.json").write_text(done["mapped.json"])

        def frequency(seed: int) -> float:
            report = Path(folder, f"report{seed}.json")
            command = [program, f"--{_DEVICE}", "--package", "ct256", "--json", "mapped.json", "--seed", str(seed)]
            command += ["--freq", str(_TARGET), "--timing-allow-fail", "--report", str(report), "--quiet"]
            ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ended.returncode:
                lines = [line for line in ended.stderr.splitlines() if "ERROR" in line] or [f"exit {ended.returncode}"]
                raise InputError(f"{name}: nextpnr refuses it ({lines[0].removeprefix('ERROR: ')}); leave --pnr out")
            clocks = json.loads(report.read_text())["fmax"]
            return float(min(clock["achieved"] for clock in clocks.values()))

        with ThreadPoolExecutor() as pool:
            numbers = range(1, seeds + 1)
            frequencies = dict(zip(numbers, pool.map(frequency, numbers), strict=True))
    return Placement(config=found.config, frequencies=frequencies)


def harness(made: Design) -> str:
    """Return the module ``harness`` in Verilog: a design between shift registers."""
    clocking, places, widths = made.clocking, [], {"given": 0, "results": 0}
    ports = {
        name: (port.member.flow == Out, Shape.cast(port.member.shape).width) for name, port in made.ports().items()
    }
    ports |= {name: (False, 1) for name in (clocking.reset, clocking.enable) if name}
    for name, (out, width) in ports.items():
        vector = "results" if out else "given"
        places.append(f".{name}({vector}[{widths[vector]} +: {width}])")
        widths[vector] += width
    return _HARNESS.format(
        name=made.default_name,
        clock=clocking.clock,
        inputs=widths["given"],
        outputs=widths["results"],
        ports=", ".join(places),
    )
