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
from vsq.tb.mutation.mutants import RUNS, Mutants, describe, draw
from vsq.tb.mutation.pins import Pins

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
        return [mutant for mutant in self.mutants if mutant.survives]


def score(config: Configuration, count: int, seed: int, bench: str, out: Path) -> MutationReport:
    """Make mutants of a design, run them through a bench, and try to prove the others equivalent at the pins.

    The seed draws mutants and stimulus. The report is written to ``out`` as soon as the bench is through, and after
    each proof; if there is one of the same mutants and bench, only what it leaves undecided is proved.

    Raises:
        InputError: If Verilator is missing or too old.
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
        if mutant.survives and mutant.verdict != Verdict.DIFFERENT:
            start = time.perf_counter()
            report.mutants[number] = replace(mutant, verdict=compare(Pins(config), mutants.rtlil, command, _SECONDS))
            report.seconds += time.perf_counter() - start
            _write(report, path)
    return report


def _digest(mutants: Mutants, bench: str, seed: int) -> str:
    """Return a digest of all that a bench's results depend on: the sources of benches and model too, not of proofs."""
    package = Path(vsq.__file__).parent
    files = [path for folder in ("golden", "tb") for path in (package / folder).rglob("*.*")]
    known = hashlib.sha256(repr((mutants, bench, seed)).encode())
    for path in sorted(path for path in files if path.suffix in (".py", ".v") and path.parent.name != "formal"):
        known.update(path.read_bytes())
    return known.hexdigest()


def _write(report: MutationReport, path: Path) -> None:
    write_text(path, json.dumps(asdict(report), indent=1))
