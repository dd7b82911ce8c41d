"""Benchmark: dot products in lookup tables, beside ``sum(a*b)`` in plain Verilog; both flat, without DSP blocks.

``python -m benchmarks.fpga 4x4 8x8 --family ice40,ecp5 --vector-size 16``

Each way gets the family's command with and without ``-nowidelut``, where the family has it, and the smaller figure
counts.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.products import parse_bits
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.hw.mac.shapes import dot_shape
from vsq.synth.fpga.families import Family, Resources, family_of

_NARROW = "-nowidelut"
_TOP = "design_dot"
_PLAIN = """
module {top}(input [{weights}:0] weights, input [{activations}:0] activations, output signed [{d}:0] d);
  assign d = {terms};
endmodule
"""


class Way(NamedTuple):
    """A way to write the dot product, and its Verilog with the top module :data:`_TOP`."""

    name: str
    verilog: str


def ways(bits: tuple[int, int], vector_size: int, family: Family) -> Iterator[Way]:
    """Yield plain Verilog, and the styles of the generator for the family."""
    config = MacConfig.parse(f"{bits[0]}/{bits[1]}/-/-:V={vector_size},pipeline=0")
    terms = " + ".join(
        " * ".join(
            f"$signed({name}[{lane * size} +: {size}])"
            for name, size in zip(("weights", "activations"), bits, strict=True)
        )
        for lane in range(vector_size)
    )
    last = (bits[0] * vector_size - 1, bits[1] * vector_size - 1, dot_shape(config).width - 1)
    yield Way("sum(a*b)", _PLAIN.format(top=_TOP, weights=last[0], activations=last[1], d=last[2], terms=terms))
    for option in ("style=bitheap", "target=fpga", *(["target=ecp5"] * (family.name == "ecp5"))):
        yield Way(option, design(MacConfig.parse(f"{config.full_name},{option}")).verilog("design"))


def smallest(way: Way, family: Family) -> tuple[Resources, str]:
    """Return the resources of a way, by the command with which it takes the fewest tables, and this command."""
    command = f"{family.command} {family.no_dsp}".replace("-noflatten", "").split()
    commands = dict.fromkeys((" ".join(command), " ".join(word for word in command if word != _NARROW)))
    return min(((_resources(way, each, family), each) for each in commands), key=lambda found: found[0].tables)


def _resources(way: Way, command: str, family: Family) -> Resources:
    script = ["read_verilog dot.v", f"{command} -top {_TOP}", "tee -q -o cells.json stat -json"]
    done = run_yosys(script, {"dot.v": way.verilog}, ["cells.json"])
    return family.count(json.loads(done["cells.json"])["design"]["num_cells_by_type"])


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bits", nargs="*", default=["4x4", "8x8"], help="bits of the signed operands, as 4x8")
    parser.add_argument("--family", default="ice40,ecp5,gowin,xilinx", metavar="NAMES", help="separated by commas")
    parser.add_argument("--vector-size", type=int, default=16, metavar="V", help="products added (default: 16)")
    options = parser.parse_args(arguments)
    try:
        sizes = [parse_bits(text) for text in options.bits]
        families = [family_of(name) for name in options.family.split(",")]
        asked = [
            (bits, family, way)
            for bits in sizes
            for family in families
            for way in ways(bits, options.vector_size, family)
        ]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(lambda each: smallest(each[2], each[1]), asked)
        table = Table(title=f"Lookup tables of a dot product, V = {options.vector_size}, without DSP blocks")
        for heading in ("bits", "family", "way", "tables", "to sum(a*b)", "command"):
            table.add_column(heading, justify="right" if heading in ("tables", "to sum(a*b)") else "left")
        plain = 0
        for (bits, family, way), (resources, command) in zip(asked, found, strict=True):
            plain = plain if "=" in way.name else resources.tables
            ratio = f"{resources.tables / plain:.3f}"
            table.add_row(f"{bits[0]}x{bits[1]}", family.name, way.name, f"{resources.tables:,}", ratio, command)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
