"""The test bench of any design: agents on its streams and a scoreboard, from one reset to the next."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time

from vsq.golden.contract.configuration import configuration
from vsq.tb.bench.agents import PERIOD_NS, Driver, Monitor, ResultMonitor, Sink
from vsq.tb.coverage.points import Hits, hits, merge
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.base import Streams, length
from vsq.tb.interface.pace import Bursts, flowing, random_bursts
from vsq.tb.regression.job import RECORDING

_STEP = 64  # cycles between looks at the progress of a run
_HANG = 1024  # cycles without any transfer that end a run


class Run:
    """The settings of this simulation, and the counts and coverage that it hands back."""

    def __init__(self) -> None:
        settings: dict[str, Any] = json.loads(Path(os.environ["VSQ_RUN"]).read_text())
        self.config: Any = configuration(settings["config"])
        self.environment = environment(self.config)
        self.seed: int = settings["seed"]
        self.beats: int = settings["beats"]
        self.latency: int = settings["latency"]
        self.playback: str | None = settings["playback"]
        self.about = {name: settings[name] for name in ("config", "seed", "simulator", "rtl")}

    def rng(self, test: int) -> np.random.Generator:
        """Return a test's own generator."""
        return np.random.default_rng([self.seed, test])

    @property
    def coverage(self) -> Hits:
        """The coverage of this simulation so far, of all bins that the configuration can reach."""
        return merge([self.environment.reachable(self.config), _read("coverage.json")])

    @staticmethod
    def add_counts(counts: Mapping[str, int]) -> None:
        """Add to the counts of this simulation."""
        totals = _read("counts.json")
        totals.update((name, totals.get(name, 0) + count) for name, count in counts.items())
        Path("counts.json").write_text(json.dumps(totals))

    @staticmethod
    def add_coverage(hits: Hits) -> None:
        """Add to the coverage of this simulation."""
        Path("coverage.json").write_text(json.dumps(merge([_read("coverage.json"), hits])))


class Bench:
    """Agents and scoreboard around the design, from one reset to the next."""

    def __init__(self, dut: Any, run: Run) -> None:
        self._dut, self._run = dut, run
        self.interface = run.environment.interface(run.config)
        self.scoreboard: Any = run.environment.scoreboard(run.config, f"{run.config.full_name}, seed {run.seed}")
        inputs, result = self.interface.inputs, self.interface.result
        self._drivers = {stream: Driver(dut, stream, packed.fields) for stream, packed in inputs.items()}
        self._sink = Sink(dut, result)
        self.outputs = ResultMonitor(dut, result, self.interface.output.fields, self.scoreboard.on_result)
        self.monitors: dict[str, Monitor] = {
            stream: Monitor(dut, stream, packed.fields, self.scoreboard.on_beat(stream))
            for stream, packed in inputs.items()
        }
        self.monitors[result] = self.outputs
        self._tasks: list[Task[Any]] = []
        self._recorded, self._mine = Path(RECORDING), False

    async def reset(self) -> None:
        """Reset the design for a cycle and start the monitors; no result may survive."""
        self._dut.rst.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await FallingEdge(self._dut.clk)
        port = f"{self.interface.result}_valid"
        if (offered := str(getattr(self._dut, port).value)) != "0":
            raise AssertionError(f"{port} is {offered} in the cycle after reset, not 0")
        await RisingEdge(self._dut.clk)
        self._tasks += [cocotb.start_soon(monitor.run()) for monitor in self.monitors.values()]

    def start(self, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts) -> None:
        """Offer beats and take results in the background; the streams are recorded in case that the test fails."""
        if not self._recorded.exists():  # else it is of a test that failed before
            recording = Recording.drawn(streams, sending, taking, **self._run.about)
            recording.save(self._recorded)
            sending, taking = recording.bursts()
            self._mine = True
        for stream, driver in self._drivers.items():
            words = self.interface.inputs[stream].words(streams[stream])
            self._tasks.append(cocotb.start_soon(driver.send(words, sending[stream])))
        self._tasks.append(cocotb.start_soon(self._sink.run(taking)))

    async def finish(self, streams: Streams, longest_pause: int = 0) -> None:
        """Wait until every beat is accepted and every result is taken, then make sure that none follows."""
        board, goal = self.scoreboard, {stream: length(columns) for stream, columns in streams.items()}
        progress: tuple[dict[str, int], int] = ({}, 0)
        idle = 0
        while board.beats != goal or not board.complete:
            await ClockCycles(self._dut.clk, _STEP)
            before, progress = progress, (dict(board.beats), board.results)
            idle = idle + _STEP if before == progress else 0
            assert idle < _HANG + longest_pause, (
                f"no transfer for {idle} cycles: {board.beats} of {goal} beats, "
                f"{board.results} of {board.expected} results or more"
            )
        await ClockCycles(self._dut.clk, _STEP)
        self.stop()
        board.check()
        assert board.complete

    async def interrupted(self, cycles: int) -> None:
        """Wait for some cycles, stop, and hand back counts and coverage of a run that a reset ends."""
        await ClockCycles(self._dut.clk, cycles)
        self.stop()
        self.scoreboard.check()
        self.done(reset=True)

    def stop(self) -> None:
        """End the agents."""
        for task in self._tasks:
            task.cancel()

    def done(self, *, reset: bool = False) -> None:
        """Hand back counts and coverage, all being well; ``reset`` says whether a reset ends the run."""
        if self._mine:
            self._recorded.unlink()
        logs = {stream: monitor.log for stream, monitor in self.monitors.items()}
        covered = hits(self._run.environment.points, self.scoreboard.traffic(logs, reset=reset))
        self._run.add_counts(self.scoreboard.counts)
        self._run.add_coverage(covered)

    def pauses(self, rng: np.random.Generator) -> dict[str, Bursts]:
        """Return a rhythm of its own for every input stream."""
        streams = self.interface.inputs
        return {stream: random_bursts(child) for stream, child in zip(streams, rng.spawn(len(streams)), strict=True)}

    def without_pauses(self) -> dict[str, Iterator[tuple[int, int]]]:
        """Return bursts without pauses for every input stream."""
        return {stream: flowing() for stream in self.interface.inputs}


async def start_clock(dut: Any) -> None:
    """Start the clock and return just after a rising edge."""
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await RisingEdge(dut.clk)


async def stream(
    dut: Any,
    run: Run,
    streams: Streams,
    sending: Mapping[str, Bursts] | None,
    taking: Bursts,
    longest_pause: int = 0,
) -> Bench:
    """Send beats through a freshly reset design, compare every result, and return the bench; None is without pause.

    :meth:`Bench.done` is left to the test, which may find more.
    """
    cocotb.log.info("%s, seed %d", run.config.full_name, run.seed)
    bench = Bench(dut, run)
    await bench.reset()
    start = get_sim_time("ns")
    bench.start(streams, sending or bench.without_pauses(), taking)
    await bench.finish(streams, longest_pause)
    run.add_counts({"cycles": round((get_sim_time("ns") - start) / PERIOD_NS)})
    return bench


async def replay(dut: Any, run: Run) -> None:
    """Replay a recording, such as a failure."""
    assert run.playback
    await start_clock(dut)
    recording = Recording.load(Path(run.playback))
    bench = await stream(dut, run, recording.streams, *recording.bursts())
    bench.done()


def _read(name: str) -> Any:
    path = Path(name)
    return json.loads(path.read_text()) if path.exists() else {}
