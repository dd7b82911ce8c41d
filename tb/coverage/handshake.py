"""Coverage points of the handshakes: stalls, bubbles, starvation and resets at each filling of the pipeline."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.tb.coverage.points import Bins, Point
from vsq.tb.coverage.traffic import Flags, Traffic
from vsq.tb.interface.pace import READY, VALID


def _is(log: NDArray[np.uint8], shake: int) -> Flags:
    """Return the cycles with just this handshake."""
    cycles: Flags = log == shake
    return cycles


def _by_filling(traffic: Traffic, cycles: Flags, least: int) -> Bins:
    """Return a bin for each number of filled stages, from the least that is possible."""
    filled = traffic.filled[:-1].sum(axis=1)
    return {f"{count} filled": cycles & (filled == count) for count in range(least, traffic.config.pipeline + 2)}


def input_stalls(traffic: Traffic) -> Bins:
    """Beats that wait, which needs all stages full: bubbles close."""
    return _by_filling(traffic, _is(traffic.inputs, VALID), traffic.config.pipeline + 1)


def output_stalls(traffic: Traffic) -> Bins:
    """Results that wait; the result itself fills a stage."""
    return _by_filling(traffic, _is(traffic.outputs, VALID), 1)


def starvation(traffic: Traffic) -> Bins:
    """Cycles in which no beat is offered."""
    return _by_filling(traffic, (traffic.inputs & VALID) == 0, 0)


def stage_stalls(traffic: Traffic) -> Bins:
    """Vectors that cannot move on: their stage and all after it are full, and the result is not taken."""
    stalled = np.logical_and.accumulate(traffic.filled[:-1, ::-1], axis=1)[:, ::-1]
    stalled &= _is(traffic.outputs, VALID)[:, None]
    return {f"stage {stage}": stalled[:, stage] for stage in range(traffic.config.pipeline + 1)}


def bubbles(traffic: Traffic) -> Bins:
    """Empty stages that are filled while the result waits."""
    before, after = traffic.filled[:-1], traffic.filled[1:]
    closed = ~before & after & _is(traffic.outputs, VALID)[:, None]
    return {f"stage {stage}": closed[:, stage] for stage in range(traffic.config.pipeline)}


def transfers(traffic: Traffic) -> Bins:
    """Results taken at once, after a wait, in successive cycles, and while a beat enters the full pipeline."""
    taken, waiting = _is(traffic.outputs, VALID | READY), _is(traffic.outputs, VALID)
    taken_before, waiting_before = (np.concatenate([np.zeros(1, np.bool_), flags])[:-1] for flags in (taken, waiting))
    entered = _is(traffic.inputs, VALID | READY) & traffic.filled[:-1].all(axis=1)
    return {
        "at once": taken & ~waiting_before,
        "after a wait": taken & waiting_before,
        "in successive cycles": taken & taken_before,
        "through the full pipeline": taken & entered,
    }


def resets(traffic: Traffic) -> Bins:
    """Resets by what is in flight."""
    filled = int(traffic.filled[-1].sum()) if traffic.reset else None
    bins: dict[str, Any] = {f"{count} filled": int(filled == count) for count in range(traffic.config.pipeline + 2)}
    return bins


POINTS = (
    Point("cp_input_stalls", "a beat waits at a full pipeline", input_stalls),
    Point("cp_output_stalls", "a result waits, at each number of filled stages", output_stalls),
    Point("cp_stage_stalls", "a vector waits in each stage", stage_stalls),
    Point("cp_bubbles", "each empty stage is filled while a result waits", bubbles),
    Point("cp_starvation", "no beat is offered, at each number of filled stages", starvation),
    Point("cp_transfers", "results taken at once, after a wait, in succession, and through a full pipeline", transfers),
    Point("cp_resets", "a reset at each number of filled stages", resets),
)
