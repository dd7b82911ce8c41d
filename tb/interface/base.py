"""The streams of a design: any number of inputs and one of results."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vsq.golden.model.packing import Columns, Packed, slices

Streams = Mapping[str, Columns]  # of each input stream, the beats
Span = Mapping[str, slice]  # of each input stream, the beats of one transaction

DONT_CARE = -1  # in words of results: a field that does not matter, or of a design, that is undefined


def length(columns: Columns) -> int:
    """Return the number of beats."""
    return len(next(iter(columns.values())))


def select(streams: Streams, places: Mapping[str, NDArray[np.int64]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the beats at these places of each stream."""
    return {
        stream: {name: column[places[stream]] for name, column in columns.items()}
        for stream, columns in streams.items()
    }


def connections(prefix: str, layout: Packed, valid: str, ready: str, word: str, low: int = 0) -> list[str]:
    """Return Verilog's connections of a stream's ports, its payload's with a word's bits from ``low`` on."""
    payload = slices({f"{prefix}{field}": width for field, width in layout.widths.items()}, word, low)
    return [f".{prefix}valid({valid})", f".{prefix}ready({ready})", *payload]


class Interface(ABC):
    """The streams of one design.

    Attributes:
        inputs: The layout of each input stream; the ports' names start with the stream's.
        result: The name of the result stream.
        output: Its layout.
        idle: Cycles without a transfer after which nothing more comes.
        factors: Fields of one stream whose values are multiplied.
    """

    inputs: Mapping[str, Packed]
    result: str
    output: Packed
    idle: int
    factors: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def streams(self, stimulus: Any) -> Streams:
        """Return stimulus as the beats of the input streams."""

    @abstractmethod
    def stimulus(self, streams: Streams) -> Any:
        """Return the stimulus that beats stand for; inverse of :meth:`streams`."""

    @abstractmethod
    def most_results(self, streams: Streams) -> int:
        """Return a number of result beats that the streams do not exceed."""

    @abstractmethod
    def transactions(self, streams: Streams) -> list[Span]:
        """Return the beats of each transaction, the least that makes sense alone."""

    @abstractmethod
    def chosen(self, streams: Streams, spans: Sequence[Span]) -> dict[str, NDArray[np.int64]] | None:
        """Return the places of the beats that transactions take, if only these are sent, or None if they lack some."""

    def closed(self, streams: Streams) -> Streams:
        """Return streams all of whose beats can be seen in a result."""
        return streams

    def start_of(self, streams: Streams, place: int) -> int:
        """Return the first beat of a single stream on which the results of the beat at ``place`` depend."""
        del streams, place
        return 0
