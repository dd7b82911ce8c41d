"""Mutants of a design, and their runs through the benches that ship: cocotb's, and the plain-Verilog one.

Yosys changes one bit at one cell of the flattened Verilog: a mutant inverts it, holds it at 0 or 1, or makes it depend
on another bit. All of them stand in one module, whose input ``variant`` selects among them; variant 0 is unchanged.
"""

import re
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.designs import environment
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.shell import INNER, driven, shell
from vsq.tb.simulation import simulators
from vsq.tb.simulation.build import compiled
from vsq.tb.vectors.generation import generate

_VARIANT_BITS = 16
MOST = (1 << _VARIANT_BITS) - 1
_LINT = "/* verilator lint_off UNOPTFLAT */ // a bit may depend on another one of its vector\n"
_PORT = re.compile(r"^  ((?:input|output)(?: signed)?(?: \[\d+:0\])?) (\w+);", re.MULTILINE)
_PLAIN_FLAGS = ("--binary", "--timing", "--x-initial", "unique", "-CFLAGS", "-fcoroutines")
_PLAIN_SECONDS = 120  # after which a variant has hung the plain bench


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
            + f"  reg [{_VARIANT_BITS - 1}:0] variant;\n"
            + '  initial if (!$value$plusargs("variant=%d", variant)) variant = 0;\n'
            + f"  {TOP} variants({', '.join(f'.{port}({port})' for port in [*names, 'variant'])});\nendmodule\n"
        )


def draw(config: Configuration, count: int, seed: int) -> Mutants:
    """Return ``count`` random mutants of a vector MAC or of a processing element.

    Raises:
        InputError: If it has no reset.
    """
    if design(config).clocking.reset is None:  # Yosys's mutate forgets values at power-up
        raise InputError(f"{config.full_name}: mutants are made of designs with a reset; leave reset=none out")
    rtlil = design(config).rtlil(TOP)
    listing = f"mutate -list {count} -seed {seed} -ctrl variant {_VARIANT_BITS} 1 -o changes.txt"
    script = ["read_rtlil a.il", "flatten", "opt_clean", listing, "script changes.txt", "write_verilog -noattr all.v"]
    made = run_yosys(script, {"a.il": rtlil}, ["changes.txt", "all.v"])
    return Mutants(rtlil, made["changes.txt"].splitlines(), _LINT + made["all.v"])


def describe(command: str) -> str:
    """Return what a ``mutate`` command changes: mode, cell, port and bit, and the line of the source."""
    options: dict[str, str] = {}
    for option, value in pairwise(command.split()):
        if option.startswith("-"):
            options.setdefault(option, value)
    cell = options["-cell"].replace("$flatten\\", "").replace("\\", "")
    place = options.get("-src", "").partition("/hw/")[2]
    other = f" by bit {options['-ctrlbit']}" if "-ctrlbit" in options else ""
    return f"{options['-mode']}{other} {cell}.{options['-port']}[{options['-portbit']}] hw/{place}"


def run_cocotb(config: Configuration, mutants: Mutants, seed: int, folder: Path) -> list[str]:
    """Return for each variant the test of the bench that fails and how; empty if all pass."""
    bench, verilog = environment(config), mutants.verilog
    if not driven(config):
        verilog = verilog.replace(f"module {TOP}(", f"module {TOP}_{INNER}(")
        verilog += shell(config, f"{TOP}_{INNER}", {"variant": _VARIANT_BITS})
    job = Job(config=config.full_name, simulator="verilator", seed=seed, beats=bench.beats, verilog=verilog)
    source = worker.prepare(job, folder)
    worker.build(job.simulator, source, folder / "build", waves=False, log=folder / "build.log")
    variants = str(mutants.variants)
    results = worker.simulate(job, "vsq.tb.mutation.bench", folder, tests=None, VSQ_VARIANTS=variants)
    outcomes = worker.report(results)
    if len(outcomes) != len(bench.tests) * mutants.variants:
        raise RuntimeError(f"{config.full_name}: {len(outcomes)} tests ran; see {folder / 'simulation.log'}")
    found = [""] * mutants.variants
    for name, outcome in outcomes.items():
        if outcome.failure:
            test, _, variant = name.rpartition("/variant=")
            found[int(variant)] = f"{test}: {outcome.failure.splitlines()[0]}"
    return found


def run_plain(config: Configuration, mutants: Mutants, seed: int, folder: Path) -> list[str]:
    """Return for each variant what the plain-Verilog bench says; empty if it passes."""
    verilator, name = simulators.find("verilator"), "selected"
    generate(config, folder, name, vectors=environment(config).mutant_vectors, seed=seed)
    bench = f"{name}_tb"
    texts = {f"{bench}.v": (folder / f"{bench}.v").read_text(), "wrapper.v": mutants.selected(name)}
    program = compiled(verilator, {**texts, "variants.v": mutants.verilog}, folder, _PLAIN_FLAGS, top=bench)

    def result(variant: int) -> str:
        command = [*program, f"+variant={variant}"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PLAIN_SECONDS
            )
        except subprocess.TimeoutExpired:
            return "it hangs"
        lines = done.stdout.splitlines() or [f"exit code {done.returncode}"]
        return "" if done.returncode == 0 and any(line.startswith("PASS") for line in lines) else lines[0]

    return [result(variant) for variant in range(mutants.variants)]


# They raise an InputError if Verilator is missing or too old, and a RuntimeError if a simulation breaks.
RUNS = {"cocotb": run_cocotb, "plain": run_plain}
