"""Mutation: how many small changes of a design do the benches that ship find? ``python -m vsq.tb.mutation.mutate``.

Mutants (:mod:`vsq.tb.mutation.mutants`) run through the bench of ``vsq regress`` or the plain-Verilog one of ``vsq
generate --vectors``. One that passes is either proved equivalent at the pins (:mod:`vsq.tb.formal.equivalence`) or
counts against the bench.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

import vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import factors
from vsq.golden.contract.pe_config import Configuration, PeConfig, configuration
from vsq.golden.io.engine import Lost, local
from vsq.golden.io.files import write_text
from vsq.tb.formal.equivalence import Verdict, compare
from vsq.tb.mutation.mutants import MOST, RUNS, Mutants, describe, draw
from vsq.tb.mutation.pins import Pins

# Every pipeline depth, both policies, every style, every rounding, with and without scales, promises and signs; floats.
LISTED = (
    MacConfig.parse("headline"),
    MacConfig.parse("headline-u", pipeline=0, arithmetic="behavioural"),
    MacConfig.parse("square-u", pipeline=2, accumulator_bits=16),
    MacConfig.parse("language", pipeline=3, overflow="wrap", accumulator_bits=24),
    MacConfig.parse("three-u", rounding="truncate", narrow=True),
    MacConfig.parse("activation-scaled", pipeline=2, scale_product_bits=6, arithmetic="behavioural"),
    MacConfig.parse("odd"),
    MacConfig.parse("baseline", pipeline=3),
    MacConfig.parse("nvfp4", vector_size=4),
    MacConfig.parse("mxfp4", vector_size=4),
    MacConfig.parse("mxfp8-e5m2", vector_size=2, pipeline=2),
    MacConfig.parse("mxint8", vector_size=2),
    MacConfig.parse("w4a8fp8", vector_size=2),
    MacConfig.parse("headline", vector_size=4, target="fpga"),
    MacConfig.parse("headline-u", vector_size=4, pipeline=2, target="ecp5"),
)
_DRAWN = 4
_ENOUGH = {"cocotb": 1.0, "plain": 0.97}  # score over all configurations that passes
_PROOF_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change and what became of it."""

    change: str  # what, where, and the source line that it comes from
    found: str = ""  # what the bench says; empty if it passes
    verdict: str = ""  # of the proof; empty if the bench finds it


@dataclass(kw_only=True)
class MutationReport:
    """The mutants of one configuration, and what its bench, a key of ``RUNS``, made of them."""

    config: str
    bench: str
    seed: int
    digest: str  # of the mutants, the bench and its stimulus
    seconds: float
    mutants: list[Mutant]

    @property
    def found(self) -> int:
        """The number of mutants that the bench finds."""
        return sum(bool(mutant.found) for mutant in self.mutants)

    @property
    def missed(self) -> list[Mutant]:
        """Those that are neither found nor proved equivalent."""
        return [mutant for mutant in self.mutants if not mutant.found and mutant.verdict != Verdict.EQUIVALENT]


def score(config: Configuration, count: int, seed: int, bench: str, out: Path) -> MutationReport:
    """Make mutants of a design, run them through a bench, and try to prove the others equivalent at the pins.

    The seed draws mutants and stimulus. The report is written to ``out`` as soon as the bench is through, and after
    each proof; if there is one of the same mutants and bench, only what it leaves undecided is proved.

    Raises:
        InputError: If Verilator is missing or too old, or the design has no reset.
        RuntimeError: If the unchanged design fails.
    """
    mutants, path = draw(config, count, seed), out / f"{config.slug}-{bench}.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    if earlier.get("digest") == (digest := _digest(mutants, bench, seed)):
        report = MutationReport(**{**earlier, "mutants": [Mutant(**mutant) for mutant in earlier["mutants"]]})
    else:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vsq-mutants-") as folder:
            sound, *found = RUNS[bench](config, mutants, seed, Path(folder))
        if sound:
            raise RuntimeError(f"{config.full_name}: the unchanged design fails: {sound}")
        report = MutationReport(
            config=config.full_name,
            bench=bench,
            seed=seed,
            digest=digest,
            seconds=time.perf_counter() - start,
            mutants=[
                Mutant(change=describe(command), found=reason)
                for command, reason in zip(mutants.commands, found, strict=True)
            ],
        )
        _write(report, path)
    for number, (command, mutant) in enumerate(zip(mutants.commands, report.mutants, strict=True)):
        if not mutant.found and mutant.verdict not in (Verdict.EQUIVALENT, Verdict.DIFFERENT):
            start = time.perf_counter()
            verdict = compare(Pins(config, disabling=True), mutants.rtlil, command, _PROOF_SECONDS)
            report.mutants[number] = replace(mutant, verdict=verdict)
            report.seconds += time.perf_counter() - start
            _write(report, path)
    return report


def _digest(mutants: Mutants, bench: str, seed: int) -> str:
    """Return a digest of all that a bench's results depend on: the sources of benches and model too, not of proofs."""
    known = hashlib.sha256(repr((mutants, bench, seed)).encode())
    package = Path(vsq.__file__).parent
    files = [path for folder in ("golden", "tb") for path in (package / folder).rglob("*.*")]
    for path in sorted(path for path in files if path.suffix in (".py", ".v") and path.parent.name != "formal"):
        known.update(path.read_bytes())
    return known.hexdigest()


def _write(report: MutationReport, path: Path) -> None:
    write_text(path, json.dumps(asdict(report), indent=1))


def drawn(seed: int, count: int) -> list[Configuration]:
    """Return small designs, a vector MAC and a processing element in turn."""
    rng = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    designs: list[Configuration] = []
    while len(designs) < count:
        weight, activation = one_of(*range(2, 6)), one_of("2", "3", "4", "5", "2U", "3U", "4U", "5U")
        text = "/".join([str(weight), activation, *(one_of("-", "2", "3", "4") for _ in range(2))])
        options = {
            "vector_size": one_of(2, 3, 4),
            "scale_product_bits": one_of(None, 2, 3, 4),
            **{name: one_of(*values) for name, values in factors(MacConfig).items()},
            "accumulator_bits": one_of(None, *range(6, 15)),
        }
        if element := len(designs) % 2:
            options |= {
                "lanes": one_of(2, 3, 4),
                "ppu": one_of(True, True, False),
                "weight_depth": one_of(1, 2, 4),
                "activation_depth": one_of(2, 4, 8),
                "multiplier_bits": one_of(*range(1, 9)),
                "reuse": one_of(1, 2, 4, 8),
            }
        with suppress(InputError):  # values that contradict each other
            designs.append((PeConfig if element else MacConfig).parse(text, **options))
    return designs


def _show(reports: Sequence[MutationReport], console: Console) -> float:
    """Print the mutants that the bench does not find and a table; return the score over all."""
    table = Table(
        Column("configuration", overflow="fold"), "mutants", "found", "proved equivalent", "neither", "score", "s"
    )
    rows = [(len(report.mutants), report.found, len(report.missed), report.seconds) for report in reports]
    names = [*(report.config for report in reports), "all"]
    for name, row in zip(names, [*rows, map(sum, zip(*rows, strict=True))], strict=True):
        mutants, found, missed, seconds = row
        total = found / (found + missed) if found + missed else 1.0
        counts = map(str, (mutants, found, mutants - found - missed, missed))
        table.add_row(name, *counts, f"{total:.1%}", f"{seconds:.0f}", end_section=name == names[-2])
    for report in reports:
        for mutant in report.mutants:
            if not mutant.found:
                console.print(escape(f"{report.config}: {mutant.change}: {mutant.verdict}"), soft_wrap=True)
    console.print(table)
    return total


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
        of_bench = partial(score, count=options.mutants, seed=options.seed, bench=options.bench, out=options.out)
        found = dict[Configuration, MutationReport]()
        with (
            closing(local(options.jobs).run(of_bench, configs)) as ended,
            Progress(*columns, console=console) as progress,
        ):
            for config, report in progress.track(ended, total=len(configs), description="configurations"):
                if isinstance(report, Lost):
                    raise InputError(f"{config.full_name}: {report.reason}; give fewer --jobs, and run again")
                found[config] = report
        reports = [found[config] for config in configs]
    except InputError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        console.print(f"interrupted; reports that are done are kept in {options.out}")
        return 130
    total = _show(reports, console)
    console.print(
        f"seed {options.seed}; every mutant, and what found it: {options.out}/*-{options.bench}.json", soft_wrap=True
    )
    return int(total < _ENOUGH[options.bench])


if __name__ == "__main__":
    sys.exit(main())
