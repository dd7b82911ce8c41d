"""Mutation: how many small changes of the emitted design does the bench find? ``python -m vsq.tb.mutation.mutate``.

Yosys's ``mutate`` changes one bit at one cell of the flattened design: inverts it, holds it at 0 or 1, or makes it
depend on another bit. All mutants stand in one design, which an input selects among, and run through the same promised
pins (:mod:`vsq.tb.mutation.pins`). A mutant that passes is either proved equivalent (:mod:`vsq.tb.formal.equivalence`)
or counts against the bench.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.presets import preset
from vsq.golden.io.files import write_text
from vsq.hw.emit.mac import rtlil
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.equivalence import Verdict, compare
from vsq.tb.mutation.pins import EXPOSE, Pins
from vsq.tb.mutation.variants import run_variants
from vsq.tb.regression.job import TOP

# Every pipeline depth, both policies, both styles, every rounding, with and without scales, promises and signs.
CONFIGS = (
    preset("headline"),
    preset("headline-u", pipeline=0, arithmetic="behavioural"),
    preset("square-u", pipeline=2, accumulator_bits=16),
    preset("language", pipeline=3, overflow="wrap", accumulator_bits=24),
    preset("three-u", rounding="truncate", narrow=True),
    preset("activation-scaled", pipeline=2, scale_product_bits=6, arithmetic="behavioural"),
    preset("odd"),
    preset("baseline", pipeline=3),
)
BEATS = 4200  # room for overflows of every accumulator of 256 vectors
_FLATTEN = ["read_rtlil design.il", EXPOSE, "flatten", "opt_clean"]
_SECONDS = 60  # for a proof
_MOST = (1 << 16) - 1  # that a 16-bit input selects


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change and what became of it.

    Parameters
    ----------
    change
        What is changed, where, and the source line that it comes from.
    found
        The pin and the cycle of the first difference; empty if there was none.
    verdict
        Of the proof; empty if a difference was found.
    """

    change: str
    found: str = ""
    verdict: str = ""

    @property
    def survives(self) -> bool:
        """Whether the bench misses it, as far as is known."""
        return not self.found and self.verdict != Verdict.EQUIVALENT


@dataclass(frozen=True, kw_only=True)
class Report:
    """The mutants of one configuration; ``key`` tells what they were made and tested with."""

    config: str
    key: str
    seconds: float
    mutants: list[Mutant]

    @classmethod
    def load(cls, path: Path) -> "Report | None":
        """Read a report that an earlier run has left."""
        if not path.exists():
            return None
        values = json.loads(path.read_text())
        return cls(**{**values, "mutants": [Mutant(**mutant) for mutant in values["mutants"]]})


def mutate(config: MacConfig, count: int, seed: int, beats: int, out: Path) -> Report:
    """Make mutants of a configuration, simulate them, and prove what the simulation does not find.

    The report is kept in ``out``; it is read there if design, mutants and beats are the same.

    Raises
    ------
    InputError
        If Verilator is missing or too old.
    RuntimeError
        If the unchanged design differs from its promise.
    """
    start = time.perf_counter()
    design, pins = rtlil(config, TOP), Pins(config, enables=True)
    listing = f"mutate -list {count} -seed {seed} -ctrl variant 16 1 -o changes.txt"
    changes = run_yosys([*_FLATTEN, listing], {"design.il": design}, ["changes.txt"])["changes.txt"]
    inputs = {"design.il": design, "changes.txt": changes}
    verilog = run_yosys([*_FLATTEN, "script changes.txt", "write_verilog -noattr all.v"], inputs, ["all.v"])["all.v"]
    rows = pins.rows(beats, seed)
    path = out / f"{config.slug}.json"
    key = hashlib.sha256(repr((verilog, rows)).encode()).hexdigest()
    if (kept := Report.load(path)) and kept.key == key:
        return kept

    commands = changes.splitlines()
    with tempfile.TemporaryDirectory(prefix="vsq-mutants-") as folder:
        sound, *found = run_variants(pins, verilog, len(commands) + 1, rows, Path(folder))
    if sound:
        raise RuntimeError(f"{config.full_name}: the unchanged design differs at {sound.pin} in cycle {sound.cycle}")
    mutants = [
        Mutant(change=_describe(command), found=f"{difference.pin}, cycle {difference.cycle}")
        if difference
        else Mutant(change=_describe(command), verdict=compare(pins, design, command, _SECONDS))
        for command, difference in zip(commands, found, strict=True)
    ]
    report = Report(config=config.full_name, key=key, seconds=time.perf_counter() - start, mutants=mutants)
    write_text(path, json.dumps(asdict(report), indent=1))
    return report


def _describe(command: str) -> str:
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


def _show(reports: Sequence[Report], console: Console) -> None:
    table = Table(
        Column("configuration", overflow="fold"), "mutants", "found", "proved equivalent", "neither", "kill rate", "s"
    )
    for report in reports:
        total, neither = len(report.mutants), sum(mutant.survives for mutant in report.mutants)
        found = sum(bool(mutant.found) for mutant in report.mutants)
        proved = total - found - neither
        numbers = (total, found, proved, neither, f"{found / (total - proved):.1%}", f"{report.seconds:.0f}")
        table.add_row(report.config, *map(str, numbers))
        for mutant in report.mutants:
            if not mutant.found:
                console.print(escape(f"{report.config}: {mutant.change}: {mutant.verdict}"), soft_wrap=True)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if every mutant is found or proved equivalent."""
    parser = argparse.ArgumentParser(prog="python -m vsq.tb.mutation.mutate", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--mutants", type=int, default=200, help="of each configuration (200)")
    parser.add_argument("--beats", type=int, default=BEATS, help=f"of the random stream ({BEATS})")
    parser.add_argument("--seed", type=int, default=1, help="of mutants and stream (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="configurations at a time (all cores)")
    parser.add_argument("--out", type=Path, default=Path("build/mutants"), help="folder that keeps the reports")
    options = parser.parse_args(arguments)
    console = Console()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        if min(options.mutants, options.beats, options.jobs) < 1 or options.mutants > _MOST:
            raise InputError(
                f"mutants, beats and jobs are at least 1, and mutants at most {_MOST}; choose other numbers"
            )
        with ProcessPoolExecutor(options.jobs) as pool, Progress(*columns, console=console) as progress:
            task = progress.add_task("configurations", total=len(CONFIGS))
            settings = (options.mutants, options.seed, options.beats, options.out)
            runs = [pool.submit(mutate, config, *settings) for config in CONFIGS]
            for _ in as_completed(runs):
                progress.advance(task)
            reports = [run.result() for run in runs]
    except InputError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 2
    _show(reports, console)
    console.print(f"every mutant, and what found it: {options.out}/*.json", soft_wrap=True)
    return int(any(mutant.survives for report in reports for mutant in report.mutants))


if __name__ == "__main__":
    sys.exit(main())
