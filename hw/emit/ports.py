"""Ports of the top module: plain ones, or AXI4-Stream around a vector MAC."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Shape, ShapeLike, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.manifest import Port, field
from vsq.hw.emit.skid import entrance
from vsq.hw.mac.shapes import beat_layout, result_layout
from vsq.hw.mac.top import VectorMac

BYTE = 8


def plain_ports(signature: wiring.Signature, prefixes: Mapping[str, str]) -> dict[str, Port]:
    """Return ports by name, clock and reset aside: each stream's handshake and payload fields.

    Args:
        signature: Of a component all of whose members are streams of structures.
        prefixes: What the names of a stream's ports start with, if not with the member's name.
    """
    ports = {}
    for member, about in signature.members.items():
        flow, back = (In, Out) if about.flow == In else (Out, In)
        shapes = {"valid": 1, "ready": 1, **about.signature.members["payload"].shape.members}
        for name, shape in shapes.items():
            plain = shape.size if isinstance(shape, data.Layout) else shape
            port = Port((back if name == "ready" else flow)(plain), [field(name, shape)])
            ports[f"{prefixes.get(member, member)}_{name}"] = port
    return ports


class PlainPorts(wiring.Component):
    """A component whose streams are single ports, such as ``in_valid``, ``in_weights``, ..., ``out_acc``.

    Vectors are packed with element 0 in the least significant bits. If ``registered``, the inputs' ``ready`` come from
    registers (:class:`vsq.hw.emit.skid.SkidBuffer`).
    """

    def __init__(
        self, component: wiring.Component, instance: str, prefixes: Mapping[str, str], *, registered: bool = False
    ):
        self.component, self.instance, self.prefixes, self.registered = component, instance, prefixes, registered
        ports = plain_ports(component.signature, prefixes)
        super().__init__({name: port.member for name, port in ports.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules[self.instance] = self.component
        for member, about in self.component.signature.members.items():
            prefix, stream = self.prefixes.get(member, member), getattr(self.component, member)
            ports = {name: getattr(self, f"{prefix}_{name}") for name in stream.payload.shape().members}
            valid, ready = getattr(self, f"{prefix}_valid"), getattr(self, f"{prefix}_ready")
            if about.flow == In:
                stream = entrance(m, f"{prefix}_skid", stream, registered=self.registered)
                m.d.comb += [
                    stream.valid.eq(valid),
                    ready.eq(stream.ready),
                    # One assignment of the whole payload keeps the ports' names on the modules inside.
                    stream.payload.as_value().eq(Cat(ports.values())),
                ]
            else:
                m.d.comb += [
                    valid.eq(stream.valid),
                    stream.ready.eq(ready),
                    *(port.eq(stream.payload[name]) for name, port in ports.items()),
                ]
        return m


def tdata_layout(payload: data.StructLayout) -> data.FlexibleLayout:
    """Return TDATA: a payload's fields, marks aside, one after another from the least significant byte."""
    fields, low = {}, 0
    for name, shape in payload.members.items():
        if name not in ("first", "last"):
            fields[name] = data.Field(shape, low)
            low += _whole_bytes(shape)
    return data.FlexibleLayout(low, fields)


def _whole_bytes(shape: ShapeLike) -> int:
    """Return the bits that a field takes in TDATA."""
    width: int = Shape.cast(shape).width
    return -(-width // BYTE) * BYTE


def axis_signature(config: MacConfig) -> wiring.Signature:
    """Return the ports: vectors enter at ``s_axis``, results leave at ``m_axis``."""
    return wiring.Signature(
        {
            "s_axis_tdata": In(tdata_layout(beat_layout(config)).size),
            "s_axis_tvalid": In(1),
            "s_axis_tready": Out(1),
            "s_axis_tlast": In(1),
            "m_axis_tdata": Out(tdata_layout(result_layout(config)).size),
            "m_axis_tvalid": Out(1),
            "m_axis_tready": In(1),
            "m_axis_tlast": Out(1),
        }
    )


class AxisMac(wiring.Component):
    """A vector MAC with AXI4-Stream ports: :class:`vsq.hw.mac.top.VectorMac`, with ``first`` = the vector before was
    ``last``.

    TDATA holds the fields of a beat or a result in whole bytes: codes of a vector are packed as in the plain ports and
    padded at the end, and ``acc`` is sign-extended. TLAST marks the last vector of an accumulation; the vector after it
    starts from 0. Each result is a packet of one transfer.

    Latency and throughput are the MAC's. The ports obey AXI4-Stream's handshake, as the MAC's streams do: TVALID does
    not wait for TREADY, and TDATA is stable while TVALID waits.

    Source: AMBA AXI4-Stream Protocol Specification (Arm IHI 0051), section 2.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        super().__init__(axis_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.mac = mac = VectorMac(self.config)
        vectors = entrance(m, "s_axis_skid", mac.i, registered=self.config.registered_ready)
        first = Signal(init=1)
        with m.If(self.s_axis_tvalid & self.s_axis_tready):
            m.d.sync += first.eq(self.s_axis_tlast)
        beat, result = (tdata_layout(layout(self.config)) for layout in (beat_layout, result_layout))
        m.d.comb += [
            vectors.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(vectors.ready),
            # The layout's order: fields as in TDATA, then the marks.
            vectors.payload.as_value().eq(
                Cat(*(beat(self.s_axis_tdata)[name] for name, _ in beat), first, self.s_axis_tlast)
            ),
            self.m_axis_tvalid.eq(mac.o.valid),
            mac.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(1),
        ]
        for name, place in result:
            end = place.offset + _whole_bytes(place.shape)
            m.d.comb += self.m_axis_tdata[place.offset : end].eq(mac.o.payload[name])
        return m


def axis_ports(config: MacConfig) -> dict[str, Port]:
    """Return ports by name, clock and reset aside; the fields of TDATA have what fills their last byte."""
    beat, result = _fields(beat_layout(config), "not read"), _fields(result_layout(config), "sign")
    fields = {"s_axis_tdata": beat, "m_axis_tdata": result}
    return {
        name: Port(member, fields.get(name, [field(name, member.shape)]))
        for name, member in axis_signature(config).members.items()
    }


def _fields(payload: data.StructLayout, padding: str) -> list[dict[str, Any]]:
    listed = []
    for name, place in tdata_layout(payload):
        entry = field(name, place.shape, place.offset)
        value = padding if entry["signed"] or padding != "sign" else 0
        listed.append({**entry, "padding": {"width": _whole_bytes(place.shape) - place.width, "value": value}})
    return listed
