"""Functional coverage of a processing element: commands, loads, outputs, illegal commands, and the five handshakes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise, product

import numpy as np

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command, CommandResult
from vsq.tb.coverage.points import Bins, Point
from vsq.tb.interface.pace import READY, VALID


@dataclass(frozen=True, kw_only=True)
class PeTraffic:
    """Monitored traffic of a processing element between two resets.

    Args:
        config: The element.
        answered: Commands whose results were all compared, with what the model gives for them.
        logs: Handshake of each cycle by stream, as :class:`vsq.tb.bench.agents.Monitor` logs it.
        pending: Commands accepted and not answered when a reset came; None if none came.
    """

    config: PeConfig
    answered: Sequence[tuple[Command, CommandResult]]
    logs: Mapping[str, bytes | bytearray]
    pending: int | None = None

    @property
    def legal(self) -> list[tuple[Command, CommandResult]]:
        """The answered commands that were executed."""
        return [(command, result) for command, result in self.answered if not result.illegal]


def _loads(traffic: PeTraffic) -> Bins:
    names = ["weights", "activations", *(["params"] if traffic.config.ppu else [])]
    sets = [chosen for count in range(len(names) + 1) for chosen in combinations(names, count)]
    loaded = [tuple(name for name in names if getattr(command, f"load_{name}")) for command, _ in traffic.legal]
    return {"+".join(chosen) or "none": loaded.count(chosen) for chosen in sets}


def _outputs(traffic: PeTraffic) -> Bins:
    names = ["raw", *(["requantized", "relu"] if traffic.config.ppu else []), "illegal"]
    found = Counter(pairwise(_kind(command, result) for command, result in traffic.answered))
    return {f"{kind} after {before}": found[before, kind] for before, kind in product(names, names)}


def _kind(command: Command, result: CommandResult) -> str:
    if result.illegal:
        return "illegal"
    if not command.requantize:
        return "raw"
    return "relu" if command.relu else "requantized"


def _illegal(traffic: PeTraffic) -> Bins:
    config = traffic.config
    rules: dict[str, Callable[[Command], bool]] = {
        "no rows": lambda command: command.rows == 0,
        "no vectors": lambda command: command.vectors == 0,
    }
    if config.weight_depth < (1 << config.vectors_bits) - 1:
        rules["more vectors than weights"] = lambda c: c.vectors > config.weight_depth
    if config.activation_depth < (1 << config.rows_bits) - 1:
        rules["more rows and vectors than activations"] = lambda c: c.rows * c.vectors > config.activation_depth
    commands = [command for command, result in traffic.answered if result.illegal]
    return {name: sum(rule(command) for command in commands) for name, rule in rules.items()}


def _sizes(traffic: PeTraffic) -> Bins:
    config, commands = traffic.config, [command for command, _ in traffic.legal]
    bins = {
        "one row": sum(command.rows == 1 for command in commands),
        "one vector": sum(command.vectors == 1 for command in commands),
        "all activations": sum(command.rows * command.vectors == config.activation_depth for command in commands),
    }
    if config.weight_depth <= config.activation_depth:
        bins["all weights"] = sum(command.vectors == config.weight_depth for command in commands)
    return bins


def _limits(field: str, traffic: PeTraffic) -> Bins:
    """Return the bins of one field of requantized outputs, ``codes`` or ``scales``."""
    config, element = traffic.config, traffic.config.mac.activation
    wanted = {"codes": {"least": element.qmin, "0": 0, "largest": element.qmax}}
    if config.mac.activation_scale:
        wanted["scales"] = {"0": 0, "1": 1, "largest": config.scale_max}
    if not config.ppu or field not in wanted:
        return {}
    arrays = [array for _, result in traffic.legal if (array := getattr(result, field)) is not None]
    return {name: sum(int((array == value).sum()) for array in arrays) for name, value in wanted[field].items()}


def _handshakes(traffic: PeTraffic) -> Bins:
    """Handshakes of each stream; beats of what is loaded follow each other only if a command takes several."""
    config, bins = traffic.config, {}
    single = {
        "weights": config.lanes * min(config.weight_depth, config.activation_depth) == 1,
        "activations": config.activation_depth == 1,
        "lane_params": config.lanes == 1,
    }
    for stream, log in traffic.logs.items():
        cycles = np.frombuffer(bytes(log), np.uint8)
        taken = cycles == VALID | READY
        bins[f"{stream} waits"] = cycles == VALID
        if not single.get(stream):
            bins[f"{stream} in successive cycles"] = taken[1:] & taken[:-1]
        bins[f"{stream} starves"] = (cycles & VALID == 0) if stream == "result" else cycles == READY
    return bins


def _resets(traffic: PeTraffic) -> Bins:
    return {f"{number} in flight": int(traffic.pending == number) for number in range(1, 4)}


POINTS = (
    Point("cp_pe_loads", "each set of buffers is loaded, the others being shared with the command before", _loads),
    Point("cp_pe_outputs", "each kind of answer follows each", _outputs),
    Point("cp_pe_illegal", "each rule is broken", _illegal),
    Point("cp_pe_sizes", "the smallest commands, and those that fill a buffer", _sizes),
    Point("cp_pe_scales", "output scales at their limits", partial(_limits, "scales")),
    Point("cp_pe_codes", "output codes at their limits", partial(_limits, "codes")),
    Point("cp_pe_handshakes", "each stream waits, starves, and flows", _handshakes),
    Point("cp_pe_resets", "a reset with one, two and three commands in flight", _resets),
)
