"""Mutants of a design: Yosys changes one bit at one cell of the flattened Verilog, and all of them stand in one module.

A mutant inverts a bit, holds it at 0 or 1, or makes it depend on another bit. The module has an input ``variant`` that
selects among them; variant 0 is the unchanged design.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from vsq.golden.contract.configuration import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.regression.job import TOP

VARIANT_BITS = 16
MOST = (1 << VARIANT_BITS) - 1
_LINT = "/* verilator lint_off UNOPTFLAT */ // a bit may depend on another one of its vector\n"
_FLATTEN = ["read_rtlil design.il", "flatten", "opt_clean"]
_PORT = re.compile(r"^  ((?:input|output)(?: signed)?(?: \[\d+:0\])?) (\w+);", re.MULTILINE)


@dataclass(frozen=True)
class Mutants:
    """A design and changes of it.

    Args:
        rtlil: The unchanged design.
        commands: Yosys's command of each change, in the order of the variants from 1 on.
        verilog: The module :data:`vsq.tb.regression.job.TOP` with all variants.
    """

    rtlil: str
    commands: list[str]
    verilog: str

    @property
    def variants(self) -> int:
        """The number of variants, the unchanged design included."""
        return len(self.commands) + 1

    def selected(self, name: str) -> str:
        """Return Verilog of the module ``name`` with the design's own ports, whose argument ``+variant=N`` selects."""
        ports = [(kind, port) for kind, port in _PORT.findall(self.verilog) if port != "variant"]
        names = [port for _, port in ports]
        return (
            f"module {name}({', '.join(names)});\n"
            + "".join(f"  {kind} {port};\n" for kind, port in ports)
            + f"  reg [{VARIANT_BITS - 1}:0] variant;\n"
            + '  initial if (!$value$plusargs("variant=%d", variant)) variant = 0;\n'
            + f"  {TOP} variants({', '.join(f'.{port}({port})' for port in [*names, 'variant'])});\nendmodule\n"
        )


def draw(config: Configuration, count: int, seed: int) -> Mutants:
    """Return ``count`` random mutants of a vector MAC or of a processing element."""
    rtlil = design(config).rtlil(TOP)
    listing = f"mutate -list {count} -seed {seed} -ctrl variant {VARIANT_BITS} 1 -o changes.txt"
    changes = run_yosys([*_FLATTEN, listing], {"design.il": rtlil}, ["changes.txt"])["changes.txt"]
    inputs = {"design.il": rtlil, "changes.txt": changes}
    write = [*_FLATTEN, "script changes.txt", "write_verilog -noattr all.v"]
    return Mutants(rtlil, changes.splitlines(), _LINT + run_yosys(write, inputs, ["all.v"])["all.v"])


def describe(command: str) -> str:
    """Return what a ``mutate`` command changes: mode, cell, port and bit, and the line of the source."""
    words = command.split()
    options: dict[str, str] = {}
    for option, value in pairwise(words):
        if option.startswith("-"):
            options.setdefault(option, value)
    cell = options["-cell"].replace("$flatten\\", "").replace("\\", "")
    place = options.get("-src", "").partition("/hw/")[2]
    other = f" by bit {options['-ctrlbit']}" if "-ctrlbit" in options else ""
    return f"{options['-mode']}{other} {cell}.{options['-port']}[{options['-portbit']}] hw/{place}"
