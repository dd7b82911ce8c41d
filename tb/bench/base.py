"""The test bench of any design: agents on its streams and a scoreboard, from one reset to the next."""

import json
import os
from collections import Counter
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from vsq.golden.contract.pe_config import configuration
from vsq.tb.bench.agents import PERIOD_NS, Monitor, send, silence, take
from vsq.tb.coverage.points import Hits, hits, merge
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.base import Streams, length
from vsq.tb.interface.pace import Bursts, flowing, random_bursts
from vsq.tb.regression.job import RECORDING

_STEP = 64  # cycles between looks at the progress of a run
_HANG = 1024  # cycles without any transfer that end a run


class Run:
    """One test: the settings of its simulation, and the counts and coverage that it hands back.

    ``VSQ_RUN`` names a JSON file with ``config``, ``seed``, ``beats``, ``latency``, ``playback``, ``simulator`` and
    ``rtl``. Each test adds its counts to ``counts.json`` and its functional coverage to ``coverage.json`` in the
    working folder.
    """

    def __init__(self, dut: Any = None) -> None:
        settings: dict[str, Any] = json.loads(Path(os.environ["VSQ_RUN"]).read_text())
        self.dut = dut
        self.config: Any = configuration(settings["config"])
        self.environment = environment(self.config)
        self.interface = self.environment.interface(self.config)
        self.seed: int = settings["seed"]
        self.beats: int = settings["beats"]
        self.latency: int = settings["latency"]
        self.playback: str | None = settings["playback"]
        self.about = {name: settings[name] for name in ("config", "seed", "simulator", "rtl")}

    def rng(self, test: int) -> np.random.Generator:
        """Return a test's own generator."""
        return np.random.default_rng([self.seed, test])

    def pauses(self, rng: np.random.Generator) -> dict[str, Bursts]:
        """Return a rhythm of its own for every input stream."""
        streams = self.interface.inputs
        return {stream: random_bursts(child) for stream, child in zip(streams, rng.spawn(len(streams)), strict=True)}

    @property
    def coverage(self) -> Hits:
        """The coverage of this simulation so far, of all bins that the configuration can reach."""
        return merge([self.environment.reachable(self.config), _read("coverage.json")])

    @staticmethod
    def add(counts: Mapping[str, int], coverage: Hits) -> None:
        """Add to the counts and the coverage of this simulation."""
        totals = Counter(_read("counts.json"))
        totals.update(counts)
        Path("counts.json").write_text(json.dumps(totals))
        Path("coverage.json").write_text(json.dumps(merge([_read("coverage.json"), coverage])))


def _read(name: str) -> Any:
    path = Path(name)
    return json.loads(path.read_text()) if path.exists() else {}


async def started(dut: Any) -> Run:
    """Start the clock and return the run just after a rising edge."""
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await RisingEdge(dut.clk)
    return Run(dut)


class Bench:
    """Agents and scoreboard around the design, from one reset to the next."""

    def __init__(self, run: Run) -> None:
        self._run, self._dut, interface = run, run.dut, run.interface
        self.scoreboard: Any = run.environment.scoreboard(run.config, f"{run.config.full_name}, seed {run.seed}")
        result, on_result = interface.result, self.scoreboard.on_result
        self.outputs = Monitor(run.dut, result, interface.output.fields, on_result, result=True)
        self.monitors = {
            name: Monitor(run.dut, name, layout.fields, partial(self.scoreboard.on_beat, name))
            for name, layout in interface.inputs.items()
        } | {result: self.outputs}
        self._tasks: list[Task[Any]] = []
        self._recorded: Path | None = None

    async def start(self, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts) -> None:
        """Reset the design for a cycle, which no result may survive; then offer beats and take results.

        The monitors start, and the streams are recorded in case that the test fails; one that ``sending`` lacks flows.
        """
        interface = self._run.interface
        silence(self._dut, interface)
        self._dut.rst.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await FallingEdge(self._dut.clk)
        port = f"{interface.result}_valid"
        if (offered := str(getattr(self._dut, port).value)) != "0":
            raise AssertionError(f"{port} is {offered} in the cycle after reset, not 0")
        await RisingEdge(self._dut.clk)
        sending = dict.fromkeys(streams, flowing()) | dict(sending)
        if not (path := Path(RECORDING)).exists():  # else it is of a test that failed before
            recording = Recording.drawn(streams, sending, taking, **self._run.about)
            recording.save(path)
            sending, taking = recording.bursts()
            self._recorded = path
        agents: list[Coroutine[Any, Any, None]] = [monitor.run() for monitor in self.monitors.values()]
        for name, layout in interface.inputs.items():
            agents.append(send(self._dut, name, layout.fields, layout.words(streams[name]), sending[name]))
        self._tasks = [cocotb.start_soon(agent) for agent in (*agents, take(self._dut, interface.result, taking))]

    async def stop(self, cycles: int) -> None:
        """End the agents after some cycles, and compare the results so far."""
        await ClockCycles(self._dut.clk, cycles)
        for task in self._tasks:
            task.cancel()
        self.scoreboard.check()

    def done(self, *, reset: bool = False) -> None:
        """Hand back counts and coverage, all being well; ``reset`` says whether a reset ends the run."""
        if self._recorded:
            self._recorded.unlink()
        logs = {stream: monitor.log for stream, monitor in self.monitors.items()}
        covered = hits(self._run.environment.points, self.scoreboard.traffic(logs, reset=reset))
        self._run.add({**self.scoreboard.counts, "cycles": len(self.outputs.log)}, covered)


async def stream(
    run: Run, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts, longest_pause: int = 0
) -> Bench:
    """Send beats through a freshly reset design until every result has come and is compared; return the bench.

    :meth:`Bench.done` is left to the test, which may find more.
    """
    cocotb.log.info("%s, seed %d", run.config.full_name, run.seed)
    bench, goal = Bench(run), {name: length(columns) for name, columns in streams.items()}
    await bench.start(streams, sending, taking)
    board, progress, idle = bench.scoreboard, None, 0
    while board.beats != goal or not board.complete:
        await ClockCycles(run.dut.clk, _STEP)
        before, progress = progress, (dict(board.beats), board.results)
        idle = idle + _STEP if before == progress else 0
        assert idle < _HANG + longest_pause, (
            f"no transfer for {idle} cycles: {board.beats} of {goal} beats, "
            f"{board.results} of {board.expected} results or more"
        )
    await bench.stop(_STEP)
    assert board.complete
    return bench


async def replay(dut: Any) -> None:
    """Replay a recording, such as a failure."""
    run = await started(dut)
    assert run.playback
    recording = Recording.load(Path(run.playback))
    bench = await stream(run, recording.streams, *recording.bursts())
    bench.done()
