"""The mutation score of a bench that ships: mutants found, and those of the others that are proved equivalent."""

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vsq.golden.contract.configuration import Configuration
from vsq.golden.io.files import write_text
from vsq.tb.formal.equivalence import Verdict, compare
from vsq.tb.mutation.mutants import describe, draw
from vsq.tb.mutation.pins import Pins
from vsq.tb.mutation.runs import RUNS

_SECONDS = 60  # for a proof


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change and what became of it.

    Parameters
    ----------
    change
        What is changed, where, and the source line that it comes from.
    found
        What the bench says; empty if it passes.
    verdict
        Of the proof; empty if the bench finds it.
    """

    change: str
    found: str = ""
    verdict: str = ""

    @property
    def survives(self) -> bool:
        """Whether the bench misses it, as far as is known."""
        return not self.found and self.verdict != Verdict.EQUIVALENT


@dataclass(frozen=True, kw_only=True)
class MutationReport:
    """The mutants of one configuration, and what its bench, a key of ``RUNS``, made of them."""

    config: str
    bench: str
    seed: int
    seconds: float
    mutants: list[Mutant]

    @property
    def found(self) -> int:
        """The number of mutants that the bench finds."""
        return sum(bool(mutant.found) for mutant in self.mutants)

    @property
    def missed(self) -> list[Mutant]:
        """Those that are neither found nor proved equivalent."""
        return [mutant for mutant in self.mutants if mutant.survives]

    @property
    def score(self) -> float:
        """The share found of those that are not proved equivalent; 1 if there are none."""
        counted = self.found + len(self.missed)
        return self.found / counted if counted else 1.0


def score(config: Configuration, count: int, seed: int, bench: str, out: Path) -> MutationReport:
    """Make mutants of a design, run them through a bench, and try to prove the others equivalent at the pins.

    The report is written to ``out``, and the seed draws mutants and stimulus.

    Raises
    ------
    InputError
        If Verilator is missing or too old.
    RuntimeError
        If the unchanged design fails.
    """
    start = time.perf_counter()
    mutants = draw(config, count, seed)
    with tempfile.TemporaryDirectory(prefix="vsq-mutants-") as folder:
        sound, *found = RUNS[bench](config, mutants, seed, Path(folder))
    if sound:
        raise RuntimeError(f"{config.full_name}: the unchanged design fails: {sound}")
    pins = Pins(config)
    results = [
        Mutant(
            change=describe(command),
            found=reason,
            verdict="" if reason else compare(pins, mutants.rtlil, command, _SECONDS),
        )
        for command, reason in zip(mutants.commands, found, strict=True)
    ]
    report = MutationReport(
        config=config.full_name, bench=bench, seed=seed, seconds=time.perf_counter() - start, mutants=results
    )
    write_text(out / f"{config.slug}-{bench}.json", json.dumps(asdict(report), indent=1))
    return report
