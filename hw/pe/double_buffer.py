"""Double-buffered storage: weights, activations and output parameters are instances of it."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out


class DoubleBuffer(wiring.Component):
    """Two banks of entries: one is read while the other one is filled from a stream, entry 0 first.

    An entry is as many words as there are ways; they arrive in turn, way 0 first, and are read together. Each way is a
    memory of its own. Throughput: one word per cycle in, one entry per cycle out.

    Args:
        layout: Of one word.
        depth: Entries of one bank.
        ways: Words of an entry.
        registered: Whether a read takes 1 cycle and its result holds still until the next ``read``; else it is
            combinational and ``read`` has no effect.

    Members:
        i: In(stream of ``layout``)
        load: In(1), take ``count`` entries, then wait for ``restart``
        count: In, entries to take, 1 .. depth; constant while ``load`` is high
        complete: Out(1), all of them are taken, or the last word is in this cycle
        restart: In(1), the load is over; in the cycle of its last word at the earliest
        bank: In(1), the bank that is read; the other one is filled
        read: In(1), read the entry ``address``
        address: In
        o: Out(words of the entry)
    """

    def __init__(self, layout: Any, depth: int, *, ways: int = 1, registered: bool = True):
        self.layout, self.depth, self.ways, self.registered = layout, depth, ways, registered
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "load": In(1),
                "count": In(depth.bit_length()),
                "complete": Out(1),
                "restart": In(1),
                "bank": In(1),
                "read": In(1),
                "address": In(range(depth)),
                "o": Out(data.ArrayLayout(layout, ways)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        index, way, done = Signal.like(self.address), Signal(range(self.ways)), Signal()
        following = Signal.like(self.count)
        take, last_way, final = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(self.load & ~done),
            take.eq(self.i.valid & self.i.ready),
            last_way.eq(way == self.ways - 1),
            following.eq(index + 1),
            final.eq(last_way & (following == self.count)),
            self.complete.eq(done | (take & final)),
        ]
        with m.If(take):
            m.d.sync += [way.eq(way + 1), done.eq(final)]
            with m.If(last_way):
                m.d.sync += [way.eq(0), index.eq(following)]
            with m.If(final):
                m.d.sync += index.eq(0)
        with m.If(self.restart):
            m.d.sync += done.eq(0)
        for number in range(self.ways):
            m.submodules[f"way{number}"] = words = memory.Memory(shape=self.layout, depth=2 << len(index), init=[])
            write, read = words.write_port(), words.read_port(domain="sync" if self.registered else "comb")
            m.d.comb += [
                write.en.eq(take & (way == number)),
                write.addr.eq(Cat(index, ~self.bank)),
                write.data.eq(self.i.payload),
                read.addr.eq(Cat(self.address, self.bank)),
                self.o[number].eq(read.data),
            ]
            if self.registered:
                m.d.comb += read.en.eq(self.read)
        return m
