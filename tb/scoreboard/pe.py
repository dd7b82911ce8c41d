"""The scoreboard of the processing element."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import mac
from vsq.golden.model.pe import Command, CommandResult, ElementModel
from vsq.golden.model.ppu import rescale
from vsq.golden.stimulus import commands as traffic
from vsq.golden.stimulus.stream import Beats
from vsq.tb.coverage.pe import PeTraffic
from vsq.tb.interface.pe import PeInterface
from vsq.tb.scoreboard.base import Due, Scoreboard
from vsq.tb.scoreboard.mac import beat_lines

_REPORTED_VECTORS = 8


class PeScoreboard(Scoreboard):
    """Compares the results of a processing element, command by command, as their beats become known.

    Attributes:
        element: The model, after the commands evaluated so far.
    """

    interface = PeInterface
    sources = ("command", "beat")

    def __init__(self, config: PeConfig, context: str, *, covered: bool = True) -> None:
        super().__init__(config, context, covered=covered)
        self.element = ElementModel(config)
        self._taken = dict.fromkeys(self._pending, 0)  # beats that commands took
        self._evaluated: list[tuple[Command, CommandResult, Any]] = []  # with the buffers' contents

    def stimulus(self, count: int, seed: int) -> Any:
        """Return random commands and their data, which depend on what the element holds."""
        return traffic.commands(self._config, count, seed, self.element)[0]

    def evaluate(self) -> None:
        """Run the model on each command all of whose beats are there."""
        layouts = self._interface.inputs
        while commands := self._pending["command"][:1]:
            [command] = self._interface.commands(layouts["command"].columns(commands))
            counts = self.element.loaded.beats(command)
            if any(len(self._pending[stream]) < count for stream, count in counts.items()):
                return
            columns = {}
            for stream, count in counts.items():
                columns[stream] = layouts[stream].columns(self._pending[stream][:count])
                del self._pending[stream][:count]
                self._taken[stream] += count
            [result] = self.element.run(self._interface.stimulus(columns))
            words, after = self._interface.results([result]), tuple(self._taken.values())
            number = len(self._evaluated)
            self._due.extend(Due(beat, after, (number, place)) for place, beat in enumerate(words))
            self.expected += len(words)
            self._evaluated.append((command, result, self.element.operands))

    @property
    def answered(self) -> list[tuple[Command, CommandResult]]:
        """The evaluated commands all of whose results were compared."""
        end = self._due[0].source[0] if self._due else None
        return [(command, result) for command, result, _ in self._evaluated[:end]]

    @property
    def counts(self) -> Mapping[str, int]:
        """Commands, result beats, illegal commands answered, and operands that commands multiplied."""
        illegal = sum(result.illegal for _, result in self.answered)
        operands = sum(c.rows * c.vectors for c, result, _ in self._evaluated if not result.illegal)
        return {"beats": self.beats["command"], "results": self.results, "illegal": illegal, "operands": operands}

    def traffic(self, logs: Mapping[str, bytes | bytearray], *, reset: bool) -> PeTraffic:
        """Return the answered commands and the handshakes."""
        answered = self.answered
        pending = self.beats["command"] - len(answered) if reset else None
        return PeTraffic(config=self._config, answered=answered, logs=logs, pending=pending)

    def describe(self, due: Due) -> list[str]:
        """Return the command, and for each lane of the result its vectors and its way through post-processing."""
        number, beat = due.source
        command, result, operands = self._evaluated[number]
        lines = [f"  command {number}: {' '.join(f'{name}={int(v)}' for name, v in asdict(command).items())}"]
        if result.illegal:
            return [*lines, "  it is illegal in this state"]
        size = self._config.mac.vector_size if command.requantize else 1
        row, lane = divmod(beat * size, self._config.lanes)
        for place in range(lane, lane + size):
            lines += self._lane(command, operands, row, place)
        return lines

    def _lane(self, command: Command, operands: Any, row: int, lane: int) -> Iterator[str]:
        """Yield the lines on one lane's accumulation in a row."""
        weights, activations, params = operands
        number = np.arange(command.vectors)
        order = np.roll(number, -self._config.start(row, command.vectors))
        w, sw = weights.map(lambda entries: entries[order, lane])
        a, sa = activations.map(lambda entries: entries[row * command.vectors + order])
        offsets = np.full(command.vectors, command.offset) if self._config.mac.window else None
        beats = Beats(w, a, sw, sa, first=number == 0, last=number == command.vectors - 1, offsets=offsets)
        values = mac(self._config.mac, **vars(beats), trace=True)
        assert values.trace is not None
        yield f"  row {row}, lane {lane}"
        left = max(0, command.vectors - _REPORTED_VECTORS)
        if left:
            yield "  (earlier vectors are left out)"
        for place in range(left, command.vectors):
            yield from beat_lines(f"vector {order[place]}", beats, values.trace, place, self._config.mac.flags)
        if command.requantize:
            mine = params.map(lambda column: column[lane : lane + 1])
            [[z]] = rescale(self._config, values.acc[None], mine, relu=command.relu)
            [(m, s, b)] = zip(mine.multiplier, mine.shift, mine.bias, strict=True)
            yield f"    multiplier={m} shift={s} bias={b} z={z}"
