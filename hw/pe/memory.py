"""Memories of the processing element: one module a shape, which an SRAM macro can stand in for."""

import re
from typing import NamedTuple, Self

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

# For Yosys and Quartus: no word is read in the cycle in which it is written.
_ATTRIBUTES = {"ramstyle": "no_rw_check"}


class MemoryShape(NamedTuple):
    """The shape of a memory.

    Attributes:
        width: Bits of a word.
        depth: Number of words, a power of two.
        registered: Whether a read takes 1 cycle and its result holds still until the next ``read``; else it is
            combinational and ``read`` has no effect.
    """

    width: int
    depth: int
    registered: bool = True

    @property
    def kind(self) -> str:
        """The shape's name: ``memory_<width>x<depth>``, and ``_async`` if a read is combinational."""
        return f"memory_{self.width}x{self.depth}{'' if self.registered else '_async'}"

    @classmethod
    def of(cls, kind: str) -> Self | None:
        """Return the shape of this name, or None if it is no shape's."""
        match = re.fullmatch(r"memory_(\d+)x(\d+)(_async)?", kind)
        return cls(int(match[1]), int(match[2]), match[3] is None) if match else None

    @property
    def bits(self) -> int:
        """Bits of all words."""
        return self.width * self.depth


def memory_members(shape: MemoryShape) -> dict[str, wiring.Member]:
    """Return the ports of a memory, the clock aside."""
    address = range(shape.depth)
    return {
        "write": In(1),
        "write_address": In(address),
        "write_data": In(shape.width),
        "read": In(1),
        "read_address": In(address),
        "read_data": Out(shape.width),
    }


class WordMemory(wiring.Component):
    """A memory with a port that writes whole words and a port that reads them, never one word at once.

    Members:
        write: In(1), at this clock edge the word ``write_address`` becomes ``write_data``
        write_address, write_data: In
        read: In(1), read the word ``read_address``
        read_address: In
        read_data: Out
    """

    def __init__(self, shape: MemoryShape):
        self.shape = shape
        super().__init__(memory_members(shape))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, depth, registered = self.shape
        m.submodules.words = words = memory.Memory(shape=width, depth=depth, init=[], attrs=_ATTRIBUTES)
        write, read = words.write_port(), words.read_port(domain="sync" if registered else "comb")
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        if registered:
            m.d.comb += read.en.eq(self.read)
        return m
