"""Recorded transactions: all that replays the streams of a run, whatever the generators of stimulus do by then."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import read_npz, replacing
from vsq.tb.interface.base import Streams, length
from vsq.tb.interface.pace import Bursts, Pace, cycles, flowing

Recorded = Sequence[tuple[int, int]]

_SPARE = 4  # cycles for which results are taken as recorded, to cycles for which beats are offered
_LEAST = 256


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The streams of one run from a reset on.

    Args:
        config, seed, simulator: Of the job that failed; a stream that is only to be played has no simulator.
        rtl: :func:`rtl_hash` of the Verilog; empty if it does not matter.
        streams: The beats of each input stream.
        sending, taking: The pauses of each input stream, and of the results, as bursts (cycles of pause, transfers or
            cycles of activity); after the last one the stream flows.
    """

    config: str
    seed: int = 0
    simulator: str = ""
    rtl: str = ""
    streams: Streams
    sending: Mapping[str, Recorded] = field(default_factory=dict)
    taking: Recorded = ()

    @classmethod
    def drawn(cls, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts, **about: Any) -> "Recording":
        """Record as many bursts as the beats take; ``about`` are the other fields."""
        sent = {
            stream: list(_until(sending[stream], length(columns), counts_pauses=False))
            for stream, columns in streams.items()
        }
        count = _SPARE * sum(map(sum, chain.from_iterable(sent.values()))) + _LEAST
        return cls(streams=streams, sending=sent, taking=list(_until(taking, count, counts_pauses=True)), **about)

    @property
    def size(self) -> str:
        """The number of beats, of several streams each with its name."""
        counts = {stream: length(columns) for stream, columns in self.streams.items()}
        return ", ".join(f"{count} {stream}" if len(counts) > 1 else str(count) for stream, count in counts.items())

    def bursts(self) -> tuple[dict[str, Bursts], Bursts]:
        """Return the bursts of sending and of taking, without end."""
        sending: dict[str, Bursts] = {stream: chain(self.sending.get(stream, ()), flowing()) for stream in self.streams}
        return sending, chain(self.taking, flowing())

    def pace(self) -> Pace | None:
        """Return the pauses for the playback; None if there are none."""
        if not any(pause for pause, _ in chain(self.taking, *self.sending.values())):
            return None
        pauses = {}
        for stream, columns in self.streams.items():
            pauses[stream], beat = np.zeros(length(columns), np.uint32), 0
            for pause, run in self.sending.get(stream, ()):
                pauses[stream][beat : beat + 1] = pause
                beat += run
        return Pace(pauses=pauses, taking=np.array([*cycles(iter(self.taking))], np.bool_))

    def save(self, path: Path) -> None:
        """Write one ``.npz``, or raise an InputError."""
        arrays: dict[str, Any] = {
            f"{stream}.{name}": column for stream, columns in self.streams.items() for name, column in columns.items()
        }
        about = {name: value for name, value in vars(self).items() if name != "streams"}
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read what :meth:`save` wrote, or raise an InputError."""
        try:
            columns = read_npz(path)
            about: dict[str, Any] = json.loads(str(columns.pop("about")))
            about["sending"] = {stream: _pairs(bursts) for stream, bursts in about["sending"].items()}
            about["taking"] = _pairs(about["taking"])
            streams: dict[str, dict[str, Any]] = {}
            for name, column in columns.items():
                stream, _, part = name.partition(".")
                streams.setdefault(stream, {})[part] = column
            return cls(streams=streams, **about)
        except KeyError as error:
            reason = f"it lacks {error}"
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
        raise InputError(f"{path}: no recording ({reason}); give the failure.npz of a failed job")


def rtl_hash(verilog: str) -> str:
    """Return the SHA-256 of a Verilog text in hexadecimal."""
    return hashlib.sha256(verilog.encode()).hexdigest()


def _pairs(bursts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    return [(pause, run) for pause, run in bursts]


def _until(bursts: Bursts, count: int, *, counts_pauses: bool) -> Iterator[tuple[int, int]]:
    """Yield bursts until their activity, with or without their pauses, comes to ``count``."""
    while count > 0 and (burst := next(bursts, None)) is not None:
        yield burst
        count -= sum(burst) if counts_pauses else burst[1]
