"""A plain cocotb bench, for comparison of speed: what a verification engineer writes first.

Its shape is that of cocotb's matrix multiplier example: monitors that read every signal at each rising edge and queue
transactions, a tester with a model of one transaction in plain Python, and a driver that awaits every edge.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.task import Task
from cocotb.triggers import RisingEdge

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.elements import Format
from vsq.golden.model.packing import Field
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.mac import MacInterface


class StreamMonitor:
    """Queues every transaction of a stream.

    Args:
        clk, valid, ready: Handles.
        datas: Handles of the payload by name.
    """

    def __init__(self, clk: Any, valid: Any, ready: Any, datas: dict[str, Any]) -> None:
        self.values: Queue[dict[str, Any]] = Queue()
        self._clk, self._valid, self._ready, self._datas = clk, valid, ready, datas

    def start(self) -> Task[None]:
        """Watch in the background."""
        return cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await RisingEdge(self._clk)
            values = {name: handle.value for name, handle in self._datas.items()}
            if self._valid.value == 1 and self._ready.value == 1:
                self.values.put_nowait(values)


class Tester:
    """Compares the transactions of two monitors by a model of one vector."""

    def __init__(self, dut: Any, config: MacConfig) -> None:
        inputs = ("weights", "activations", "weight_scale", "activation_scale", "first", "last")
        self._config, self._acc, self.results = config, 0, 0
        self.input_mon = StreamMonitor(
            dut.clk, dut.in_valid, dut.in_ready, {name: getattr(dut, f"in_{name}") for name in inputs}
        )
        self.output_mon = StreamMonitor(dut.clk, dut.out_valid, dut.out_ready, {"acc": dut.out_acc})

    def start(self) -> None:
        """Watch and compare in the background."""
        self.input_mon.start()
        self.output_mon.start()
        cocotb.start_soon(self._check())

    def _lanes(self, word: Any, fmt: Format) -> list[int]:
        (codes,) = Field(fmt, self._config.vector_size).column([int(word)]).tolist()
        lanes: list[int] = codes
        return lanes

    def model(self, beat: dict[str, Any]) -> int:
        """Return the accumulator after one vector; the full scale product, no overflow."""
        weights = self._lanes(beat["weights"], self._config.weight)
        activations = self._lanes(beat["activations"], self._config.activation)
        dot = sum(w * a for w, a in zip(weights, activations, strict=True))
        start = 0 if int(beat["first"]) else self._acc
        return start + dot * int(beat["weight_scale"]) * int(beat["activation_scale"])

    async def _check(self) -> None:
        while True:
            beat = await self.input_mon.values.get()
            self._acc = self.model(beat)
            if int(beat["last"]):
                result = await self.output_mon.values.get()
                assert result["acc"].to_signed() == self._acc
                self.results += 1


@cocotb.test
async def playback(dut: Any) -> None:
    """Send a recorded stream, one beat a cycle."""
    recording = Recording.load(Path(json.loads(Path(os.environ["VSQ_RUN"]).read_text())["playback"]))
    config = MacConfig.parse(recording.config)
    interface = MacInterface(config)
    beats, fields = interface.stimulus(recording.streams), interface.inputs["in"].fields
    Clock(dut.clk, 2, unit="ns").start()
    dut.rst.value, dut.in_valid.value, dut.out_ready.value = 1, 0, 1
    for _ in range(2):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    tester = Tester(dut, config)
    tester.start()

    assert beats.weight_scales is not None
    assert beats.activation_scales is not None
    for number in range(len(beats)):
        dut.in_weights.value = fields["weights"].words(beats.weights[number : number + 1])[0]
        dut.in_activations.value = fields["activations"].words(beats.activations[number : number + 1])[0]
        dut.in_weight_scale.value = int(beats.weight_scales[number])
        dut.in_activation_scale.value = int(beats.activation_scales[number])
        dut.in_first.value = int(beats.first[number])
        dut.in_last.value = int(beats.last[number])
        dut.in_valid.value = 1
        await RisingEdge(dut.clk)
        while dut.in_ready.value != 1:
            await RisingEdge(dut.clk)
    dut.in_valid.value = 0
    for _ in range(16):
        await RisingEdge(dut.clk)
    assert tester.results == int(beats.last.sum())
