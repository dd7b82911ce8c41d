"""Runs variants of a design through rows of promised pins, in C++ under Verilator."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tb import objcache, simulators
from tb.job import TOP
from tb.pins import Pins, Row

_HARNESS = Path(__file__).with_name("pin_test.cpp")
_WORD = 32
_LEAST_WORDS = 3  # Verilator keeps ports of more than 64 bits as arrays of words


@dataclass(frozen=True)
class Difference:
    """The first difference from what is promised."""

    cycle: int
    pin: str


def run_variants(pins: Pins, verilog: str, variants: int, rows: Sequence[Row], folder: Path) -> list[Difference | None]:
    """Simulate each variant from random registers until it differs from the rows, or to their end.

    Parameters
    ----------
    pins
        The pins of the configuration.
    verilog
        The design, whose module is :data:`tb.job.TOP`.
    variants
        How many there are. If more than one, the design's 16-bit input ``variant`` selects among them.
    rows
        What the pins carry.
    folder
        Where the simulation is built.

    Raises
    ------
    InputError
        If Verilator is missing or too old.
    RuntimeError
        If the design does not build.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [max(_LEAST_WORDS, -(-sum(part.values()) // _WORD)) for part in (pins.inputs, pins.outputs)]
    selector = ", .variant(variant)" if variants > 1 else ""
    (folder / "design.v").write_text(verilog)
    (folder / "pin_test.v").write_text(
        f"module pin_test(input clk, input [15:0] variant, input [{words[0] * _WORD - 1}:0] inputs,\n"
        f"  output [{words[1] * _WORD - 1}:0] outputs);\n"
        f"  {pins.instance(TOP, 'tested', 'inputs', 'outputs', selector)}\n"
        "endmodule\n"
    )
    _write_rows(rows, words, folder / "rows.bin")
    verilator = simulators.find("verilator")
    flags = ["--cc", "--exe", "--build", "-Wno-fatal", "-Wno-lint", "--x-initial", "unique", "-CFLAGS", "-O1"]
    sources = ["pin_test.v", "design.v", str(_HARNESS)]
    environment = {**os.environ, **verilator.environment(), "OBJCACHE": objcache.COMMAND}
    _call([str(verilator.executable), *flags, "--top", "pin_test", "--Mdir", "build", *sources], folder, environment)
    lines = _call([str(folder / "build" / "Vpin_test"), "rows.bin", str(variants)], folder, environment).splitlines()
    found = [tuple(map(int, line.split())) for line in lines]
    return [Difference(cycle, pins.output_at(bit)) if cycle >= 0 else None for cycle, bit in found]


def _write_rows(rows: Sequence[Row], words: Sequence[int], path: Path) -> None:
    sizes = [4 * words[0], 4 * words[1], 4 * words[1]]
    with path.open("wb") as file:
        file.write(np.array([len(rows), *words], "<u4").tobytes())
        for row in rows:
            for value, size in zip((row.inputs, row.outputs, row.promised), sizes, strict=True):
                file.write(value.to_bytes(size, "little"))


def _call(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
