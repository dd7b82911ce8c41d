"""The streams of the vector MAC: ``in``, a vector a beat, and ``out``, a result a beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import MacResult
from vsq.golden.model.packing import Field, Integer, Packed, Words
from vsq.golden.stimulus.stream import Beats
from vsq.tb.interface.base import DONT_CARE, Interface, Span, Streams, length

MARK = Field(Integer(1))
_MANY = {"weight_scale": "weight_scales", "activation_scale": "activation_scales", "offset": "offsets"}


class MacInterface(Interface):
    """The streams of one vector MAC."""

    result = "out"
    idle = 100
    factors = ("weight_scale", "activation_scale")

    def __init__(self, config: MacConfig) -> None:
        fields = {
            "weights": Field(config.weight, config.vector_size),
            "activations": Field(config.activation, config.vector_size),
            **{name: Field(fmt) for name, fmt in zip(self.factors, config.scales, strict=True) if fmt},
            **({"offset": Field(Integer(config.offset_bits))} if config.window else {}),
        }
        self.inputs = {"in": Packed({**fields, "first": MARK, "last": MARK})}
        flags = dict.fromkeys(config.flags, MARK)
        self.output = Packed({"acc": Field(Integer(config.acc_bits, signed=True)), **flags})

    def streams(self, stimulus: Beats) -> Streams:
        """Return beats as columns."""
        return {"in": {name: getattr(stimulus, _MANY.get(name, name)) for name in self.inputs["in"].fields}}

    def stimulus(self, streams: Streams) -> Beats:
        """Return the beats that columns stand for."""
        columns: dict[str, Any] = dict(streams["in"])
        marks = {name: columns.pop(name).astype(np.bool_) for name in ("first", "last")}
        several = {many: columns.pop(name, None) for name, many in _MANY.items()}
        return Beats(**columns, **several, **marks)

    def results(self, result: MacResult) -> list[Words]:
        """Return the model's results as the words of the port; of an invalid one, the flag alone matters."""
        words = self.output.words(vars(result))
        if not result.invalid.any():
            return words
        *_, invalid = self.output.fields
        care = [name == invalid for name in self.output.fields]
        return [
            tuple(word if cared else DONT_CARE for word, cared in zip(row, care, strict=True)) if nan else row
            for row, nan in zip(words, result.invalid.tolist(), strict=True)
        ]

    def most_results(self, streams: Streams) -> int:
        """Return the number of beats, each of which has one result at most."""
        return length(streams["in"])

    def transactions(self, streams: Streams) -> list[Span]:
        """Return each beat alone."""
        return [{"in": slice(beat, beat + 1)} for beat in range(length(streams["in"]))]

    def chosen(self, streams: Streams, spans: Sequence[Span]) -> dict[str, NDArray[np.int64]] | None:
        """Return the beats, every choice of which is a stream."""
        del streams
        return {"in": np.array([span["in"].start for span in spans])} if spans else None

    def closed(self, streams: Streams) -> Streams:
        """Return the beats with a result after the last one."""
        last = streams["in"]["last"].copy()
        last[-1:] = 1
        return {"in": {**streams["in"], "last": last}}

    def start_of(self, streams: Streams, place: int) -> int:
        """Return the first beat of the accumulation that a beat belongs to."""
        return max(np.flatnonzero(streams["in"]["first"][: place + 1]).tolist(), default=0)
