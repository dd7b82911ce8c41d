"""The cocotb tests of a bench that ships, for every variant of a design (:mod:`vsq.tb.mutation.mutants`).

Beside ``VSQ_RUN``, which is the bench's own, ``VSQ_VARIANTS`` is the number of variants. Each test of each variant is a
test of cocotb's, so that what it leaves running ends with it; the first one that fails is a variant's last.
"""

import os
from importlib import import_module
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from vsq.tb.bench.base import Run
from vsq.tb.regression.shell import FREEZING

_RUN = Run()
_ENVIRONMENT = _RUN.environment
_BENCH = import_module(_ENVIRONMENT.bench)
_alive = set(range(int(os.environ["VSQ_VARIANTS"])))  # variants that no test has found


def _of_variants(name: str) -> Any:
    """Return a test of the bench as one of each variant."""

    @cocotb.test(name=name)
    @cocotb.parametrize(variant=sorted(_alive))
    async def test(dut: Any, variant: int) -> None:
        if variant not in _alive:
            return
        _alive.remove(variant)
        clock = Clock(dut.clk, 2, unit="ns")
        clock.start()
        dut.variant.value = 0  # the variant before leaves nothing in the registers that have a reset
        dut.rst.value = 1
        for port in FREEZING if _RUN.config.mac.clock_enable else ():
            getattr(dut, port).value = 0  # as the variant before may leave them
        await ClockCycles(dut.clk, 2)
        clock.stop()
        dut.variant.value = variant
        await getattr(_BENCH, name).func(dut)
        _alive.add(variant)  # else the test has failed

    return test


for _name in _ENVIRONMENT.tests:
    globals()[_name] = _of_variants(_name)
