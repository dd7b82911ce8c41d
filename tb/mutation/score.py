"""The mutation score of a bench that ships: mutants found, and those of the others that are proved equivalent."""

import hashlib
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import vsq
from vsq.golden.contract.configuration import Configuration
from vsq.golden.io.files import write_text
from vsq.tb.formal.equivalence import Verdict, compare
from vsq.tb.mutation.mutants import Mutants, describe, draw
from vsq.tb.mutation.pins import Pins
from vsq.tb.mutation.runs import RUNS

_SECONDS = 60  # for a proof


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change and what became of it.

    Args:
        change: What is changed, where, and the source line that it comes from.
        found: What the bench says; empty if it passes.
        verdict: Of the proof; empty if the bench finds it.
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
        return [mutant for mutant in self.mutants if mutant.survives]

    @property
    def score(self) -> float:
        """The share found of those that are not proved equivalent; 1 if there are none."""
        counted = self.found + len(self.missed)
        return self.found / counted if counted else 1.0


def score(config: Configuration, count: int, seed: int, bench: str, out: Path) -> MutationReport:
    """Make mutants of a design, run them through a bench, and try to prove the others equivalent at the pins.

    The seed draws mutants and stimulus. The report is written to ``out`` as soon as the bench is through, and after
    each proof; if there is one of the same mutants and bench, only what it leaves undecided is proved.

    Raises:
        InputError: If Verilator is missing or too old.
        RuntimeError: If the unchanged design fails.
    """
    mutants, path = draw(config, count, seed), out / f"{config.slug}-{bench}.json"
    report = _earlier(path, digest := _digest(mutants, bench, seed))
    if report is None:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vsq-mutants-") as folder:
            sound, *found = RUNS[bench](config, mutants, seed, Path(folder))
        if sound:
            raise RuntimeError(f"{config.full_name}: the unchanged design fails: {sound}")
        results = [
            Mutant(change=describe(command), found=reason)
            for command, reason in zip(mutants.commands, found, strict=True)
        ]
        seconds = time.perf_counter() - start
        report = MutationReport(
            config=config.full_name, bench=bench, seed=seed, digest=digest, seconds=seconds, mutants=results
        )
        _write(report, path)
    pins = Pins(config)
    for number, (command, mutant) in enumerate(zip(mutants.commands, report.mutants, strict=True)):
        if mutant.survives and mutant.verdict != Verdict.DIFFERENT:
            start = time.perf_counter()
            report.mutants[number] = replace(mutant, verdict=compare(pins, mutants.rtlil, command, _SECONDS))
            report = replace(report, seconds=report.seconds + time.perf_counter() - start)
            _write(report, path)
    return report


def _digest(mutants: Mutants, bench: str, seed: int) -> str:
    """Return a digest of all that a bench's results depend on: the sources of benches and model too, not of proofs."""
    package = Path(vsq.__file__).parent
    files = [path for folder in ("golden", "tb") for path in (package / folder).rglob("*.*")]
    sources = sorted(path for path in files if path.suffix in (".py", ".v") and path.parent.name != "formal")
    known = hashlib.sha256(repr((mutants, bench, seed)).encode())
    for path in sources:
        known.update(path.read_bytes())
    return known.hexdigest()


def _earlier(path: Path, digest: str) -> MutationReport | None:
    """Return an earlier report with the same digest, if there is one."""
    entries = json.loads(path.read_text()) if path.exists() else {}
    if entries.get("digest") != digest:
        return None
    return MutationReport(**{**entries, "mutants": [Mutant(**mutant) for mutant in entries["mutants"]]})


def _write(report: MutationReport, path: Path) -> None:
    write_text(path, json.dumps(asdict(report), indent=1))
