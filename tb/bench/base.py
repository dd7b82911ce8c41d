"""The test bench of any design: agents on its streams and a scoreboard, from one reset to the next."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer

from vsq.golden.contract.config import Reset
from vsq.golden.contract.pe_config import configuration
from vsq.tb.agents import Agents
from vsq.tb.bench.agents import PERIOD_NS, freeze, silence
from vsq.tb.coverage.points import Hits, hits, merge
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.base import Streams
from vsq.tb.interface.pace import Bursts, flowing, random_bursts
from vsq.tb.regression.job import RECORDING


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
    run = Run(dut)
    silence(dut, run.interface)  # before the first edge, which a design without reset takes
    Clock(dut.clk, PERIOD_NS, unit="ns").start(start_high=False)
    if run.config.mac.reset == Reset.NONE:
        await Timer(PERIOD_NS * 250, "ps")
        _check_start(run, "at power-up")
    await RisingEdge(dut.clk)
    if run.config.mac.clock_enable:
        cocotb.start_soon(freeze(dut))
    return run


def _check_start(run: Run, when: str) -> None:
    """Check that no result is offered, and that each stream is taken whose ``ready`` only beats can end."""
    first, *others = (f"{name}_ready" for name in run.interface.inputs)
    ready = [first, *(others if run.config.mac.registered_ready else ())]
    for port, value in {f"{run.interface.result}_valid": "0", **dict.fromkeys(ready, "1")}.items():
        if (found := str(getattr(run.dut, port).value)) != value:
            raise AssertionError(f"{port} is {found} {when}, not {value}")


class Bench:
    """Agents and scoreboard around the design, from one reset to the next."""

    def __init__(self, run: Run) -> None:
        self._run, self._dut = run, run.dut
        context = f"{run.config.full_name}, seed {run.seed}"
        self._agents = Agents(run.dut, run.config, context, covered=True)
        self.scoreboard, self.outputs = self._agents.scoreboard, self._agents.outputs
        self.monitors = self._agents.monitors
        self._recorded: Path | None = None

    async def start(self, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts) -> None:
        """Reset the design for a cycle, which no result may survive; then offer beats and take results.

        A design without reset is at power-up, or has given all results of streams after which the next one loads all.

        The monitors start, and the streams are recorded in case that the test fails; one that ``sending`` lacks flows.
        """
        self._agents.silence()
        self._dut.rst.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await FallingEdge(self._dut.clk)
        _check_start(self._run, "in the cycle after reset")
        await RisingEdge(self._dut.clk)
        sending = dict.fromkeys(streams, flowing()) | dict(sending)
        if not (path := Path(RECORDING)).exists():  # else it is of a test that failed before
            recording = Recording.drawn(streams, sending, taking, **self._run.about)
            recording.save(path)
            sending, taking = recording.bursts()
            self._recorded = path
        self._agents.start(streams, sending, taking)

    async def stop(self, cycles: int) -> None:
        """End the agents after some cycles, and compare the results so far."""
        await self._agents.stop(cycles)

    async def finish(self, streams: Streams, longest_pause: int) -> None:
        """Wait until every beat is accepted and every result compared."""
        await self._agents.finish(streams, longest_pause)

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
    bench = Bench(run)
    await bench.start(streams, sending, taking)
    await bench.finish(streams, longest_pause)
    return bench


async def replay(dut: Any) -> None:
    """Replay a recording, such as a failure."""
    run = await started(dut)
    assert run.playback
    recording = Recording.load(Path(run.playback))
    bench = await stream(run, recording.streams, *recording.bursts())
    bench.done()
