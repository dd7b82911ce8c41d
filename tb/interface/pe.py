"""The streams of the processing element: ``command``, ``weights``, ``activations``, ``lane_params``, ``result``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.packing import Columns, Field, Integer, Packed, Words
from vsq.golden.model.pe import Command, CommandResult, Loaded, Streams
from vsq.golden.model.ppu import LaneParams
from vsq.golden.stimulus.commands import result_beats
from vsq.tb.interface import base
from vsq.tb.interface.base import DONT_CARE, Interface, Span
from vsq.tb.interface.mac import MARK

_LATENCY = 200  # cycles beyond those of reading and handing out


class PeInterface(Interface):
    """The streams of one processing element."""

    result = "result"

    def __init__(self, config: PeConfig) -> None:
        mac = config.mac
        self._config, self._size = config, mac.vector_size
        self.idle = config.activation_depth + config.weight_depth + 4 * config.lanes + _LATENCY
        command = {
            **{name: Field(Integer(bits)) for name, bits in config.command_numbers.items()},
            **dict.fromkeys(config.command_marks, MARK),
        }
        weights, vector = (
            {"codes": Field(element, self._size), **({"scale": Field(scale)} if scale else {})}
            for element, scale in zip((mac.weight, mac.activation), mac.scales, strict=True)
        )
        self.inputs = {"command": Packed(command), "weights": Packed(weights), "activations": Packed(vector)}
        if config.ppu:
            params = {
                "multiplier": Field(Integer(config.multiplier_bits)),
                "shift": Field(Integer(config.shift_bits)),
                "bias": Field(Integer(config.bias_bits, signed=True)),
            }
            self.inputs["lane_params"] = Packed(params)
        acc = {"acc": Field(Integer(mac.acc_bits, signed=True))}
        flags = dict.fromkeys(mac.flags, MARK)
        given = {name: replace(field, unique=True) for name, field in vector.items()}
        processed = {**given, "raw": MARK} if config.ppu else {}
        self.output = Packed({**processed, **acc, **flags, "illegal": MARK, "last": MARK})

    def streams(self, stimulus: Streams) -> base.Streams:
        """Return commands and what they take as columns."""
        columns = {
            "command": {
                name: np.array([int(getattr(command, name)) for command in stimulus.commands], np.int64)
                for name in self.inputs["command"].fields
            },
            "weights": dict(zip(("codes", "scale"), stimulus.weights, strict=True)),
            "activations": dict(zip(("codes", "scale"), stimulus.activations, strict=True)),
        }
        if self._config.ppu:
            columns["lane_params"] = vars(stimulus.params or LaneParams(*np.zeros((3, 0), np.int64)))
        return {stream: {name: columns[stream][name] for name in self.inputs[stream].fields} for stream in self.inputs}

    def stimulus(self, streams: base.Streams) -> Streams:
        """Return the commands, and what they take, that columns stand for."""
        weights, activations = (
            BlockOperand(streams[side]["codes"], streams[side].get("scale")) for side in ("weights", "activations")
        )
        return Streams(
            commands=self.commands(streams["command"]),
            weights=weights,
            activations=activations,
            params=LaneParams(**streams["lane_params"]) if self._config.ppu else None,
        )

    def commands(self, columns: Columns) -> list[Command]:
        """Return the commands that columns stand for."""
        numbers = self._config.command_numbers
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        rules: list[dict[str, Any]] = [dict(zip(columns, row, strict=True)) for row in rows]
        return [Command(**{name: v if name in numbers else bool(v) for name, v in rule.items()}) for rule in rules]

    def results(self, results: Sequence[CommandResult]) -> list[Words]:
        """Return the model's results as the words of the port, fields that do not matter as :data:`DONT_CARE`."""
        beats, columns = list(result_beats(results)), []
        for name, field in self.output.fields.items():
            given = iter(field.words(np.array(values)) if (values := [b[name] for b in beats if name in b]) else ())
            columns.append([next(given) if name in beat else DONT_CARE for beat in beats])
        return list(zip(*columns, strict=True))

    def decoded(self, commands: Sequence[Command], words: Sequence[Words]) -> Iterator[CommandResult]:
        """Yield the results of legal commands from the words of the port.

        Raises:
            RuntimeError: If some are missing.
        """
        left = iter(words)
        for command in commands:
            count = command.rows * self._config.lanes // (self._size if command.requantize else 1)
            beats = list(islice(left, count))
            if len(beats) < count:
                raise RuntimeError(f"{self._config}: only {len(words)} results came")
            yield self._decoded(command, dict(zip(self.output.fields, zip(*beats, strict=True), strict=True)))

    def _decoded(self, command: Command, beats: Mapping[str, Sequence[int]]) -> CommandResult:
        def column(name: str) -> Any:
            return self.output.fields[name].column(beats[name]).reshape(command.rows, -1) if name in beats else None

        if command.requantize:
            return CommandResult(codes=column("codes").reshape(command.rows, -1, self._size), scales=column("scale"))
        acc, flags = column("acc"), {name: column(name) != 0 for name in self._config.mac.flags}
        return CommandResult(acc=acc, **{"overflow": np.zeros(acc.shape, np.bool_), **flags})

    def most_results(self, streams: base.Streams) -> int:
        """Return as many accumulators as the commands have, or one for an illegal one."""
        return int(np.maximum(1, streams["command"]["rows"]).sum()) * self._config.lanes

    def transactions(self, streams: base.Streams) -> list[Span]:
        """Return each command with the beats that it takes."""
        loaded, taken = Loaded(self._config), dict.fromkeys(self.inputs, 0)
        spans: list[Span] = []
        for command in self.commands(streams["command"]):
            ends = {stream: taken[stream] + count for stream, count in loaded.beats(command).items()}
            spans.append({stream: slice(taken[stream], end) for stream, end in ends.items()})
            taken, loaded = ends, loaded.after(command)
        return spans

    def chosen(self, streams: base.Streams, spans: Sequence[Span]) -> dict[str, NDArray[np.int64]] | None:
        """Return the beats of commands, as many as each takes: none if it has become illegal."""
        loaded, places = Loaded(self._config), {stream: [np.zeros(0, np.int64)] for stream in self.inputs}
        commands = self.commands(streams["command"])
        for span in spans:
            command = commands[span["command"].start]
            for stream, count in loaded.beats(command).items():
                taken = np.arange(span[stream].start, span[stream].stop)[:count]
                if len(taken) < count:
                    return None
                places[stream].append(taken)
            loaded = loaded.after(command)
        return {stream: np.concatenate(parts) for stream, parts in places.items()} if spans else None
