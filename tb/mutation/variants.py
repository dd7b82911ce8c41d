"""Runs variants of a design through rows of promised pins, in C++ under Verilator."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsq.tb.mutation.pins import Pins, Row
from vsq.tb.playback import build
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators

_HARNESS = Path(__file__).with_name("variants.cpp")
_WORD = 32
_FLAGS = ("--cc", "--exe", "--build", "--x-initial", "unique", "-CFLAGS", "-O1")
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
        The design, whose module is :data:`vsq.tb.regression.job.TOP`.
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
    words = [max(_LEAST_WORDS, -(-sum(part.values()) // _WORD)) for part in (pins.inputs, pins.outputs)]
    selector = ", .variant(variant)" if variants > 1 else ""
    top = (
        f"module {build.TOP}(input clk, input [15:0] variant, input [{words[0] * _WORD - 1}:0] inputs,\n"
        f"  output [{words[1] * _WORD - 1}:0] outputs);\n"
        f"  {pins.instance(TOP, 'tested', 'inputs', 'outputs', selector)}\n"
        "endmodule\n"
    )
    verilator, sources = (
        simulators.find("verilator"),
        {"top.v": top, "design.v": verilog, _HARNESS.name: _HARNESS.read_text()},
    )
    program = build.compiled(verilator, sources, folder, _FLAGS)
    _write_rows(rows, words, folder / "rows.bin")
    lines = build.call(verilator, [*program, "rows.bin", str(variants)], folder).splitlines()
    found = [tuple(map(int, line.split())) for line in lines]
    return [Difference(cycle, pins.output_at(bit)) if cycle >= 0 else None for cycle, bit in found]


def _write_rows(rows: Sequence[Row], words: Sequence[int], path: Path) -> None:
    sizes = [4 * words[0], 4 * words[1], 4 * words[1]]
    with path.open("wb") as file:
        file.write(np.array([len(rows), *words], "<u4").tobytes())
        for row in rows:
            for value, size in zip((row.inputs, row.outputs, row.promised), sizes, strict=True):
                file.write(value.to_bytes(size, "little"))
