"""Functional coverage of a processing element: commands, loads, outputs, illegal commands, and the five handshakes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import Overflow, Reset
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Minifloat
from vsq.golden.model.pe import Command, CommandResult
from vsq.tb.coverage.datapath import binades
from vsq.tb.coverage.points import Bins, Point
from vsq.tb.interface.pace import READY, VALID

_VALUES = 16  # a float with fewer has a bin for each


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

    @property
    def slots(self) -> NDArray[np.int64]:
        """The slot of each row of the legal commands: its number since reset modulo b."""
        return np.arange(sum(command.rows for command, _ in self.legal)) % self.config.reuse


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


def _rests(traffic: PeTraffic) -> Bins:
    """Rows modulo b, and commands whose slots are used again, with fewer vectors than slots and with as many."""
    config, commands = traffic.config, [command for command, _ in traffic.legal]
    if (b := config.reuse) == 1:
        return {}
    rests = [rest for rest in range(b) if (rest or b) <= config.activation_depth]
    bins = {f"{rest} rows over": sum(command.rows % b == rest for command in commands) for rest in rests}
    again = [command for command in commands if command.rows > b]
    for name, vectors in (("one vector", range(1, 2)), ("few vectors", range(2, b)), ("vectors", range(b, 1 << 16))):
        if vectors and vectors[0] <= config.weight_depth and vectors[0] * (b + 1) <= config.activation_depth:
            bins[f"slots again, {name}"] = sum(command.vectors in vectors for command in again)
    return bins


def _overflows(traffic: PeTraffic) -> Bins:
    """Accumulators of each slot that saturate; windows that overflow, lose bits, or do neither, and are not 0."""
    config, slots = traffic.config, traffic.slots
    vectors, half = min(config.weight_depth, config.activation_depth), 1 << (config.mac.acc_bits - 1)
    exact = all(-half <= end * vectors < half for end in config.mac.term_range)
    if config.mac.window:
        kinds = {name: _rows_with(traffic, name) for name in config.mac.flags}
        kinds["exact"] = _rows_with(traffic, "acc") & ~kinds["overflow"] & ~kinds["inexact"]
        each = product(range(config.reuse), kinds.items())
        return {f"slot {slot}, {name}": hits & (slots == slot) for slot, (name, hits) in each}
    if config.reuse == 1 or config.mac.overflow == Overflow.WRAP or exact:
        return {}
    overflowed = _rows_with(traffic, "overflow")
    return {f"slot {slot}": overflowed & (slots == slot) for slot in range(config.reuse)}


def _rows_with(traffic: PeTraffic, field: str) -> NDArray[np.bool_]:
    """Return which rows of the legal commands have a raw result whose field is not 0."""
    fields = [(command.rows, getattr(result, field)) for command, result in traffic.legal]
    found = [np.zeros(rows, np.bool_) if each is None else (each != 0).any(axis=1) for rows, each in fields]
    return np.concatenate([np.zeros(0, np.bool_), *found])


def _slot_waits(traffic: PeTraffic) -> Bins:
    """Results that wait, of the rows of each slot."""
    config, waits = traffic.config, Counter[int]()
    if config.reuse == 1:
        return {}
    beats, row = list[int](), 0
    for command, result in traffic.answered:
        rows = np.arange(0 if result.illegal else command.rows) + row
        row += len(rows)
        width = config.lanes // (config.mac.vector_size if command.requantize else 1)
        beats += [-1] if result.illegal else np.repeat(rows % config.reuse, width).tolist()
    log, beat = bytes(traffic.logs.get("result", b"")), 0
    for shake in log:
        if beat < len(beats) and shake == VALID:
            waits[beats[beat]] += 1
        beat += shake == VALID | READY
    return {f"slot {slot}": waits[slot] for slot in range(config.reuse)}


def _outputs_of(traffic: PeTraffic, field: str) -> NDArray[np.int64]:
    """Return one field of all requantized outputs, ``codes`` or ``scales``."""
    arrays = [array for _, result in traffic.legal if (array := getattr(result, field)) is not None]
    return np.concatenate([np.zeros(0, np.int64), *(array.ravel() for array in arrays)])


def _codes(traffic: PeTraffic) -> Bins:
    """Return the bins of output codes: the ends and 0, or each value of a float of few bits.

    One alone in its vector is the largest of it, and small ones never come.
    """
    element, codes = traffic.config.mac.activation, _outputs_of(traffic, "codes")
    if not traffic.config.ppu:
        return {}
    if not element.contiguous and len(element.values) < _VALUES and traffic.config.mac.vector_size > 1:
        return {str(value): codes == value for value in element.values}
    return {name: codes == end for name, end in (("least", element.qmin), ("0", 0), ("largest", element.qmax))}


def _scales(traffic: PeTraffic) -> Bins:
    """Return the bins of output scales: 0, 1, the largest, and each exponent of a float."""
    config, scales = traffic.config, _outputs_of(traffic, "scales")
    if not config.ppu or config.mac.activation_scale is None:
        return {}
    if config.powers:
        return _exponents(traffic)
    if isinstance(config.mac.activation_scale, Minifloat):
        return binades(config.mac.activation_scale, scales)
    return {name: scales == end for name, end in (("0", 0), ("1", 1), ("largest", config.scale_max))}


def _exponents(traffic: PeTraffic) -> Bins:
    """Return the bins of scales that are powers of two: the ends, each exponent above the base, and zeros' scale."""
    vectors = traffic.config.lanes // traffic.config.mac.vector_size
    outputs = [(command.scale_base, command.rows * vectors) for command, result in traffic.legal if command.requantize]
    codes, scales = _outputs_of(traffic, "codes"), _outputs_of(traffic, "scales")
    some = codes.reshape(-1, traffic.config.mac.vector_size).any(axis=1)
    above = scales - np.repeat(*np.array(outputs, np.int64).reshape(-1, 2).T)
    exponents = range(traffic.config.z_range[1].bit_length())
    ends = {str(end): some & (scales == end) for end in (0, traffic.config.scale_max)}
    return {"zeros": ~some, **ends, **{f"base + {e}": some & (above == e) for e in exponents}}


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
    if traffic.config.mac.reset == Reset.NONE:
        return {}
    return {f"{number} in flight": int(traffic.pending == number) for number in range(1, 4)}


POINTS = (
    Point("cp_pe_loads", "each set of buffers is loaded, the others being shared with the command before", _loads),
    Point("cp_pe_outputs", "each kind of answer follows each", _outputs),
    Point("cp_pe_illegal", "each rule is broken", _illegal),
    Point("cp_pe_sizes", "the smallest commands, and those that fill a buffer", _sizes),
    Point("cp_pe_rests", "rows that fill the slots and rows that do not, of few and of many vectors", _rests),
    Point("cp_pe_overflows", "an accumulator of each slot saturates; a window raises each flag, and none", _overflows),
    Point("cp_pe_slots", "a result of each slot waits", _slot_waits),
    Point("cp_pe_scales", "output scales at their limits, and each exponent of floats and powers of two", _scales),
    Point("cp_pe_codes", "output codes at their limits, and each one of a small float", _codes),
    Point("cp_pe_handshakes", "each stream waits, starves, and flows", _handshakes),
    Point("cp_pe_resets", "a reset with one, two and three commands in flight", _resets),
)
