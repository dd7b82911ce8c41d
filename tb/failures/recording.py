"""Recorded transactions: all that replays one stream of beats, whatever the generators of stimulus do by then."""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import replacing
from vsq.golden.stimulus.stream import Beats
from vsq.tb.agents.streams import flowing
from vsq.tb.playback.mac import Pace

Bursts = Iterator[tuple[int, int]]

_SPARE = 4  # cycles for which results are taken as recorded, to cycles for which beats are offered
_LEAST = 256


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One stream from a reset on.

    Parameters
    ----------
    config, seed, simulator
        Of the job.
    rtl
        :func:`rtl_hash` of the Verilog; empty if it does not matter.
    beats
        What is sent.
    sending, taking
        The pauses of the two streams as bursts (cycles of pause, transfers or cycles of activity); after the last
        one the stream flows.
    """

    config: str
    seed: int = 0
    simulator: str = ""
    rtl: str = ""
    beats: Beats
    sending: Sequence[tuple[int, int]] = ()
    taking: Sequence[tuple[int, int]] = ()

    @classmethod
    def drawn(cls, config: MacConfig, beats: Beats, sending: Bursts, taking: Bursts, **about: Any) -> "Recording":
        """Record as many bursts as the beats take; ``about`` are the other fields."""
        sent = list(_until(sending, len(beats), counts_pauses=False))
        cycles = _SPARE * sum(map(sum, sent)) + _LEAST
        taken = list(_until(taking, cycles, counts_pauses=True))
        return cls(config=config.full_name, beats=beats, sending=sent, taking=taken, **about)

    def bursts(self) -> tuple[Bursts, Bursts]:
        """Return the bursts of sending and of taking, without end."""
        return chain(self.sending, flowing()), chain(self.taking, flowing())

    def pace(self) -> Pace | None:
        """Return the pauses for the C++ playback; None if there are none."""
        if not any(pause for pause, _ in chain(self.sending, self.taking)):
            return None
        pauses = np.zeros(len(self.beats), np.uint32)
        beat = 0
        for pause, run in self.sending:
            if beat < len(pauses):
                pauses[beat] = pause
            beat += run
        taking = [np.repeat([False, True], burst) for burst in self.taking]
        return Pace(pauses=pauses, taking=np.concatenate(taking) if taking else np.zeros(0, np.bool_))

    def save(self, path: Path) -> None:
        """Write one ``.npz``.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        columns = {name: column for name, column in vars(self.beats).items() if column is not None}
        about = json.dumps({name: getattr(self, name) for name in ("config", "seed", "simulator", "rtl")})
        bursts: dict[str, Any] = {
            name: np.array(getattr(self, name), np.int64).reshape(-1, 2) for name in ("sending", "taking")
        }
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, about=np.array(about), **bursts, **columns)

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Read what :meth:`save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read or is no recording.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                columns: dict[str, Any] = {"weight_scales": None, "activation_scales": None, **arrays}
                about: dict[str, Any] = json.loads(str(columns.pop("about")))
                about |= {
                    name: [tuple(burst) for burst in columns.pop(name).tolist()] for name in ("sending", "taking")
                }
                return cls(beats=Beats(**columns), **about)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: no recording ({reason}); give the failure.npz of a failed job") from None


def rtl_hash(verilog: str) -> str:
    """Return the SHA-256 of a Verilog text in hexadecimal."""
    return hashlib.sha256(verilog.encode()).hexdigest()


def _until(bursts: Bursts, count: int, *, counts_pauses: bool) -> Iterator[tuple[int, int]]:
    """Yield bursts until their activity, with or without their pauses, comes to ``count``."""
    while count > 0 and (burst := next(bursts, None)) is not None:
        yield burst
        count -= sum(burst) if counts_pauses else burst[1]
