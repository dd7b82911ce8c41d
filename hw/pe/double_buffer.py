"""Double-buffered storage: weights, activations and output parameters are instances of it."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.hw.emit.emission import instantiate
from vsq.hw.pe.memory import MemoryShape, WordMemory


@dataclass(frozen=True)
class BufferShape:
    """The shape of a double buffer.

    Attributes:
        layout: Of one word.
        depth: Entries of one bank.
        ways: Words of an entry.
        registered: Whether a read takes 1 cycle and its result holds still until the next ``read``; else it is
            combinational and ``read`` has no effect.
    """

    layout: Any
    depth: int
    ways: int = 1
    registered: bool = True

    @property
    def memory(self) -> MemoryShape:
        """The shape of each way's memory, which holds both banks."""
        return MemoryShape(Shape.cast(self.layout).width, 2 << (self.depth - 1).bit_length(), self.registered)


class DoubleBuffer(wiring.Component):
    """Two banks of entries: one is read while the other one is filled from a stream, entry 0 first.

    An entry is as many words as there are ways; they arrive in turn, way 0 first, and are read together. Each way is
    a :class:`vsq.hw.pe.memory.WordMemory`. Throughput: one word per cycle in, one entry per cycle out.

    Members:
        i: In(stream of ``shape.layout``)
        load: In(1), take ``count`` entries, then wait for ``restart``
        count: In, entries to take, 1 .. ``shape.depth``; constant while ``load`` is high
        complete: Out(1), all of them are taken, or the last word is in this cycle
        restart: In(1), the load is over; in the cycle of its last word at the earliest
        bank: In(1), the bank that is read; the other one is filled
        read: In(1), read the entry ``address``
        address: In
        o: Out(words of the entry)
    """

    def __init__(self, shape: BufferShape):
        self.shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(shape.layout)),
                "load": In(1),
                "count": In(shape.depth.bit_length()),
                "complete": Out(1),
                "restart": In(1),
                "bank": In(1),
                "read": In(1),
                "address": In(range(shape.depth)),
                "o": Out(data.ArrayLayout(shape.layout, shape.ways)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory = self.shape.memory
        index = Signal.like(self.address)
        way = Signal(range(self.shape.ways))
        done = Signal()
        following = Signal.like(self.count)
        take = Signal()
        last_way = Signal()
        final = Signal()
        m.d.comb += [
            self.i.ready.eq(self.load & ~done),
            take.eq(self.i.valid & self.i.ready),
            last_way.eq(way == self.shape.ways - 1),
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
        for number in range(self.shape.ways):
            words = instantiate(m, platform, f"way{number}", memory.kind, lambda: WordMemory(memory))
            m.d.comb += [
                words.write.eq(take & (way == number)),
                words.write_address.eq(Cat(index, ~self.bank)),
                words.write_data.eq(self.i.payload),
                words.read.eq(self.read),
                words.read_address.eq(Cat(self.address, self.bank)),
                self.o[number].eq(words.read_data),
            ]
        return m
