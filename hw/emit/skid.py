"""Skid buffers: streams whose ``ready`` comes from a register, at full throughput and without latency."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class SkidBuffer(wiring.Component):
    """A place for the beat that is accepted as the stream behind stops: ``i.ready`` need not follow ``o.ready``.

    ``i.ready`` is a register: the place is empty. Beats pass by it if it is, and it loads one only if that has to wait.

    Latency: 0. Throughput: one beat per cycle.

    Members:
        i: In(stream of ``shape``)
        o: Out(stream of ``shape``)
    """

    def __init__(self, shape: data.StructLayout):
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        empty = Signal(init=1)
        held = Signal(self.shape, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(empty),
            self.o.valid.eq(self.i.valid | ~empty),
            # Field by field, so that each keeps its name on the modules behind.
            self.o.payload.as_value().eq(
                Cat(Mux(empty, self.i.payload[name], held[name]) for name in self.shape.members)
            ),
        ]
        m.d.sync += empty.eq(self.o.ready | ~self.o.valid)
        with m.If(empty & self.i.valid & ~self.o.ready):
            m.d.sync += held.eq(self.i.payload)
        return m


def entrance(m: Module, name: str, sink: Any, *, registered: bool) -> Any:
    """Return the stream by which beats enter ``sink``: itself, or of a skid buffer ``name`` in front of it."""
    if not registered:
        return sink
    m.submodules[name] = buffer = SkidBuffer(sink.payload.shape())
    wiring.connect(m, buffer.o, sink)
    return buffer.i
