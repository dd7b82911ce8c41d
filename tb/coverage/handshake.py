"""Coverage points of the handshakes: stalls, bubbles, starvation and resets at each filling of the pipeline."""

from typing import Any

import numpy as np

from vsq.tb.coverage.points import Bins, Point
from vsq.tb.coverage.traffic import Traffic, previous
from vsq.tb.interface.pace import READY, VALID


def _by_filling(cycles: Any, traffic: Traffic, least: int) -> Bins:
    """Return a bin for each number of filled stages from the least possible: a waiting result itself fills one."""
    filled = traffic.filled[:-1].sum(axis=1)
    return {f"{count} filled": cycles & (filled == count) for count in range(least, traffic.config.pipeline + 2)}


def _stage_stalls(traffic: Traffic) -> Bins:
    """Vectors that cannot move on: their stage and all after it are full, and the result is not taken."""
    stalled = np.logical_and.accumulate(traffic.filled[:-1, ::-1], axis=1)[:, ::-1]
    stalled &= (traffic.outputs == VALID)[:, None]
    return {f"stage {stage}": stalled[:, stage] for stage in range(traffic.config.pipeline + 1)}


def _bubbles(traffic: Traffic) -> Bins:
    closed = ~traffic.filled[:-1] & traffic.filled[1:] & (traffic.outputs == VALID)[:, None]
    return {f"stage {stage}": closed[:, stage] for stage in range(traffic.config.pipeline)}


def _transfers(traffic: Traffic) -> Bins:
    taken, waiting = traffic.outputs == VALID | READY, traffic.outputs == VALID
    entered = (traffic.inputs == VALID | READY) & traffic.filled[:-1].all(axis=1)
    return {
        "at once": taken & ~previous(waiting),
        "after a wait": taken & previous(waiting),
        "in successive cycles": taken & previous(taken),
        "through the full pipeline": taken & entered,
    }


def _resets(traffic: Traffic) -> Bins:
    filled = traffic.filled[-1].sum() if traffic.reset else None
    return {f"{count} filled": int(filled == count) for count in range(traffic.config.pipeline + 2)}


POINTS: tuple[Point[Traffic], ...] = (
    Point(
        "cp_input_stalls",
        "a beat waits at a full pipeline",
        lambda traffic: _by_filling(traffic.inputs == VALID, traffic, traffic.config.pipeline + 1),
    ),
    Point(
        "cp_output_stalls",
        "a result waits, at each number of filled stages",
        lambda traffic: _by_filling(traffic.outputs == VALID, traffic, 1),
    ),
    Point("cp_stage_stalls", "a vector waits in each stage", _stage_stalls),
    Point("cp_bubbles", "each empty stage is filled while a result waits", _bubbles),
    Point(
        "cp_starvation",
        "no beat is offered, at each number of filled stages",
        lambda traffic: _by_filling((traffic.inputs & VALID) == 0, traffic, 0),
    ),
    Point(
        "cp_transfers",
        "results taken at once, after a wait, in succession, and through a full pipeline",
        _transfers,
    ),
    Point("cp_resets", "a reset at each number of filled stages", _resets),
)
