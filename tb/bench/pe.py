"""The cocotb tests of one processing element; they run inside the simulator."""

from typing import Any

import cocotb
import numpy as np

from vsq.golden.contract.config import Reset
from vsq.golden.model.pe import CommandResult
from vsq.golden.stimulus import commands as stimulus
from vsq.tb.bench.base import Bench, Run, replay, started, stream
from vsq.tb.coverage.points import missing
from vsq.tb.interface.pace import Bursts, first_results, flowing, random_bursts

_RESETS = 96
_RESET_COMMANDS = 8
_STEADY_COMMANDS = 12
_WARM_UP = 2  # commands until loading, computing and handing out overlap
_HANDOVER = 8  # cycles that a command takes at most from stage to stage, beside its lanes' parameters and latency
_SETTLED = 64  # cycles in which an element that has answered comes to rest
_MOMENTS = (10, 30, 100, 400)  # cycles to which resets come
_BACKLOGS = 24
_TAKES = 6  # results that are taken of a backlog before it grows
_ATTEMPTS = 10  # at closing what coverage is still open


@cocotb.test
async def random_traffic(dut: Any) -> None:
    """Random commands, legal and not, back to back, with pauses and back-pressure on all five streams."""
    run = await started(dut)
    results = await _random(run, run.rng(0), run.beats, run.seed)
    assert len(results) == run.beats


async def _random(run: Run, rng: np.random.Generator, count: int, seed: int) -> list[CommandResult]:
    """Send random commands through a freshly reset design, and return the results due."""
    streams, results = stimulus.commands(run.config, count, seed)
    bench = await stream(run, run.interface.streams(streams), run.pauses(rng), random_bursts(rng))
    expected, illegal = sum(result.illegal for result in results), bench.scoreboard.counts["illegal"]
    assert illegal == expected, f"{illegal} illegal commands, not {expected}"
    bench.done()
    return results


@cocotb.test
async def full_speed(dut: Any) -> None:
    """With streams that keep up, equal commands follow each other at the pace that the element's throughput promises.

    If rows and vectors are as many as lanes, this keeps the lanes busy in each cycle.
    """
    run = await started(dut)
    config = run.config
    streams, results = stimulus.steady(config, _STEADY_COMMANDS, run.seed)
    bench = await stream(run, run.interface.streams(streams), {}, flowing())
    beats = stimulus.result_beats(results)
    ends = [cycle for cycle, beat in zip(bench.outputs.cycles, beats, strict=True) if beat["last"]]
    command = streams.commands[0]
    rows, vectors, lanes = command.rows, command.vectors, config.lanes
    pace, short = max(rows * vectors, lanes * vectors, rows * lanes), lanes + run.latency + _HANDOVER
    measured = (ends[-1] - ends[_WARM_UP]) / (len(ends) - 1 - _WARM_UP)
    cocotb.log.info("%.2f cycles a command, utilization %.3f", measured, rows * vectors / measured)
    assert measured == pace or measured <= short, f"{measured} cycles a command, not {pace}"
    bench.done()
    await _lone_commands(run)
    await _backlogs(run)


async def _lone_commands(run: Run) -> None:
    """Check the cycles of the commands of :func:`vsq.golden.stimulus.commands.lone` on an idle element.

    A command of one row of G reads gives its first accumulator G + latency + 3 cycles after its acceptance; of several
    rows, :func:`vsq.tb.interface.pace.first_results` says when. The next one starts in the cycle after the last read,
    and the third one when the results of the first are taken. Neither raw beats nor the lanes of requantized vectors
    have a pause between them. A command that loads N words computes N - 1 cycles later.
    """
    config = run.config
    lanes, size = config.lanes, config.mac.vector_size
    streams, _, groups = stimulus.lone(config, run.seed)
    whole, short, _, _, narrow, *_ = streams.commands
    words = [*([lanes] if config.ppu else []), lanes * short.vectors, short.vectors]  # that the last commands load
    reads, loaded = short.vectors, whole.rows * lanes
    idle = lanes * (reads + narrow.rows) + 4 * run.latency + _SETTLED
    pauses: dict[str, Bursts] = {"command": iter([(idle, n) for n in groups])}
    bench = await stream(run, run.interface.streams(streams), pauses, flowing(), longest_pause=idle)

    began, start, *accepted = bench.monitors["command"].cycles
    waits = (
        max(lanes * short.vectors, whole.rows * short.vectors, lanes * config.ppu) - 1
    )  # for what the first one loads
    firsts = first_results(config, whole.rows, whole.vectors, run.latency)
    due = [began + waits + cycle + lane for cycle in firsts for lane in range(lanes)]
    assert bench.outputs.cycles[:loaded] == due, f"accumulators in {bench.outputs.cycles[:loaded]}, not {due}"
    due = [start + 1, start + (2 if config.mac.registered_ready else 1 + reads)]
    assert accepted[:2] == due, f"a command of {reads} reads in cycle {start}, then in {accepted[:2]}, not {due}"
    first, spacing = start + reads + run.latency + 3, max(reads, lanes)
    second = first + spacing
    third = max(second + spacing, first + lanes - 1 + reads + run.latency + 2)
    cycles = [begin + lane for begin in (first, second, third) for lane in range(lanes)]
    cycles += [accepted[2] + 1 + run.latency + 3 + lane for lane in range(narrow.rows * lanes)]
    begins = [start + count + reads for start, count in zip(accepted[-len(words) :], words, strict=True)]
    due = [begin + run.latency + 2 + lane for begin in begins for lane in range(lanes)]
    outputs, last = bench.outputs.cycles[loaded : -len(due)], bench.outputs.cycles[-len(due) :]
    raw, vectors = outputs[: len(cycles)], outputs[len(cycles) :]
    assert last == due, f"accumulators of commands that load {words} words in cycles {last}, not {due}"
    assert raw == cycles, f"accumulators in cycles {raw}, not {cycles}"
    assert set(np.diff(vectors).tolist()) <= {size}, f"vectors in cycles {vectors}, not each {size}"
    bench.done()


async def _backlogs(run: Run) -> None:
    """Check that results which waited leave without a pause between them, whatever the element held as they waited.

    In each round a command comes while no result is taken; then some are taken, one after the other; then another
    command comes, and at last all results are taken.
    """
    config, rng = run.config, run.rng(4)
    size = config.mac.vector_size if config.ppu else 1
    streams = stimulus.backlogs(config, _BACKLOGS, run.seed)
    settled = (streams.commands[0].rows + 1) * config.lanes + 4 * run.latency + _SETTLED
    gap = 2 * size + _HANDOVER
    sending, taking, drained = [(0, 1), (2 * settled, 1)], [(0, 2 * settled + 1)], []
    for count in rng.integers(0, _TAKES, _BACKLOGS, endpoint=True).tolist():
        sending += [(settled + count * gap - 1, 1), (3 * settled - 1, 1)]
        taking += [(settled, 0), *count * [(gap - 1, 1)], (settled, 2 * settled)]
        end = sum(map(sum, taking))
        drained.append(range(end - 2 * settled, end))
    pauses: dict[str, Bursts] = {"command": iter(sending)}
    bench = await stream(run, run.interface.streams(streams), pauses, iter(taking), longest_pause=4 * settled)
    for cycles in drained:
        vectors = [cycle for cycle in bench.outputs.cycles if cycle in cycles]
        assert set(np.diff(vectors).tolist()) <= {size}, (
            f"results that waited leave in cycles {vectors}, not each {size}"
        )
    bench.done()


@cocotb.test
async def reset_in_flight(dut: Any) -> None:
    """A reset at any moment drops what is in flight and forgets what was loaded."""
    run = await started(dut)
    rng = run.rng(2)
    for number in range(_RESETS - 1):
        paused = number % 2 == 1
        await _interrupted(run, rng, run.seed + number, paused=paused, longest=400 if paused else 100)
    await _random(run, rng, _RESET_COMMANDS, run.seed + _RESETS - 1)


async def _interrupted(run: Run, rng: np.random.Generator, seed: int, *, paused: bool, longest: int) -> None:
    """Send random commands through a freshly reset design for some cycles, and compare the results so far."""
    streams, _ = stimulus.commands(run.config, _RESET_COMMANDS, seed)
    bench = Bench(run)
    await bench.start(run.interface.streams(streams), run.pauses(rng) if paused else {}, random_bursts(rng))
    await bench.stop(int(rng.integers(1, longest)))
    bench.done(reset=True)


@cocotb.test
async def closure(dut: Any) -> None:
    """More commands and resets, until every coverage point is closed, or the attempts are used up.

    A design without reset has one attempt.
    """
    run = await started(dut)
    rng, config = run.rng(3), run.config
    for _ in range(_ATTEMPTS if config.mac.reset != Reset.NONE else 1):
        left, seed = missing(run.coverage), int(rng.integers(1 << 32))
        if left.pop("cp_pe_resets", None):
            for longest in _MOMENTS:
                await _interrupted(run, rng, seed, paused=longest > _MOMENTS[0], longest=longest)
        if left:
            await _random(run, rng, run.environment.beats, seed)


@cocotb.test
async def playback(dut: Any) -> None:
    """A recorded run."""
    await replay(dut)
