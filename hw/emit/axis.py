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
from vsq.hw.emit import emission
from vsq.hw.emit.mac import PARTS
from vsq.hw.emit.mac_manifest import clocking, describe_port, field
from vsq.hw.emit.mac_manifest import manifest as mac_manifest
from vsq.hw.mac.streams import beat_layout, result_layout
from vsq.hw.mac.top import VectorMac

BYTE = 8
_MARKS = ("first", "last")
_MEANING = {
    "s_axis_tdata": "a vector",
    "s_axis_tvalid": "a vector is offered",
    "s_axis_tready": "it is taken at this clock edge",
    "s_axis_tlast": "a result leaves after this vector, and the next one starts from 0",
    "m_axis_tdata": "a result",
    "m_axis_tvalid": "a result is offered",
    "m_axis_tready": "it is taken at this clock edge",
    "m_axis_tlast": "always: each result is a packet",
}
_WAIVERS = {"UNUSEDSIGNAL": "the padding of TDATA is not read"}


def default_name(config: MacConfig) -> str:
    """Return the top module's default name."""
    return f"vsq_mac_axis_{config.slug}"


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

    Parameters
    ----------
    config
        The vector MAC.

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
            m.d.comb += self.m_axis_tdata[low:end].eq(getattr(mac.o.payload, name))
        return m


def emit(config: MacConfig, name: str | None = None) -> str:
    """Return the MAC with AXI4-Stream ports as Verilog text, as :func:`vsq.hw.emit.mac.emit` does with plain ports.

    Raises
    ------
    vsq.hw.emit.yosys.YosysError
        If Yosys refuses the design.
    """
    title = f"block-scaled vector MAC {config.full_name} with AXI4-Stream ports"
    return emission.verilog(AxisMac(config), name or default_name(config), PARTS, title, _WAIVERS)


def manifest(config: MacConfig, name: str | None = None) -> dict[str, Any]:
    """Return the manifest: that of the plain MAC, with these ports; those of TDATA list their fields."""
    about = mac_manifest(config, name or default_name(config))
    layouts = {"s_axis_tdata": beat_layout(config), "m_axis_tdata": result_layout(config)}
    listed = clocking()
    for port, member in axis_signature(config).members.items():
        fields = [field(port, member.shape)]
        if port in layouts:
            fields = _fields(layouts[port], padding="sign" if port.startswith("m_") else "not read")
        listed.append(describe_port(port, member, _MEANING[port], fields))
    return {**about, "interface": "AXI4-Stream", "ports": listed}


def _fields(layout: data.StructLayout, padding: str) -> list[dict[str, Any]]:
    """Return the layouts of the fields of TDATA."""
    listed = []
    for name, shape, low in tdata(layout.members):
        entry = field(name, layout.members[name], low)
        entry["padding"] = {
            "width": -shape.width % BYTE,
            "value": padding if entry["signed"] or padding != "sign" else 0,
        }
        listed.append(entry)
    return listed
