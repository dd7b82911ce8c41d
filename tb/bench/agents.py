"""Pin-level stream drivers, and monitors that sample accepted transfers.

Drivers write after the rising edge; monitors sample at the falling edge, where every signal has settled, and look again
just before the next rising edge, which takes a result. Words are packed before the simulation, so that a cycle costs a
few reads and writes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer

from vsq.golden.model.packing import Words
from vsq.tb.interface.base import DONT_CARE
from vsq.tb.interface.pace import READY, VALID, Bursts

PERIOD_NS = 2  # of the clock
_HOLD_PS = PERIOD_NS * 450  # from the falling edge to just before the rising one


class Driver:
    """Offers beats on an input stream; a pause already shows the next beat's payload, with ``valid`` low."""

    def __init__(self, dut: Any, stream: str, fields: Iterable[str]) -> None:
        self._clk, self._valid, self._ready = dut.clk, getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = [getattr(dut, f"{stream}_{name}") for name in fields]
        for pin in (self._valid, *self._fields):
            pin.value = 0

    async def send(self, words: Sequence[Words], bursts: Bursts) -> None:
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
                accepted = str(self._ready.value) == "1"  # the monitor reports what is undefined
                await RisingEdge(self._clk)
        self._valid.value = 0


class Sink:
    """Takes results from an output stream, with back-pressure."""

    def __init__(self, dut: Any, stream: str) -> None:
        self._clk, self._ready = dut.clk, getattr(dut, f"{stream}_ready")
        self._ready.value = 0

    async def run(self, bursts: Bursts) -> None:
        """Hold ``ready`` low in pauses and high in runs, for ever."""
        for pause, run in bursts:
            if pause:
                self._ready.value = 0
                await ClockCycles(self._clk, pause)
            self._ready.value = 1
            await ClockCycles(self._clk, run)


class Monitor:
    """A stream's ``valid`` and ``ready`` in every cycle, and the words of each transfer.

    Attributes:
        log: ``VALID | READY`` of each cycle since the monitor started.
    """

    def __init__(self, dut: Any, stream: str, fields: Iterable[str], on_transfer: Callable[[Words], None]) -> None:
        self._clk, self._stream, self._on_transfer = dut.clk, stream, on_transfer
        self._valid, self._ready = getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = {name: getattr(dut, f"{stream}_{name}") for name in fields}
        self.log = bytearray()

    @property
    def cycles(self) -> list[int]:
        """The numbers of the cycles in which a transfer took place."""
        return np.flatnonzero(np.frombuffer(self.log, np.uint8) == VALID | READY).tolist()

    async def run(self) -> NoReturn:
        """Watch for ever.

        Raises:
            AssertionError: If a handshake is undefined or broken.
        """
        while True:
            await FallingEdge(self._clk)
            pins = {"valid": self._valid.value, "ready": self._ready.value}
            try:
                shake = VALID * int(pins["valid"]) | READY * int(pins["ready"])
            except ValueError:
                port = next(port for port, value in pins.items() if not value.is_resolvable)
                text = f"cycle {len(self.log)}: {self._stream}_{port} is undefined ({pins[port]})"
                raise AssertionError(text) from None
            self.check(shake)
            self.log.append(shake)
            if shake == VALID | READY:
                self._on_transfer(self.words())
                await self.taken()

    def check(self, shake: int) -> None:
        """Check the cycle before its transfer."""

    async def taken(self) -> None:
        """Watch the rest of the cycle of a transfer."""

    def words(self) -> Words:
        """Return the words on offer, undefined ones as :data:`vsq.tb.interface.base.DONT_CARE`."""
        return tuple(map(_word, self._fields.values()))


def _word(field: Any) -> int:
    try:
        return int(field.value)
    except ValueError:
        return DONT_CARE


class ResultMonitor(Monitor):
    """A monitor that also holds every bit of a stalled payload to its value; ``ready`` counts only beside ``valid``."""

    _stalled: dict[str, str] | None = None

    def check(self, shake: int) -> None:
        """Check that what was offered and not taken has stayed."""
        offered = {name: str(field.value) for name, field in self._fields.items()} if shake & VALID else None
        if self._stalled is not None and offered != self._stalled:
            cycle, before = len(self.log), self._stalled
            raise AssertionError(f"cycle {cycle}: result {before} was offered, not taken, and became {offered}")
        self._stalled = None if shake & READY else offered

    async def taken(self) -> None:
        """Check that the payload stays until just before the edge that takes it, unlike a falling-edge register's."""
        words = self.words()
        await Timer(_HOLD_PS, "ps")
        if self.words() != words:
            raise AssertionError(f"cycle {len(self.log) - 1}: result {words} became {self.words()} before it was taken")
