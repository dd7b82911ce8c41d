"""One job of a regression and its result: one configuration in one simulator."""

from dataclasses import dataclass, field

from vsq.golden.contract.configuration import Configuration, configuration
from vsq.tb.designs import Environment, environment

TOP = "dut"
RECORDING = "failure.npz"  # what a failed job leaves to be replayed
PLAYBACK_TESTS = ("playback",)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A simulation job.

    Args:
        config: Full name of the configuration, of a vector MAC or of a processing element.
        simulator: ``verilator`` or ``icarus``.
        seed, beats: The random stream; a processing element's are commands.
        playback: A file of :class:`vsq.tb.failures.recording.Recording` to stream instead of random beats.
        verilog: What is simulated instead of the generated Verilog; its top module is :data:`TOP`.
        options: What else repeats the job on the command line, such as the files of ``verilog``.
        waves: Whether a failure is simulated once more to record its waves.
    """

    config: str
    simulator: str
    seed: int
    beats: int = 2000
    playback: str | None = None
    verilog: str | None = None
    options: str = ""
    waves: bool = True

    @property
    def name(self) -> str:
        """A file name that tells the job from others."""
        return f"{self.design.kind}_{self.design.slug}-{self.simulator}"

    @property
    def environment(self) -> Environment:
        """The test bench of this kind of design."""
        return environment(self.design)

    @property
    def design(self) -> Configuration:
        """The configuration."""
        return configuration(self.config)

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that must run."""
        return PLAYBACK_TESTS if self.playback else self.environment.tests


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test's verdict: it passed if ``failure`` is empty."""

    name: str
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a job.

    ``counts`` has beats, results and cycles; of a vector MAC overflows ``above`` and ``below`` the range; of a
    processing element, whose beats are commands, the ``illegal`` ones and the ``operands`` multiplied. ``coverage`` has
    the hits of each bin of each coverage point (:mod:`vsq.tb.coverage.points`).
    """

    outcomes: list[Outcome] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: float = 0.0
    waves: str | None = None

    @property
    def passed(self) -> bool:
        """Whether tests ran and all of them passed; a run of no tests is a failure."""
        return bool(self.outcomes) and not any(outcome.failure for outcome in self.outcomes)
