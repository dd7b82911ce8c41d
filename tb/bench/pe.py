"""The cocotb tests of one processing element; they run inside the simulator and read the run's settings from a file.

``VSQ_RUN`` names a JSON file with ``config``, ``seed`` and ``beats``, which are commands here. Each test adds its
counts to ``counts.json`` in the working folder.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Streams
from vsq.golden.stimulus import commands as pe_stimulus
from vsq.tb.agents.pe import ResultMonitor
from vsq.tb.agents.pe_words import input_fields, input_words, result_fields
from vsq.tb.agents.streams import Driver, InputMonitor, Sink, flowing, random_bursts
from vsq.tb.bench.mac import Bursts, Run, start_clock
from vsq.tb.coverage import pe as pe_points
from vsq.tb.coverage.pe import PeTraffic
from vsq.tb.scoreboard.pe import PeScoreboard

_STEP = 64  # cycles between looks at the progress of a run
_HANG = 16  # steps without any transfer that end a run
_RESETS = 24
_STEADY_COMMANDS = 12
_WARM_UP = 2  # commands until loading, computing and handing out overlap
_HANDOVER = 8  # cycles that a command takes at most from stage to stage, beside its lanes' parameters and latency


class PeBench:
    """Agents and scoreboard around the design, from one reset to the next."""

    def __init__(self, dut: Any, config: PeConfig, seed: int) -> None:
        self._dut, self._config = dut, config
        self.scoreboard = PeScoreboard(config, f"{config.full_name}, seed {seed}")
        fields = input_fields(config)
        self._drivers = {stream: Driver(dut, stream, names) for stream, names in fields.items()}
        self._sink = Sink(dut, "result")
        self.outputs = ResultMonitor(dut, "result", result_fields(config), self.scoreboard.on_result)
        self.monitors: dict[str, InputMonitor | ResultMonitor] = {
            **{
                stream: InputMonitor(dut, stream, names, self.scoreboard.on_beat(stream))
                for stream, names in fields.items()
            },
            "result": self.outputs,
        }
        self._tasks: list[Task[Any]] = []

    async def reset(self) -> None:
        """Reset the design for a cycle and start the monitors; no result may survive."""
        self._dut.rst.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.rst.value = 0
        await FallingEdge(self._dut.clk)
        assert not self._dut.result_valid.value, "a result is offered after reset"
        await RisingEdge(self._dut.clk)
        self._tasks += [cocotb.start_soon(monitor.run()) for monitor in self.monitors.values()]

    def start(self, streams: Streams, sending: dict[str, Bursts], taking: Bursts) -> None:
        """Offer all beats and take results in the background."""
        words = input_words(self._config, streams)
        for stream, driver in self._drivers.items():
            self._tasks.append(cocotb.start_soon(driver.send(words[stream], sending[stream])))
        self._tasks.append(cocotb.start_soon(self._sink.run(taking)))

    async def finish(self, streams: Streams, results: int) -> None:
        """Wait until every beat is accepted and every result is taken, then make sure that none follows."""
        board = self.scoreboard
        goal = {stream: len(words) for stream, words in input_words(self._config, streams).items()}
        progress, idle = (dict.fromkeys(goal, 0), 0), 0
        while progress != (goal, results):
            await ClockCycles(self._dut.clk, _STEP)
            before, progress = progress, (dict(board.beats), board.results)
            idle = idle + 1 if before == progress else 0
            assert idle < _HANG, f"no transfer for {_HANG * _STEP} cycles: {progress} of {(goal, results)}"
        await ClockCycles(self._dut.clk, _STEP)
        self.stop()
        board.check()
        assert (board.beats, board.results) == (goal, results)

    def stop(self) -> None:
        """End the agents."""
        for task in self._tasks:
            task.cancel()

    def count(self, *, reset: bool = False) -> None:
        """Hand back this bench's counts and coverage; ``reset`` says whether a reset ended it."""
        board = self.scoreboard
        answered = board.answered
        traffic = PeTraffic(
            config=self._config,
            answered=answered,
            logs={stream: monitor.log for stream, monitor in self.monitors.items()},
            pending=board.beats["command"] - len(answered) if reset else None,
        )
        Run.add_coverage(pe_points.hits(traffic))
        Run.add_counts(
            beats=board.beats["command"], results=board.results, illegal=board.illegal, operands=board.operands
        )


def _pauses(rng: np.random.Generator, config: PeConfig) -> dict[str, Bursts]:
    """Return a rhythm of its own for every input stream."""
    streams = input_fields(config)
    return {stream: random_bursts(child) for stream, child in zip(streams, rng.spawn(len(streams)), strict=True)}


@cocotb.test
async def random_traffic(dut: Any) -> None:
    """Random commands, legal and not, back to back, with pauses and back-pressure on all five streams."""
    run = Run(PeConfig)
    streams, results = pe_stimulus.commands(run.config, run.beats, run.seed)
    await start_clock(dut)
    bench = PeBench(dut, run.config, run.seed)
    await bench.reset()
    bench.start(streams, _pauses(run.rng(0), run.config), random_bursts(run.rng(1)))
    await bench.finish(streams, sum(1 for _ in pe_stimulus.result_beats(run.config, results)))
    bench.count()
    expected = sum(result.illegal for result in results)
    assert bench.scoreboard.illegal == expected, f"{bench.scoreboard.illegal} illegal commands, not {expected}"


@cocotb.test
async def full_speed(dut: Any) -> None:
    """With streams that keep up, equal commands follow each other at the pace that the element's throughput promises.

    If rows and vectors are as many as lanes, this keeps the lanes busy in each cycle.
    """
    run = Run(PeConfig)
    config = run.config
    await start_clock(dut)
    bench = PeBench(dut, config, run.seed)
    await bench.reset()
    streams, results = pe_stimulus.steady(config, _STEADY_COMMANDS, run.seed)
    bench.start(streams, {stream: flowing() for stream in input_fields(config)}, flowing())
    await bench.finish(streams, sum(1 for _ in pe_stimulus.result_beats(config, results)))
    bench.count()
    ends = [
        cycle
        for cycle, beat in zip(bench.outputs.cycles, pe_stimulus.result_beats(config, results), strict=True)
        if beat["last"]
    ]
    command = streams.commands[0]
    rows, vectors, lanes = command.rows, command.vectors, config.lane_count
    pace, short = max(rows * vectors, lanes * vectors, rows * lanes), lanes + run.latency + _HANDOVER
    measured = (ends[-1] - ends[_WARM_UP]) / (len(ends) - 1 - _WARM_UP)
    cocotb.log.info("%.2f cycles a command, utilisation %.3f", measured, rows * vectors / measured)
    assert measured == pace or measured <= short, f"{measured} cycles a command, not {pace}"
    await _lone_commands(dut, run)


async def _lone_commands(dut: Any, run: Run[PeConfig]) -> None:
    """Check the cycles of the commands of :func:`vsq.golden.stimulus.commands.lone` on an idle element.

    A command of G reads gives its first accumulator G + latency + 3 cycles after its acceptance. The next one starts in
    the cycle after the last read, and the third one when the results of the first are taken. Neither raw beats nor the
    lanes of requantised vectors have a pause between them.
    """
    config = run.config
    lanes, size = config.lane_count, config.mac.vector_size
    streams, results, groups = pe_stimulus.lone(config, run.seed)
    bench = PeBench(dut, config, run.seed)
    await bench.reset()
    whole, short, *_, narrow = streams.commands
    beats, reads, loaded = list(pe_stimulus.result_beats(config, results)), short.vectors, whole.rows * lanes
    idle = lanes * (reads + narrow.rows) + 4 * run.latency + _STEP
    bursts = {stream: flowing() for stream in input_fields(config)} | {"command": iter([(idle, n) for n in groups])}
    bench.start(streams, bursts, flowing())
    await bench.finish(streams, len(beats))
    bench.count()

    _, start, *accepted = bench.monitors["command"].cycles
    due = [start + 1, start + 1 + reads]
    assert accepted[:2] == due, f"a command of {reads} reads in cycle {start}, then in {accepted[:2]}, not {due}"
    first, spacing = start + reads + run.latency + 3, max(reads, lanes)
    second = first + spacing
    third = max(second + spacing, first + lanes - 1 + reads + run.latency + 2)
    cycles = [begin + lane for begin in (first, second, third) for lane in range(lanes)]
    cycles += [accepted[2] + 1 + run.latency + 3 + lane for lane in range(narrow.rows * lanes)]
    raw, vectors = bench.outputs.cycles[loaded : loaded + len(cycles)], bench.outputs.cycles[loaded + len(cycles) :]
    assert raw == cycles, f"accumulators in cycles {raw}, not {cycles}"
    assert set(np.diff(vectors).tolist()) <= {size}, f"vectors in cycles {vectors}, not each {size}"


@cocotb.test
async def reset_in_flight(dut: Any) -> None:
    """A reset at any moment drops what is in flight and forgets what was loaded."""
    run = Run(PeConfig)
    config, rng = run.config, run.rng(2)
    await start_clock(dut)
    for number in range(_RESETS):
        streams, results = pe_stimulus.commands(config, 8, run.seed + number)
        bench = PeBench(dut, config, run.seed + number)
        await bench.reset()
        paused = number % 2 == 1
        sending = _pauses(rng, config) if paused else {stream: flowing() for stream in input_fields(config)}
        bench.start(streams, sending, random_bursts(rng))
        if number == _RESETS - 1:
            await bench.finish(streams, sum(1 for _ in pe_stimulus.result_beats(config, results)))
        else:
            await ClockCycles(dut.clk, int(rng.integers(1, 400 if paused else 100)))
            bench.stop()
            bench.scoreboard.check()
        bench.count(reset=number < _RESETS - 1)
