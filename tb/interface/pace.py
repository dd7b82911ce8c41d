"""The pace of streams: handshakes, and the bursts or pauses in which beats are offered and results taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bursts = Iterator[tuple[int, int]]  # cycles of pause, transfers or cycles of activity

VALID, READY = 1, 2  # a cycle's handshake


def flowing() -> Bursts:
    """Yield bursts without any pause."""
    while True:
        yield 0, 64


def random_bursts(rng: np.random.Generator) -> Bursts:
    """Yield flowing, sparse and bursty stretches in turn."""
    while True:
        longest_pause, longest_run, bursts = ((0, 64, 1), (4, 1, 24), (20, 20, 4))[rng.integers(3)]
        for _ in range(bursts):
            pause = int(rng.integers(1, longest_pause + 1)) if longest_pause else 0
            yield pause, int(rng.integers(1, longest_run + 1))


def cycles(bursts: Bursts) -> Iterator[bool]:
    """Yield for each cycle whether it is active."""
    for pause, run in bursts:
        yield from [False] * pause + [True] * run


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The pauses of a playback: the cycles in which beats are offered and results taken.

    Args:
        pauses: For each input stream the cycles before each beat in which none is offered, [B].
        taking: Whether results are taken, for each cycle from the first one on; after these they are.
    """

    pauses: Mapping[str, NDArray[Any]]
    taking: NDArray[np.bool_]

    def bursts(self) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[int, int]]]:
        """Return the pauses as bursts, of sending and of taking."""
        taking, pause = [], 0
        for take, group in groupby(self.taking.tolist()):
            count = len(list(group))
            if take:
                taking.append((pause, count))
            pause = 0 if take else count
        sending = {stream: [(int(pause), 1) for pause in pauses] for stream, pauses in self.pauses.items()}
        return sending, taking + [(pause, 1)] * (pause > 0)
