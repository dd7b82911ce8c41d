"""Parts of a cocotb bench around a generated design with plain ports: drivers, monitors, golden model and scoreboard.

The names in ``__all__`` are public. The benches of ``vsq regress`` are made of them too.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import cocotb
import numpy as np
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge

from vsq.golden.contract.pe_config import Configuration, configuration
from vsq.tb.bench.agents import Monitor, send, silence, take
from vsq.tb.designs import environment
from vsq.tb.interface.base import Streams, length
from vsq.tb.interface.pace import Bursts, flowing, random_bursts

__all__ = ["Agents", "flowing", "random_bursts", "stimulus"]

_STEP = 64  # cycles between looks at the progress of a run
_HANG = 1024  # cycles without any transfer that end a run


def stimulus(config: Configuration, count: int, seed: int) -> Any:
    """Return random vectors of a MAC, or commands of a processing element with their data, that reach the corners.

    Commands are for an element after reset; :meth:`Agents.stimulus` knows what it holds.
    """
    return environment(config).scoreboard(config, "").stimulus(count, seed)


class Agents:
    """Drivers, monitors and scoreboard on the streams of one design.

    What the monitors of the inputs see is what the golden model computes, and the scoreboard compares each result that
    the result's monitor sees, bit by bit; a mismatch is an AssertionError, and so is a handshake that is broken or
    undefined. The clock is the port ``clk``, which the test starts. Runs follow each other, with or without a reset
    between them; scoreboard and monitors are new after :meth:`reset`.

    Args:
        dut: Cocotb's handle of the design.
        config: Its configuration, or the text of one.
        context: What the report of a mismatch starts with.
        covered: Whether the traffic is kept for coverage points, which takes memory.

    Attributes:
        interface: The design's streams: :class:`vsq.tb.interface.base.Interface`.
        scoreboard: The model and the comparison: :class:`vsq.tb.scoreboard.base.Scoreboard`.
        monitors: Of each stream by name.
        outputs: That of the results.
    """

    def __init__(self, dut: Any, config: Configuration | str, context: str = "", *, covered: bool = False) -> None:
        self._dut, self.config = dut, configuration(config)
        kind = environment(self.config)
        self.interface: Any = kind.interface(self.config)
        self._board = partial(kind.scoreboard, self.config, context or self.config.full_name, covered=covered)
        self._tasks: list[Task[Any]] = []
        self._observe()

    def _observe(self) -> None:
        """Make the scoreboard of a design in the state after reset, and the monitors that feed it."""
        self.scoreboard: Any = self._board()
        self._before = dict(self.scoreboard.beats)  # the latest start
        result, board = self.interface.result, self.scoreboard
        self.outputs = Monitor(self._dut, result, self.interface.output.fields, board.on_result, result=True)
        self.monitors = {
            name: Monitor(self._dut, name, layout.fields, partial(board.on_beat, name))
            for name, layout in self.interface.inputs.items()
        } | {result: self.outputs}

    def stimulus(self, count: int, seed: int) -> Any:
        """Return what :func:`stimulus` does, for a design in the state that the runs so far leave.

        What a processing element holds decides which commands are legal, and so how many beats they take.
        """
        return self.scoreboard.stimulus(count, seed)

    def silence(self) -> None:
        """Offer nothing, and take no result."""
        silence(self._dut, self.interface)

    async def reset(self, port: Any, active: int = 1) -> None:
        """Reset the design for a cycle by a port, which is then inactive."""
        self.silence()
        port.value = active
        await RisingEdge(self._dut.clk)
        port.value = 1 - active
        await RisingEdge(self._dut.clk)
        self._observe()

    def start(self, streams: Streams, sending: Mapping[str, Bursts], taking: Bursts) -> None:
        """Start the monitors, and a driver on each stream.

        Args:
            streams: The beats of each input stream, as ``interface.streams(stimulus)`` returns them.
            sending: The rhythm of each input stream; one that it lacks flows.
            taking: The rhythm in which results are taken.
        """
        self._before = dict(self.scoreboard.beats)
        rhythms = dict.fromkeys(streams, flowing()) | dict(sending)
        drivers = [
            send(self._dut, name, layout.fields, layout.words(streams[name]), rhythms[name])
            for name, layout in self.interface.inputs.items()
        ]
        taker = take(self._dut, self.interface.result, taking)
        monitors = [monitor.run() for monitor in self.monitors.values()]
        self._tasks = [cocotb.start_soon(agent) for agent in (*monitors, *drivers, taker)]

    async def finish(self, streams: Streams, longest_pause: int = 0) -> None:
        """Wait until every beat of the streams is accepted and every result compared; a hang is an AssertionError."""
        board, goal = self.scoreboard, {name: self._before[name] + length(beats) for name, beats in streams.items()}
        progress, idle = None, 0
        while board.beats != goal or not board.complete:
            await ClockCycles(self._dut.clk, _STEP)
            before, progress = progress, (dict(board.beats), board.results)
            idle = idle + _STEP if before == progress else 0
            assert idle < _HANG + longest_pause, (
                f"no transfer for {idle} cycles: {board.beats} of {goal} beats, "
                f"{board.results} of {board.expected} results or more"
            )
        await self.stop(_STEP)
        assert board.complete

    async def stop(self, cycles: int) -> None:
        """End the agents after some cycles, and compare the results so far."""
        await ClockCycles(self._dut.clk, cycles)
        for task in self._tasks:
            task.cancel()
        self.scoreboard.check()

    async def run(
        self,
        stimulus: Any,
        sending: Mapping[str, Bursts] | None = None,
        taking: Bursts | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        """Send stimulus through the design until all results are compared.

        Without ``sending`` and ``taking`` nothing pauses, or with a ``seed`` every stream does, at random.
        """
        streams = self.interface.streams(stimulus)
        if seed is not None:
            first, *others = np.random.default_rng(seed).spawn(1 + len(streams))
            taking = taking or random_bursts(first)
            drawn = {name: random_bursts(rng) for name, rng in zip(streams, others, strict=True)}
            sending = {**drawn, **(sending or {})}
        self.start(streams, sending or {}, taking or flowing())
        await self.finish(streams)
