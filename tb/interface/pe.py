"""The streams of the processing element: ``command``, ``weights``, ``activations``, ``lane_params``, ``result``."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import Overflow
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.base import Format
from vsq.golden.model.operand import BlockOperand
from vsq.golden.model.packing import Columns, Field, Integer, Packed, Words
from vsq.golden.model.pe import Command, CommandResult, Loaded, Streams
from vsq.golden.model.ppu import LaneParams
from vsq.golden.stimulus.commands import result_beats
from vsq.tb.interface import base
from vsq.tb.interface.base import DONT_CARE, Interface, Span
from vsq.tb.interface.mac import MARK

_LATENCY = 200  # cycles beyond those of reading and handing out
_PARAMS = ("multiplier", "shift", "bias")


class PeInterface(Interface[Streams]):
    """The streams of one processing element."""

    result = "result"

    def __init__(self, config: PeConfig) -> None:
        mac = config.mac
        self._config, self._size = config, mac.vector_size
        self.idle = config.activation_depth + config.weight_depth + 4 * config.lane_count + _LATENCY
        command = {
            "rows": Field(Integer(config.rows_bits)),
            "vectors": Field(Integer(config.vectors_bits)),
            **dict.fromkeys(("load_weights", "load_activations"), MARK),
            **dict.fromkeys(("load_params", "requantize", "relu") if config.ppu else (), MARK),
        }
        params = {
            "multiplier": Field(Integer(config.multiplier_bits)),
            "shift": Field(Integer(config.shift_bits)),
            "bias": Field(Integer(config.bias_bits, signed=True)),
        }
        vector = self._vector(mac.activation, mac.activation_scale)
        self.inputs = {
            "command": Packed(command),
            "weights": Packed(self._vector(mac.weight, mac.weight_scale)),
            "activations": Packed(vector),
            **({"lane_params": Packed(params)} if config.ppu else {}),
        }
        acc = {"acc": Field(Integer(mac.acc_bits, signed=True))}
        flag = {"overflow": MARK} if mac.overflow == Overflow.SATURATE else {}
        processed = {**vector, "raw": MARK} if config.ppu else {}
        self.output = Packed({**processed, **acc, **flag, "illegal": MARK, "last": MARK})

    def _vector(self, element: Format, scale: Format | None) -> dict[str, Field]:
        return {"codes": Field(element, self._size), **({"scale": Field(scale)} if scale else {})}

    def streams(self, stimulus: Streams) -> base.Streams:
        """Return commands and what they take as columns."""
        columns = {
            "command": {
                name: np.array([int(getattr(command, name)) for command in stimulus.commands], np.int64)
                for name in self.inputs["command"].fields
            },
            "weights": _columns(stimulus.weights),
            "activations": _columns(stimulus.activations),
        }
        if self._config.ppu:
            params = stimulus.params or LaneParams(*np.zeros((3, 0), np.int64))
            columns["lane_params"] = {name: getattr(params, name) for name in _PARAMS}
        return columns

    def stimulus(self, streams: base.Streams) -> Streams:
        """Return the commands, and what they take, that columns stand for."""
        weights, activations = (
            BlockOperand(streams[side]["codes"], streams[side].get("scale")) for side in ("weights", "activations")
        )
        return Streams(
            commands=self.commands(streams["command"]),
            weights=weights,
            activations=activations,
            params=LaneParams(*(streams["lane_params"][name] for name in _PARAMS)) if self._config.ppu else None,
        )

    def commands(self, columns: Columns) -> list[Command]:
        """Return the commands that columns stand for."""
        sizes = ("rows", "vectors")
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        rules: list[dict[str, Any]] = [dict(zip(columns, row, strict=True)) for row in rows]
        return [Command(**{name: v if name in sizes else bool(v) for name, v in rule.items()}) for rule in rules]

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
        start, lanes, fields = 0, self._config.lane_count, self.output.fields
        for command in commands:
            count = command.rows * lanes // (self._size if command.requantize else 1)
            if len(words) < start + count:
                raise RuntimeError(f"{self._config}: only {len(words)} results came")
            beats = dict(zip(fields, zip(*words[start : start + count], strict=True), strict=True))
            start += count

            def column(name: str, beats: Any = beats, rows: int = command.rows) -> Any:
                return fields[name].column(beats[name]).reshape(rows, -1) if name in fields else None

            if command.requantize:
                codes = column("codes").reshape(command.rows, -1, self._size)
                yield CommandResult(codes=codes, scales=column("scale"))
            else:
                acc, overflow = column("acc"), column("overflow")
                flags = np.zeros(acc.shape, np.bool_) if overflow is None else overflow.astype(np.bool_)
                yield CommandResult(acc=acc, overflow=flags)

    def most_results(self, streams: base.Streams) -> int:
        """Return as many accumulators as the commands have, or one for an illegal one."""
        return int(np.maximum(1, streams["command"]["rows"]).sum()) * self._config.lane_count

    def transactions(self, streams: base.Streams) -> list[Span]:
        """Return each command with the beats that it takes."""
        loaded, taken = Loaded(self._config), dict.fromkeys(self.inputs, 0)
        spans: list[Span] = []
        for command in self.commands(streams["command"]):
            counts = loaded.beats(command)
            spans.append({stream: slice(taken[stream], taken[stream] + counts[stream]) for stream in self.inputs})
            taken = {stream: taken[stream] + counts[stream] for stream in self.inputs}
            loaded = loaded.after(command)
        return spans

    def chosen(self, streams: base.Streams, spans: Sequence[Span]) -> dict[str, NDArray[np.int64]] | None:
        """Return the beats of commands, as many as each takes: none if it has become illegal."""
        loaded, places = Loaded(self._config), {stream: [np.zeros(0, np.int64)] for stream in self.inputs}
        commands = self.commands(streams["command"])
        for span in spans:
            command = commands[span["command"].start]
            for stream, count in loaded.beats(command).items():
                if span[stream].stop - span[stream].start < count:
                    return None
                places[stream].append(np.arange(span[stream].start, span[stream].start + count))
            loaded = loaded.after(command)
        return {stream: np.concatenate(parts) for stream, parts in places.items()} if spans else None


def _columns(side: BlockOperand) -> Columns:
    return {"codes": side.codes} | ({} if side.scales is None else {"scale": side.scales})
