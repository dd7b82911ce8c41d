"""Mutation: how many small changes of a design do the benches that ship find? ``python -m vsq.tb.mutation.mutate``.

Yosys's ``mutate`` changes one bit at one cell of the flattened design: inverts it, holds it at 0 or 1, or makes it
depend on another bit. All mutants stand in one design, which an input selects among, and run through the bench of
``vsq regress`` or the plain-Verilog one of ``vsq generate --vectors``. A mutant that passes is either proved equivalent
at the pins (:mod:`vsq.tb.formal.equivalence`) or counts against the bench.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vsq.golden.contract.configuration import configuration
from vsq.golden.contract.errors import InputError
from vsq.tb.mutation.configurations import LISTED, drawn
from vsq.tb.mutation.mutants import MOST
from vsq.tb.mutation.runs import RUNS
from vsq.tb.mutation.score import MutationReport, score

_DRAWN = 4
_ENOUGH = {"cocotb": 1.0, "plain": 0.97}  # score over all configurations that passes


def _show(reports: Sequence[MutationReport], console: Console) -> float:
    """Print the mutants that the bench does not find and a table; return the score over all."""
    table = Table(
        Column("configuration", overflow="fold"), "mutants", "found", "proved equivalent", "neither", "score", "s"
    )
    rows = [(len(report.mutants), report.found, len(report.missed), report.seconds) for report in reports]
    total, found, missed, seconds = map(sum, zip(*rows, strict=True))
    names = [report.config for report in reports]
    for name, row in zip([*names, "all"], [*rows, (total, found, missed, seconds)], strict=True):
        table.add_row(name, *_cells(*row), end_section=name == names[-1])
    for report in reports:
        for mutant in report.mutants:
            if not mutant.found:
                console.print(escape(f"{report.config}: {mutant.change}: {mutant.verdict}"), soft_wrap=True)
    console.print(table)
    return _score(found, missed)


def _cells(mutants: int, found: int, missed: int, seconds: float) -> list[str]:
    counts = map(str, (mutants, found, mutants - found - missed, missed))
    return [*counts, f"{_score(found, missed):.1%}", f"{seconds:.0f}"]


def _score(found: int, missed: int) -> float:
    return found / (found + missed) if found + missed else 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if the bench finds enough of the mutants that are not proved equivalent."""
    parser = argparse.ArgumentParser(prog="python -m vsq.tb.mutation.mutate", description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "configs", nargs="*", metavar="CONFIG", help=f"MACs and elements (a list of {len(LISTED)} and {_DRAWN} drawn)"
    )
    parser.add_argument("--mutants", type=int, default=200, help="of each configuration (200)")
    parser.add_argument("--seed", type=int, default=1, help="of drawn configurations, mutants and stimulus (1)")
    parser.add_argument(
        "--bench", choices=RUNS, default="cocotb", help="that of vsq regress, or plain Verilog (cocotb)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="configurations at a time (all cores)")
    parser.add_argument("--out", type=Path, default=Path("build/mutants"), help="folder of the reports")
    options = parser.parse_args(arguments)
    console = Console()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        if min(options.mutants, options.jobs) < 1 or options.mutants > MOST or options.seed < 0:
            raise InputError(f"mutants are 1 to {MOST}, jobs at least 1, and the seed at least 0; choose other numbers")
        configs = [configuration(text) for text in options.configs] or [*LISTED, *drawn(options.seed, _DRAWN)]
        settings = (options.mutants, options.seed, options.bench, options.out)
        with ProcessPoolExecutor(options.jobs) as pool, Progress(*columns, console=console) as progress:
            task = progress.add_task("configurations", total=len(configs))
            runs = [pool.submit(score, config, *settings) for config in configs]
            for run in as_completed(runs):
                run.result()
                progress.advance(task)
            reports = [run.result() for run in runs]
    except InputError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 2
    total = _show(reports, console)
    console.print(
        f"seed {options.seed}; every mutant, and what found it: {options.out}/*-{options.bench}.json", soft_wrap=True
    )
    return int(total < _ENOUGH[options.bench])


if __name__ == "__main__":
    sys.exit(main())
