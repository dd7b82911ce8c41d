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
from vsq.tb.interface.base import DONT_CARE, Interface
from vsq.tb.interface.pace import READY, VALID, Bursts

PERIOD_NS = 2  # of the clock
_HOLD_PS = PERIOD_NS * 450  # from the falling edge to just before the rising one
_FREEZE_PS = PERIOD_NS * 100  # a quarter of what a disabled edge takes, all between those two


def silence(dut: Any, interface: Interface) -> None:
    """Offer nothing, and take no result."""
    fields = [f"{name}_{field}" for name, layout in interface.inputs.items() for field in ("valid", *layout.fields)]
    for pin in (*fields, f"{interface.result}_ready"):
        getattr(dut, pin).value = 0


async def freeze(dut: Any) -> NoReturn:
    """Disable the clock for an edge in each cycle, for ever: all that the monitors see later must be as without."""
    dut.frozen.value = dut.tick.value = 0
    while True:
        await FallingEdge(dut.clk)
        for pin, value in ((dut.frozen, 1), (dut.tick, 1), (dut.tick, 0), (dut.frozen, 0)):
            pin.value = value
            await Timer(_FREEZE_PS, "ps")


async def send(dut: Any, stream: str, fields: Iterable[str], words: Sequence[Words], bursts: Bursts) -> None:
    """Offer every beat until it is accepted; a pause already shows the next beat's payload, with ``valid`` low."""
    valid, ready = getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
    pins, run = [getattr(dut, f"{stream}_{name}") for name in fields], 0
    for beat in words:
        for pin, word in zip(pins, beat, strict=True):
            pin.value = word
        if run == 0:
            pause, run = next(bursts)
            if pause:
                valid.value = 0
                await ClockCycles(dut.clk, pause)
        run -= 1
        valid.value = 1
        accepted = False
        while not accepted:
            await FallingEdge(dut.clk)
            accepted = str(ready.value) == "1"  # the monitor reports what is undefined
            await RisingEdge(dut.clk)
    valid.value = 0


async def take(dut: Any, stream: str, bursts: Bursts) -> None:
    """Hold the ``ready`` of a result stream low in pauses and high in runs, for ever."""
    ready = getattr(dut, f"{stream}_ready")
    for pause, run in bursts:
        if pause:
            ready.value = 0
            await ClockCycles(dut.clk, pause)
        ready.value = 1
        await ClockCycles(dut.clk, run)


class Monitor:
    """A stream's ``valid`` and ``ready`` in every cycle, and the words of each transfer.

    Every bit of a ``result`` must stay while it waits, and then until just before the edge that takes it.

    Attributes:
        log: ``VALID | READY`` of each cycle in which the monitor watched.
    """

    def __init__(
        self,
        dut: Any,
        stream: str,
        fields: Iterable[str],
        on_transfer: Callable[[Words], None],
        *,
        result: bool = False,
    ) -> None:
        self._clk, self._stream, self._on_transfer, self._result = dut.clk, stream, on_transfer, result
        self._valid, self._ready = getattr(dut, f"{stream}_valid"), getattr(dut, f"{stream}_ready")
        self._fields = {name: getattr(dut, f"{stream}_{name}") for name in fields}
        self._stalled: dict[str, str] | None = None
        self.log = bytearray()

    @property
    def cycles(self) -> list[int]:
        """The numbers of the cycles in which a transfer took place."""
        return np.flatnonzero(np.frombuffer(self.log, np.uint8) == VALID | READY).tolist()

    async def run(self) -> NoReturn:
        """Watch for ever, or until a handshake is undefined or broken, which is an AssertionError."""
        while True:
            await FallingEdge(self._clk)
            pins = {"valid": self._valid.value, "ready": self._ready.value}
            try:
                shake = VALID * int(pins["valid"]) | READY * int(pins["ready"])
            except ValueError:
                port = next(port for port, value in pins.items() if not value.is_resolvable)
                text = f"cycle {len(self.log)}: {self._stream}_{port} is undefined ({pins[port]})"
                raise AssertionError(text) from None
            if self._result:
                self._check_stall(shake)
            self.log.append(shake)
            if shake == VALID | READY:
                words = self._words()
                self._on_transfer(words)
                if self._result:
                    await self._check_taken(words)

    def _words(self) -> Words:
        """Return the words on offer, undefined ones as :data:`vsq.tb.interface.base.DONT_CARE`."""
        return tuple(map(_word, self._fields.values()))

    def _check_stall(self, shake: int) -> None:
        offered = {name: str(field.value) for name, field in self._fields.items()} if shake & VALID else None
        if self._stalled is not None and offered != self._stalled:
            cycle, before = len(self.log), self._stalled
            raise AssertionError(f"cycle {cycle}: result {before} was offered, not taken, and became {offered}")
        self._stalled = None if shake & READY else offered

    async def _check_taken(self, words: Words) -> None:
        """Look again just before the edge: a register that loads at the falling edge has changed by then."""
        await Timer(_HOLD_PS, "ps")
        if (later := self._words()) != words:
            raise AssertionError(f"cycle {len(self.log) - 1}: result {words} became {later} before it was taken")


def _word(field: Any) -> int:
    try:
        return int(field.value)
    except ValueError:
        return DONT_CARE
