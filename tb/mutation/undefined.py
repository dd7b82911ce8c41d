"""Runs promised pins under Icarus with undefined values, in four states: none may reach a promised output.

All inputs are undefined for some cycles before the reset, all but ``rst`` during it, and later the payload of every
cycle in which no vector is offered. The registers start undefined by themselves.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from vsq.tb.mutation.pins import Pins
from vsq.tb.mutation.promised import PromisedCycle
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators
from vsq.tb.templates import filled


def run_undefined(pins: Pins, verilog: str, rows: Sequence[PromisedCycle], folder: Path) -> str:
    """Return what the simulation prints: ``passed``, or the first cycle whose outputs are undefined or wrong.

    Args:
        pins: The pins of the configuration.
        verilog: The design, whose module is :data:`vsq.tb.regression.job.TOP`.
        rows: What the pins carry.
        folder: Where the simulation is built.

    Raises:
        InputError: If Icarus is missing or too old.
        subprocess.CalledProcessError: If the design does not compile.
    """
    ins, outs = pins.widths
    texts = {
        "inputs.memb": [_inputs(row, ins, first=number == 0) for number, row in enumerate(rows)],
        "outputs.memb": [f"{row.outputs:0{outs}b}" for row in rows],
        "promised.memb": [f"{row.promised:0{outs}b}" for row in rows],
        "design.v": [verilog],
        "bench.v": [
            filled(
                Path(__file__).with_suffix(".v"),
                in_high=ins - 1,
                out_high=outs - 1,
                rows=len(rows),
                design=pins.instance(TOP, "tested", "inputs", "outputs"),
            )
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    icarus = str(simulators.find("icarus").executable)
    subprocess.run([icarus, "-g2005", "-s", "undefined", "-o", "bench", "bench.v", "design.v"], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _inputs(row: PromisedCycle, width: int, *, first: bool) -> str:
    """Return the inputs in binary, from the most significant bit, with x where nothing is promised to the design."""
    bits = f"{row.inputs:0{width}b}"
    reset, offered = bits[-1], bits[-3] == "1"
    if first:
        return "x" * (width - 1) + reset
    return bits if offered else "x" * (width - 3) + bits[-3:]
