"""Pin-level stream drivers, and monitors that sample accepted transfers.

Drivers write after the rising edge; monitors sample at the falling edge, where every signal has settled and is what the
next rising edge sees. Words are packed before the simulation, so that a cycle costs a few reads and writes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.golden.model.packing import pack
from vsq.golden.stimulus.stream import Beats
from vsq.tb.agents.pe_words import Words


def beat_fields(config: MacConfig) -> list[str]:
    """Return the names of a beat's ports after ``in_``, in the order of :func:`beat_words`."""
    scales = {"weight_scale": config.weight_scale, "activation_scale": config.activation_scale}
    return ["weights", "activations", *(name for name, fmt in scales.items() if fmt), "first", "last"]


def result_fields(config: MacConfig) -> list[str]:
    """Return the names of a result's ports after ``out_``."""
    return ["acc", "overflow"] if config.overflow == Overflow.SATURATE else ["acc"]


def beat_words(config: MacConfig, beats: Beats) -> list[Words]:
    """Return each beat as the words of its ports."""
    scales = [scale.tolist() for scale in (beats.weight_scales, beats.activation_scales) if scale is not None]
    elements = pack(beats.weights, config.weight), pack(beats.activations, config.activation)
    marks = beats.first.astype(int).tolist(), beats.last.astype(int).tolist()
    return list(zip(*elements, *scales, *marks, strict=True))


def flowing() -> Iterator[tuple[int, int]]:
    """Yield bursts without any pause."""
    while True:
        yield 0, 64


def random_bursts(rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield (cycles of pause, transfers or cycles of activity): flowing, sparse and bursty stretches in turn."""
    while True:
        longest_pause, longest_run, bursts = ((0, 64, 1), (4, 1, 24), (20, 20, 4))[rng.integers(3)]
        for _ in range(bursts):
            pause = int(rng.integers(1, longest_pause + 1)) if longest_pause else 0
            yield pause, int(rng.integers(1, longest_run + 1))


class Driver:
    """Offers beats on an input stream; a pause already shows the next beat's payload, with ``valid`` low."""

    def __init__(self, dut: Any, stream: str, fields: Sequence[str]) -> None:
        self._clk, self._valid, self._ready = dut.clk, getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = [getattr(dut, f"{stream}_{name}") for name in fields]
        self._valid.value = 0
        for field in self._fields:
            field.value = 0

    async def send(self, words: Sequence[Words], bursts: Iterator[tuple[int, int]]) -> None:
        """Offer every beat until it is accepted."""
        run = 0
        for beat in words:
            for field, word in zip(self._fields, beat, strict=True):
                field.value = word
            if run == 0:
                pause, run = next(bursts)
                if pause:
                    self._valid.value = 0
                    await ClockCycles(self._clk, pause)
            run -= 1
            self._valid.value = 1
            accepted = False
            while not accepted:
                await FallingEdge(self._clk)
                accepted = bool(self._ready.value)
                await RisingEdge(self._clk)
        self._valid.value = 0


class Sink:
    """Takes results from an output stream, with back-pressure."""

    def __init__(self, dut: Any, stream: str) -> None:
        self._clk, self._ready = dut.clk, getattr(dut, f"{stream}_ready")
        self._ready.value = 0

    async def run(self, bursts: Iterator[tuple[int, int]]) -> None:
        """Hold ``ready`` low in pauses and high in runs, for ever."""
        for pause, run in bursts:
            if pause:
                self._ready.value = 0
                await ClockCycles(self._clk, pause)
            self._ready.value = 1
            await ClockCycles(self._clk, run)


VALID, READY = 1, 2  # a cycle's handshake


class Handshakes:
    """A stream's ``valid`` and ``ready`` in every cycle, as a monitor samples them.

    Attributes
    ----------
    log
        ``VALID | READY`` of each cycle since the monitor started.
    """

    def __init__(self) -> None:
        self.log = bytearray()

    @property
    def cycles(self) -> list[int]:
        """The numbers of the cycles in which a transfer took place."""
        return np.flatnonzero(np.frombuffer(self.log, np.uint8) == VALID | READY).tolist()


class InputMonitor(Handshakes):
    """Hands every accepted beat to ``on_beat``."""

    def __init__(self, dut: Any, stream: str, fields: Sequence[str], on_beat: Callable[[Words], None]) -> None:
        self._clk, self._valid, self._ready = dut.clk, getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = [getattr(dut, f"{stream}_{name}") for name in fields]
        self._on_beat = on_beat
        super().__init__()

    async def run(self) -> NoReturn:
        """Watch for ever. Undefined control signals raise ``ValueError``."""
        while True:
            await FallingEdge(self._clk)
            shake = VALID * int(self._valid.value) | READY * int(self._ready.value)
            self.log.append(shake)
            if shake == VALID | READY:
                self._on_beat(tuple(int(field.value) for field in self._fields))


class OutputMonitor(Handshakes):
    """Hands every accepted result to ``on_result``, and holds every bit of a stalled payload to its value.

    ``ready`` counts only beside ``valid``.
    """

    def __init__(self, dut: Any, stream: str, fields: Sequence[str], on_result: Callable[[Words], None]) -> None:
        self._clk, self._valid, self._ready = dut.clk, getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = {name: getattr(dut, f"{stream}_{name}") for name in fields}
        self._on_result = on_result
        super().__init__()

    def payload(self) -> Words:
        """Return the words of the result on offer."""
        return tuple(int(field.value) for field in self._fields.values())

    async def run(self) -> NoReturn:
        """Watch for ever. Undefined signals raise ``ValueError``, a broken handshake ``AssertionError``."""
        stalled = None
        while True:
            await FallingEdge(self._clk)
            valid = bool(int(self._valid.value))
            offered = {name: str(field.value) for name, field in self._fields.items()} if valid else None
            if stalled is not None and offered != stalled:
                cycle = len(self.log)
                raise AssertionError(f"cycle {cycle}: result {stalled} was offered, not taken, and became {offered}")
            taken = valid and bool(int(self._ready.value))
            self.log.append(VALID * valid | READY * taken)
            stalled = None if taken else offered
            if taken:
                self._on_result(self.payload())
