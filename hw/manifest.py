"""The manifest beside emitted Verilog: what Verilog's ports do not say."""

from importlib.metadata import version
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import wiring

from golden.config import IntFormat, MacConfig
from hw.ranges import dot_shape, factor_max, term_shape
from hw.stages import THROUGHPUT, latency, scaled
from hw.verilog import default_name, plain_ports

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

    It holds every port with width, signedness and packing, the widths inside, latency (cycles from an accepted last
    vector to its valid result) and throughput (vectors per cycle), the scale shift s of
    ``y = acc * 2^s * gamma_w * gamma_a``, and the versions that made it.
    """
    return {
        "name": name or default_name(config),
        **common(config.full_name, _ports(config)),
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
        "ports": [_clocking("clk"), _clocking("rst"), *ports],
        "versions": {"vsq": version("vsq"), "amaranth": version("amaranth"), "yosys": version("pyosys")},
    }


def describe_port(
    name: str, member: wiring.Member, meaning: str, vector_size: int, code: IntFormat | None = None
) -> dict[str, Any]:
    """Return a port's entry; ``code`` is the format of each of V codes that are packed in it."""
    shape = Shape.cast(member.shape)
    port: dict[str, Any] = {
        "name": name,
        "direction": "input" if member.flow == wiring.In else "output",
        "width": shape.width,
        "signed": shape.signed,
        "meaning": meaning,
    }
    if code:
        port["layout"] = {
            "lanes": vector_size,
            "lane_bits": code.bits,
            "lane_signed": code.signed,
            "order": "lane 0 in the least significant bits",
        }
    return port


def _clocking(name: str) -> dict[str, Any]:
    return {"name": name, "direction": "input", "width": 1, "signed": False}


def _ports(config: MacConfig) -> list[dict[str, Any]]:
    codes = {"in_weights": config.weight, "in_activations": config.activation}
    return [
        describe_port(name, member, _MEANING[name], config.vector_size, codes.get(name))
        for name, member in plain_ports(config).items()
    ]
