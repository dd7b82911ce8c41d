"""The cocotb tests of one vector MAC; they run inside the simulator and read the run's settings from a file.

``VSQ_RUN`` names a JSON file with ``config``, ``seed``, ``beats``, ``latency`` and ``playback``. Each test adds its
counts to ``counts.json`` and its functional coverage to ``coverage.json`` in the working folder.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import Trace
from vsq.golden.stimulus import stream
from vsq.golden.stimulus.stream import Beats
from vsq.tb.agents.streams import (
    Driver,
    InputMonitor,
    OutputMonitor,
    Sink,
    beat_fields,
    beat_words,
    flowing,
    random_bursts,
    result_fields,
)
from vsq.tb.coverage import points
from vsq.tb.coverage.traffic import Traffic
from vsq.tb.failures.recording import Recording
from vsq.tb.regression.job import RECORDING
from vsq.tb.scoreboard.mac import Scoreboard

Bursts = Iterator[tuple[int, int]]
Config = TypeVar("Config", MacConfig, PeConfig)

_PERIOD_NS = 2
_STEP = 64  # cycles between looks at the progress of a run
_HANG = 8  # steps without any transfer that end a run
_FULL_SPEED_BEATS = 256
_RESETS = 12


class Run(Generic[Config]):
    """The settings of this simulation, and the counts that it hands back."""

    def __init__(self, kind: type[Config]) -> None:
        settings: dict[str, Any] = json.loads(Path(os.environ["VSQ_RUN"]).read_text())
        self.config: Config = kind.parse(settings["config"])
        self.seed: int = settings["seed"]
        self.beats: int = settings["beats"]
        self.latency: int = settings["latency"]
        self.playback: str | None = settings["playback"]
        self.about = {name: settings[name] for name in ("seed", "simulator", "rtl")}

    def rng(self, test: int) -> np.random.Generator:
        """Return a test's own generator."""
        return np.random.default_rng([self.seed, test])

    @staticmethod
    def add_counts(**counts: int) -> None:
        """Add to the counts of this simulation."""
        path = Path("counts.json")
        totals = json.loads(path.read_text()) if path.exists() else {}
        totals.update((name, totals.get(name, 0) + count) for name, count in counts.items())
        path.write_text(json.dumps(totals))

    @staticmethod
    def add_coverage(hits: points.Hits) -> None:
        """Add to the coverage of this simulation."""
        path = Path("coverage.json")
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(points.merge([before, hits])))


class Bench:
    """Agents and scoreboard around the design, from one reset to the next."""

    def __init__(self, dut: Any, run: Run[MacConfig]) -> None:
        self._dut, self._config, self._run = dut, run.config, run
        self._chunks: list[tuple[Beats, Trace]] = []
        self.scoreboard = Scoreboard(
            run.config,
            f"{run.config.full_name}, seed {run.seed}",
            observe=lambda beats, trace: self._chunks.append((beats, trace)),
        )
        fields = beat_fields(run.config)
        self.driver, self._sink = Driver(dut, "in", fields), Sink(dut, "out")
        self.inputs = InputMonitor(dut, "in", fields, self.scoreboard.on_beat)
        self.outputs = OutputMonitor(dut, "out", result_fields(run.config), self.scoreboard.on_result)
        self._tasks: list[Task[Any]] = []
        self._recorded, self._mine = Path(RECORDING), False

    async def reset(self) -> None:
        """Reset the design for a cycle and start the monitors; no result may survive."""
        self._dut.rst.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await FallingEdge(self._dut.clk)
        assert not self._dut.out_valid.value, "a result is offered after reset"
        await RisingEdge(self._dut.clk)
        self._tasks += [cocotb.start_soon(self.inputs.run()), cocotb.start_soon(self.outputs.run())]

    def start(self, beats: Beats, sending: Bursts, taking: Bursts) -> None:
        """Offer beats and take results in the background; the stream is recorded in case that it fails."""
        if not self._recorded.exists():  # else it is of a test that failed before
            recording = Recording.drawn(self._config, beats, sending, taking, **self._run.about)
            recording.save(self._recorded)
            sending, taking = recording.bursts()
            self._mine = True
        words = beat_words(self._config, beats)
        self._tasks.append(cocotb.start_soon(self.driver.send(words, sending)))
        self._tasks.append(cocotb.start_soon(self._sink.run(taking)))

    async def finish(self, beats: Beats) -> None:
        """Wait until every beat is accepted and every result is taken, then make sure that none follows."""
        board, goal = self.scoreboard, (len(beats), int(beats.last.sum()))
        progress, idle = (0, 0), 0
        while progress != goal:
            await ClockCycles(self._dut.clk, _STEP)
            before, progress = progress, (board.beats, board.results)
            idle = idle + 1 if before == progress else 0
            assert idle < _HANG, f"no transfer for {_HANG * _STEP} cycles: {progress} of {goal} (beats, results)"
        await ClockCycles(self._dut.clk, _STEP)
        self.stop()
        board.check()
        assert (board.beats, board.results) == goal, f"{(board.beats, board.results)} beats and results, not {goal}"

    def stop(self) -> None:
        """End the agents."""
        for task in self._tasks:
            task.cancel()

    def count(self) -> None:
        """Hand back this bench's counts, all being well."""
        if self._mine:
            self._recorded.unlink()
        board = self.scoreboard
        above, below = (board.directions[direction] for direction in (1, -1))
        Run.add_counts(beats=board.beats, results=board.results, above=above, below=below)

    def cover(self, *, reset: bool = False) -> None:
        """Hand back what this bench's monitors covered, a reset at its end or not; the handshakes must be as due."""
        traffic = Traffic.of(
            self._config,
            self._chunks,
            compared=self.scoreboard.compared,
            inputs=self.inputs.log,
            outputs=self.outputs.log,
            reset=reset,
        )
        Run.add_coverage(points.hits(traffic))


async def start_clock(dut: Any) -> None:
    """Start the clock and return just after a rising edge."""
    Clock(dut.clk, _PERIOD_NS, unit="ns").start()
    await RisingEdge(dut.clk)


async def _stream(dut: Any, run: Run[MacConfig], beats: Beats, sending: Bursts, taking: Bursts) -> Bench:
    """Send beats through a freshly reset design, compare every result, and return the bench."""
    cocotb.log.info("%s, seed %d, %d beats", run.config.full_name, run.seed, len(beats))
    bench = Bench(dut, run)
    await bench.reset()
    start = get_sim_time("ns")
    bench.start(beats, sending, taking)
    await bench.finish(beats)
    bench.count()
    Run.add_counts(cycles=round((get_sim_time("ns") - start) / _PERIOD_NS))
    return bench


@cocotb.test
async def random_traffic(dut: Any) -> None:
    """Random beats with random pauses and back-pressure; the overflows that the stimulus promises must happen."""
    run = Run(MacConfig)
    await start_clock(dut)
    beats = stream.complete(run.config, run.beats, run.seed)
    bench = await _stream(dut, run, beats, random_bursts(run.rng(0)), random_bursts(run.rng(1)))
    for direction in stream.overflow_directions(run.config):
        assert bench.scoreboard.directions[direction], f"no accumulator overflow in direction {direction:+d}"
    bench.cover()


@cocotb.test
async def full_speed(dut: Any) -> None:
    """Without pauses a beat is accepted each cycle, and each result comes ``latency`` cycles after its last beat."""
    run = Run(MacConfig)
    await start_clock(dut)
    beats = stream.beats(run.config, _FULL_SPEED_BEATS, run.seed + 1)
    bench = await _stream(dut, run, beats, flowing(), flowing())
    accepted = bench.inputs.cycles
    assert accepted == list(range(accepted[0], accepted[0] + len(beats))), "the input stream stalled"
    due = [cycle + run.latency for cycle, last in zip(accepted, beats.last, strict=True) if last]
    assert bench.outputs.cycles == due, f"latency is not {run.latency}: {bench.outputs.cycles[:4]}, due {due[:4]}"
    bench.cover()


@cocotb.test
async def reset_in_flight(dut: Any) -> None:
    """A reset drops what is in flight, at each filling and at any moment; the accumulator then starts from 0."""
    run = Run(MacConfig)
    rng = run.rng(2)
    await start_clock(dut)
    for stages in range(run.latency + 1):
        beats = stream.beats(run.config, run.latency, run.seed + stages).select(slice(stages))
        beats.last[:] = True  # results that nobody takes pile up
        await _interrupted(dut, run, beats, flowing(), iter([(_STEP, 1)]), 2 * run.latency)
    for number in range(_RESETS):
        cycles = int(rng.integers(1, 40))
        await _interrupted(dut, run, _unmarked(run, number), random_bursts(rng), random_bursts(rng), cycles)
    for marked in (True, False):
        beats = _unmarked(run, 1)
        beats.first[0] = marked
        bench = await _stream(dut, run, beats, random_bursts(rng), random_bursts(rng))
        bench.cover()


async def _interrupted(
    dut: Any, run: Run[MacConfig], beats: Beats, sending: Bursts, taking: Bursts, cycles: int
) -> None:
    """Send beats through a freshly reset design for some cycles, and compare the results so far."""
    bench = Bench(dut, run)
    await bench.reset()
    bench.start(beats, sending, taking)
    await ClockCycles(dut.clk, cycles)
    bench.stop()
    bench.scoreboard.check()
    bench.count()
    bench.cover(reset=True)


def _unmarked(run: Run[MacConfig], number: int) -> Beats:
    """Return beats that start without ``first``; if ``number`` is odd, the first one has a result and scales of 0."""
    beats = stream.beats(run.config, 64, run.seed + number)
    beats.first[0] = False
    if number % 2:
        beats.last[0] = True
        for scales in (beats.weight_scales, beats.activation_scales):
            if scales is not None:
                scales[0] = 0
    return beats


@cocotb.test
async def playback(dut: Any) -> None:
    """A recorded stream of beats, such as a whole layer."""
    run = Run(MacConfig)
    assert run.playback
    await start_clock(dut)
    recording = Recording.load(Path(run.playback))
    bench = await _stream(dut, run, recording.beats, *recording.bursts())
    bench.cover()
