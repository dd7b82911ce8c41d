"""The cocotb tests of one vector MAC; they run inside the simulator."""

from typing import Any

import cocotb

from vsq.golden.stimulus import stream as stimulus
from vsq.golden.stimulus.stream import Beats
from vsq.tb.bench.base import Bench, Run, replay, started, stream
from vsq.tb.interface.pace import Bursts, flowing, random_bursts

_FULL_SPEED_BEATS = 256
_RESETS = 12
_STALLED = 64  # cycles in which no result is taken


@cocotb.test
async def random_traffic(dut: Any) -> None:
    """Random beats with random pauses and back-pressure; the overflows that the stimulus promises must happen."""
    run = await started(dut)
    streams = run.interface.streams(stimulus.complete(run.config, run.beats, run.seed))
    bench = await stream(run, streams, {"in": random_bursts(run.rng(0))}, random_bursts(run.rng(1)))
    for direction in stimulus.overflow_directions(run.config):
        assert bench.scoreboard.directions[direction], f"no accumulator overflow in direction {direction:+d}"
    bench.done()


@cocotb.test
async def full_speed(dut: Any) -> None:
    """Without pauses a beat is accepted each cycle, and each result comes ``latency`` cycles after its last beat.

    The beats are random ones, and then pairs of scales, of which the results show every bit.
    """
    run = await started(dut)
    random = stimulus.beats(run.config, _FULL_SPEED_BEATS, run.seed + 1)
    beats = stimulus.concatenate([random, stimulus.scale_pairs(run.config, run.seed)])
    bench = await stream(run, run.interface.streams(beats), {}, flowing())
    accepted, given = bench.monitors["in"].cycles, bench.outputs.cycles
    assert accepted == list(range(accepted[0], accepted[0] + len(beats))), "the input stream stalled"
    due = [cycle + run.latency for cycle, last in zip(accepted, beats.last, strict=True) if last]
    assert given == due, f"latency is not {run.latency}: {given[:4]}, due {due[:4]}"
    bench.done()


@cocotb.test
async def reset_in_flight(dut: Any) -> None:
    """A reset drops what is in flight, at each filling and at any moment; the accumulator then starts from 0."""
    run = await started(dut)
    rng, streams = run.rng(2), run.interface.streams
    places = run.latency + run.config.registered_ready
    for filled in range(places + 1):
        beats = stimulus.beats(run.config, places, run.seed + filled).select(slice(filled))
        beats.last[:] = True  # results that nobody takes pile up
        await _interrupted(run, beats, flowing(), iter([(_STALLED, 1)]), 2 * run.latency)
    for number in range(_RESETS):
        cycles, beats = int(rng.integers(1, 40)), _unmarked(run, number)
        await _interrupted(run, beats, random_bursts(rng), random_bursts(rng), cycles)
    for marked in (True, False):
        beats = _unmarked(run, 1)
        beats.first[0] = marked
        bench = await stream(run, streams(beats), {"in": random_bursts(rng)}, random_bursts(rng))
        bench.done()


async def _interrupted(run: Run, beats: Beats, sending: Bursts, taking: Bursts, cycles: int) -> None:
    """Send beats through a freshly reset design for some cycles, and compare the results so far."""
    bench = Bench(run)
    await bench.start(run.interface.streams(beats), {"in": sending}, taking)
    await bench.stop(cycles)
    bench.done(reset=True)


def _unmarked(run: Run, number: int) -> Beats:
    """Return beats that start without ``first``; if ``number`` is odd, the first one has a result and scales of 0."""
    beats = stimulus.beats(run.config, 64, run.seed + number)
    beats.first[0] = False
    if number % 2:
        beats.last[0] = True
        for scales in (beats.weight_scales, beats.activation_scales):
            if scales is not None:
                scales[0] = 0
    return beats


@cocotb.test
async def playback(dut: Any) -> None:
    """A recorded run."""
    await replay(dut)
