"""The pace of streams: handshakes, and the bursts in which beats are offered and results taken."""

from collections.abc import Iterator

import numpy as np

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
