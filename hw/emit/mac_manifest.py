"""The manifest beside emitted Verilog: what Verilog's ports do not say."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from amaranth.hdl import Shape, ShapeLike, unsigned
from amaranth.lib import data, wiring

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import VERSION
from vsq.hw.emit.mac import default_name, plain_ports
from vsq.hw.mac.ranges import dot_shape, factor_max, term_shape
from vsq.hw.mac.stages import THROUGHPUT, latency, scaled
from vsq.hw.mac.streams import beat_layout, result_layout

_MEANING = {
    "in_valid": "a vector is offered",
    "in_ready": "it is taken at this clock edge",
    "in_weights": "weight codes",
    "in_activations": "activation codes",
    "in_weight_scale": "per-vector weight scale",
    "in_activation_scale": "per-vector activation scale",
    "in_first": "the accumulator starts from 0 with this vector",
    "in_last": "a result leaves after this vector",
    "out_valid": "a result is offered",
    "out_ready": "it is taken at this clock edge",
    "out_acc": "accumulator",
    "out_overflow": "the accumulator saturated since the last vector marked first",
}


def manifest(config: MacConfig, name: str | None = None) -> dict[str, Any]:
    """Return the manifest of the MAC as emitted, ready for JSON.

    It holds every port with width, signedness and the layout of its fields, the widths inside, latency (cycles from an
    accepted last vector to its valid result) and throughput (vectors per cycle), the scale shift s of
    ``y = acc * 2^s * gamma_w * gamma_a``, and the versions that made it.
    """
    ports = plain_ports(config)
    return {
        "name": name or default_name(config),
        **common(
            config.full_name,
            [
                *describe_stream("in", beat_layout(config), ports, _MEANING),
                *describe_stream("out", result_layout(config), ports, _MEANING),
            ],
        ),
        "widths": {
            "d": dot_shape(config).width,
            "p": config.full_product_bits,
            "r": factor_max(config).bit_length() if scaled(config) else 0,
            "t": term_shape(config).width,
            "acc": config.acc_bits,
        },
        "latency_cycles": latency(config),
        "throughput_vectors_per_cycle": THROUGHPUT,
        "scale_shift": config.scale_shift,
        "rounding": str(config.rounding),
        "overflow": str(config.overflow),
        "result": "y = acc * 2^scale_shift * gamma_w * gamma_a",
    }


def common(configuration: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what every manifest holds: clocking, handshake, ports, versions."""
    return {
        "configuration": configuration,
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "handshake": "a transfer happens at a clock edge with valid and ready; payload is stable while valid waits",
        "fields": "element 0 of a field starts at its bit of the port, element 1 at bit + width, and so on",
        "ports": [*clocking(), *ports],
        "versions": {"vsq": VERSION, "amaranth": version("amaranth"), "yosys": version("pyosys")},
    }


def field(name: str, shape: ShapeLike, low: int = 0) -> dict[str, Any]:
    """Return the layout of a payload field in its port: lowest bit, number of elements, and bits and sign of each."""
    element, count = (shape.elem_shape, shape.length) if isinstance(shape, data.ArrayLayout) else (shape, 1)
    cast = Shape.cast(element)
    return {"name": name, "bit": low, "count": count, "width": cast.width, "signed": cast.signed}


def describe_port(name: str, member: wiring.Member, meaning: str, fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a port's entry, with the layouts of its fields."""
    shape = Shape.cast(member.shape)
    return {
        "name": name,
        "direction": "input" if member.flow == wiring.In else "output",
        "width": shape.width,
        "signed": shape.signed,
        "meaning": meaning,
        "fields": list(fields),
    }


def describe_stream(
    prefix: str, layout: data.StructLayout, ports: Mapping[str, wiring.Member], meanings: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the entries of a stream's plain ports, the names of which start with ``prefix``."""
    shapes = {"valid": unsigned(1), "ready": unsigned(1), **layout.members}
    return [
        describe_port(f"{prefix}_{name}", ports[f"{prefix}_{name}"], meanings[f"{prefix}_{name}"], [field(name, shape)])
        for name, shape in shapes.items()
    ]


def clocking() -> list[dict[str, Any]]:
    """Return the entries of clock and reset."""
    meanings = {"clk": "clock, rising edge", "rst": "reset, synchronous, active high"}
    return [
        describe_port(name, wiring.In(1), meaning, [field(name, unsigned(1))]) for name, meaning in meanings.items()
    ]
