"""All that the test benches know of each kind of design, in one table; without cocotb."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsq.golden.contract.config import FORMATS, PRESETS, MacConfig
from vsq.golden.contract.pe_config import Configuration, PeConfig
from vsq.golden.stimulus.stream import unreached
from vsq.tb.coverage import datapath, pe
from vsq.tb.coverage.points import Hits, Point, hits
from vsq.tb.coverage.traffic import HANDSHAKES
from vsq.tb.interface.base import Interface
from vsq.tb.interface.mac import MacInterface
from vsq.tb.interface.pe import PeInterface
from vsq.tb.scoreboard.base import Scoreboard
from vsq.tb.scoreboard.mac import MacScoreboard
from vsq.tb.scoreboard.pe import PeScoreboard

CLOSING_BEATS = 2000  # random beats with which a preset of the vector MAC closes every point
OVERFLOW = ("cp_saturation", "cp_wrap", "cp_limits", "cp_exact_bound")  # points that every run of a vector MAC closes

RANDOM_TESTS = ("random_traffic", "full_speed", "reset_in_flight")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The test bench of one kind of design.

    Args:
        bench: The module of its cocotb tests.
        tests: Those of random stimulus, in order.
        resetting: Those among them that a design without reset cannot run.
        beats, mutant_vectors: Vectors or commands of a random stream by default, and of the bench in plain Verilog
            against mutants.
        interface, scoreboard, points: Its streams, the comparison of its results with the golden model, its coverage.
        required: Whether a random run must close a point, by its configuration, beats and the point's name.
        waived: Returns in a sentence what no run exercises.
    """

    bench: str
    tests: tuple[str, ...] = RANDOM_TESTS
    resetting: tuple[str, ...] = ("reset_in_flight",)
    beats: int
    mutant_vectors: int
    interface: Callable[[Any], Interface]
    scoreboard: Callable[..., Scoreboard]
    points: Sequence[Point[Any]]
    required: Callable[[Any, int, str], bool]
    waived: Callable[[Any], str]

    def reachable(self, config: Configuration) -> Hits:
        """Return every bin that a configuration can reach, without a hit."""
        interface = self.interface(config)
        logs = dict.fromkeys((*interface.inputs, interface.result), b"")
        return hits(self.points, self.scoreboard(config, "").traffic(logs, reset=False))


def _required_of_macs(config: MacConfig, beats: int, point: str) -> bool:
    presets = {MacConfig.parse(name).full_name for name in PRESETS | FORMATS}
    return point in OVERFLOW or (beats >= CLOSING_BEATS and config.full_name in presets)


ENVIRONMENTS = {
    MacConfig.kind: Environment(
        bench="vsq.tb.bench.mac",
        beats=2000,
        mutant_vectors=1000,
        interface=MacInterface,
        scoreboard=MacScoreboard,
        points=(*datapath.POINTS, *HANDSHAKES),
        required=_required_of_macs,
        waived=unreached,
    ),
    PeConfig.kind: Environment(
        bench="vsq.tb.bench.pe",
        tests=(*RANDOM_TESTS, "closure"),
        beats=600,
        mutant_vectors=400,
        interface=PeInterface,
        scoreboard=PeScoreboard,
        points=pe.POINTS,
        required=lambda config, beats, point: True,
        waived=lambda config: "",
    ),
}


def environment(config: Configuration) -> Environment:
    """Return the test bench of a configuration's kind."""
    return ENVIRONMENTS[config.kind]
