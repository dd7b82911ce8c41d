"""The vector MAC behind AXI4-Stream ports.

TDATA holds the fields of a beat or a result one after another from the least significant byte, each in whole bytes:
codes of a vector are packed as in the plain ports and padded at the end, and ``acc`` is sign-extended. TLAST marks the
last vector of an accumulation; the vector after it starts from 0. Each result is a packet of one transfer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.manifest import field
from vsq.hw.mac.streams import beat_layout, result_layout
from vsq.hw.mac.top import VectorMac

BYTE = 8
_MARKS = ("first", "last")


def tdata(layout: Mapping[str, Any]) -> Iterator[tuple[str, Shape, int]]:
    """Yield name, shape and lowest bit in TDATA of each field of a payload, marks aside."""
    low = 0
    for name, shape in layout.items():
        if name not in _MARKS:
            cast = Shape.cast(shape)
            yield name, cast, low
            low += -(-cast.width // BYTE) * BYTE


def tdata_bits(layout: Mapping[str, Any]) -> int:
    """Return the width of TDATA, whole bytes."""
    return sum(-(-shape.width // BYTE) * BYTE for _, shape, _ in tdata(layout))


def axis_signature(config: MacConfig) -> wiring.Signature:
    """Return the ports: vectors enter at ``s_axis``, results leave at ``m_axis``."""
    beat, result = tdata_bits(beat_layout(config).members), tdata_bits(result_layout(config).members)
    return wiring.Signature(
        {
            "s_axis_tdata": In(beat),
            "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1),
            "s_axis_tlast": In(1),
            "m_axis_tdata": Out(result),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
            "m_axis_tlast": Out(1),
        }
    )


class AxisMac(wiring.Component):
    """A vector MAC with AXI4-Stream ports: :class:`vsq.hw.mac.top.VectorMac`, with ``first`` = the vector before was
    ``last``.

    Latency and throughput are the MAC's. The ports obey AXI4-Stream's handshake, as the MAC's streams do: TVALID does
    not wait for TREADY, and TDATA is stable while TVALID waits.

    Args:
        config: The vector MAC.

    Source: AMBA AXI4-Stream Protocol Specification (Arm IHI 0051), section 2.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        super().__init__(axis_signature(config))

    def elaborate(self, platform: object) -> Module:
        """Wire the MAC."""
        m = Module()
        m.submodules.mac = mac = VectorMac(self.config)
        first = Signal(init=1)
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += first.eq(self.s_axis_tlast)
        beat, result = mac.i.payload.shape().members, mac.o.payload.shape().members
        fields = [self.s_axis_tdata[low : low + shape.width] for _, shape, low in tdata(beat)]
        m.d.comb += [
            mac.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(mac.i.ready),
            # The layout's order: fields as in TDATA, then the marks.
            mac.i.payload.as_value().eq(Cat(*fields, first, self.s_axis_tlast)),
            self.m_axis_tvalid.eq(mac.o.valid),
            mac.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(1),
        ]
        for name, shape, low in tdata(result):
            end = low + -(-shape.width // BYTE) * BYTE
            m.d.comb += self.m_axis_tdata[low:end].eq(mac.o.payload[name])
        return m


def axis_fields(config: MacConfig) -> dict[str, list[dict[str, Any]]]:
    """Return the manifest's entries of the fields of TDATA."""
    return {
        "s_axis_tdata": _fields(beat_layout(config), padding="not read"),
        "m_axis_tdata": _fields(result_layout(config), padding="sign"),
    }


def _fields(layout: data.StructLayout, padding: str) -> list[dict[str, Any]]:
    """Return the entries of the fields of TDATA, with what fills their last byte."""
    listed = []
    for name, shape, low in tdata(layout.members):
        entry = field(name, layout.members[name], low)
        entry["padding"] = {
            "width": -shape.width % BYTE,
            "value": padding if entry["signed"] or padding != "sign" else 0,
        }
        listed.append(entry)
    return listed
