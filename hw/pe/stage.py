"""A register on a stream."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Stage(wiring.Component):
    """A stream, one register later: it loads when it is empty or moves on in the same cycle, so bubbles close.

    Only validity is reset. Latency: 1 cycle. Throughput: 1 beat per cycle.

    Members:
        i, o: streams of ``layout``
    """

    def __init__(self, layout: Any):
        self.layout = layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        valid = Signal()
        held = Signal(self.layout, reset_less=True)
        m.d.comb += [self.i.ready.eq(~valid | self.o.ready), self.o.valid.eq(valid), self.o.payload.eq(held)]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += held.eq(self.i.payload)
        return m
