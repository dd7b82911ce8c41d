"""The pace of streams: handshakes, and the bursts or pauses in which beats are offered and results taken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.pe_config import PeConfig

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


def reads(config: PeConfig, rows: int, vectors: int) -> Iterator[tuple[int, bool, bool]]:
    """Yield the row that each cycle of a command reads for, and whether it is its first and its last operand.

    In round t the rows read that have begun, in the order of their slots; row k takes part in ``vectors`` rounds.
    """
    b = config.reuse
    begins = [row // b * vectors + config.start(row, vectors) for row in range(rows)]
    for number in range(begins[-1] + vectors):
        for row in sorted((row for row in range(rows) if 0 <= number - begins[row] < vectors), key=lambda row: row % b):
            yield row, number == begins[row], number == begins[row] + vectors - 1


def first_results(config: PeConfig, rows: int, vectors: int, latency: int) -> list[int]:
    """Return the cycle of each row's first accumulator, if all results of a lone command are taken at once.

    Cycle 0 is that of the command's acceptance; it loads nothing. A result leaves its slot in the cycle before its
    first lane is on offer, when that of the row before has been handed out, and the slot's next row begins then at the
    earliest.
    """
    cycle, found = latency + 1, list[int]()  # of the term that is accumulated last
    for row, first, last in reads(config, rows, vectors):
        cycle += 1
        if first and row >= config.reuse:
            cycle = max(cycle, found[row - config.reuse] - 1)
        if last:
            found.append(max(cycle + 2, found[-1] + config.lanes if found else 0))
    return found


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
