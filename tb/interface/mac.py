"""The streams of the vector MAC: ``in``, a vector a beat, and ``out``, a result a beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.golden.model.datapath import MacResult
from vsq.golden.model.packing import Field, Integer, Packed, Words
from vsq.golden.stimulus.stream import Beats
from vsq.tb.interface.base import Interface, Span, Streams, length

MARK = Field(Integer(1))
_SCALES = {"weight_scale": "weight_scales", "activation_scale": "activation_scales"}


class MacInterface(Interface):
    """The streams of one vector MAC."""

    result = "out"
    idle = 100
    factors = tuple(_SCALES)

    def __init__(self, config: MacConfig) -> None:
        fields = {
            "weights": Field(config.weight, config.vector_size),
            "activations": Field(config.activation, config.vector_size),
            **{name: Field(fmt) for name, fmt in zip(_SCALES, config.scales, strict=True) if fmt},
        }
        self.inputs = {"in": Packed({**fields, "first": MARK, "last": MARK})}
        flag = {"overflow": MARK} if config.overflow == Overflow.SATURATE else {}
        self.output = Packed({"acc": Field(Integer(config.acc_bits, signed=True)), **flag})

    def streams(self, stimulus: Beats) -> Streams:
        """Return beats as columns."""
        return {"in": {name: getattr(stimulus, _SCALES.get(name, name)) for name in self.inputs["in"].fields}}

    def stimulus(self, streams: Streams) -> Beats:
        """Return the beats that columns stand for."""
        columns: dict[str, Any] = dict(streams["in"])
        marks = {name: columns.pop(name).astype(np.bool_) for name in ("first", "last")}
        scales = {many: columns.pop(name, None) for name, many in _SCALES.items()}
        return Beats(**columns, **scales, **marks)

    def results(self, result: MacResult) -> list[Words]:
        """Return the model's results as the words of the port."""
        return self.output.words({"acc": result.acc, "overflow": result.overflow})

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
