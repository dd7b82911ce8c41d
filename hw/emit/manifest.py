"""The manifest beside emitted Verilog: what Verilog's ports do not say."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data, wiring

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import VERSION
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.mac.pipeline import THROUGHPUT, latency, scaled
from vsq.hw.mac.shapes import dot_shape, factor_max, term_shape

_PARAMETER = "of z = round(acc * multiplier / 2^shift) + bias"
_MEANING = {
    "clk": "clock, rising edge",
    "rst": "reset, synchronous, active high",
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
    "s_axis_tdata": "a vector",
    "s_axis_tvalid": "a vector is offered",
    "s_axis_tready": "it is taken at this clock edge",
    "s_axis_tlast": "a result leaves after this vector, and the next one starts from 0",
    "m_axis_tdata": "a result",
    "m_axis_tvalid": "a result is offered",
    "m_axis_tready": "it is taken at this clock edge",
    "m_axis_tlast": "always: each result is a packet",
    **{
        f"{stream}_{name}": f"{stream}: {meaning}"
        for stream in ("command", "weights", "activations", "lane_params", "result")
        for name, meaning in (("valid", "a beat is offered"), ("ready", "it is taken at this clock edge"))
    },
    "command_rows": "rows of activations, and of results",
    "command_vectors": "vectors of V that are accumulated into each result",
    "command_load_weights": "take vectors * L beats of weights, vector by vector and lane by lane",
    "command_load_activations": "take rows * vectors beats of activations, row by row",
    "command_load_params": "take L beats of output parameters, lane 0 first",
    "command_requantize": "give vectors of codes with their scale; else one accumulator a beat",
    "command_relu": "negative outputs become 0, if they are requantized",
    "weights_codes": "weight codes of one lane's vector",
    "weights_scale": "their scale",
    "activations_codes": "activation codes of one vector",
    "activations_scale": "their scale",
    "lane_params_multiplier": _PARAMETER,
    "lane_params_shift": _PARAMETER,
    "lane_params_bias": _PARAMETER,
    "result_codes": "codes of V lanes, if not raw and not illegal",
    "result_scale": "their scale",
    "result_raw": "an accumulator, of lane 0 first",
    "result_acc": "accumulator, if raw",
    "result_overflow": "it saturated, if raw",
    "result_illegal": "the command was illegal: it took nothing but itself, and this is its only answer",
    "result_last": "the command's last beat",
}


class Port(NamedTuple):
    """A port of the top module, and the manifest's entries of its fields."""

    member: wiring.Member
    fields: list[dict[str, Any]]


def field(name: str, shape: ShapeLike, low: int = 0) -> dict[str, Any]:
    """Return the layout of a payload field in its port: lowest bit, number of elements, and bits and sign of each."""
    element, count = (shape.elem_shape, shape.length) if isinstance(shape, data.ArrayLayout) else (shape, 1)
    cast = Shape.cast(element)
    return {"name": name, "bit": low, "count": count, "width": cast.width, "signed": cast.signed}


def describe(ports: Mapping[str, Port]) -> dict[str, Any]:
    """Return the entries that every manifest has, from the ports by name, clock and reset aside."""
    clocking = {name: Port(wiring.In(1), [field(name, 1)]) for name in ("clk", "rst")}
    listed = []
    for name, (member, fields) in {**clocking, **ports}.items():
        shape = Shape.cast(member.shape)
        listed.append(
            {
                "name": name,
                "direction": "input" if member.flow == wiring.In else "output",
                "width": shape.width,
                "signed": shape.signed,
                "meaning": _MEANING[name],
                "fields": fields,
            }
        )
    return {
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "handshake": "a transfer happens at a clock edge with valid and ready; payload is stable while valid waits",
        "fields": "element 0 of a field starts at its bit of the port, element 1 at bit + width, and so on",
        "ports": listed,
        "versions": {"vsq": VERSION, "amaranth": version("amaranth"), "yosys": version("pyosys")},
    }


def mac_facts(config: MacConfig) -> dict[str, Any]:
    """Return the entries of a vector MAC: widths inside, timing, how numbers are rounded, the meaning of a result."""
    return {
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


def pe_facts(config: PeConfig) -> dict[str, Any]:
    """Return the entries of a processing element: what makes a command illegal, widths, timing, arithmetic.

    Cycles are of a command of R rows of G vectors, as :class:`vsq.hw.pe.top.ProcessingElement` states them.
    """
    lane = mac_facts(config.mac)
    loaded = "and to what was last loaded if it loads no"
    return {
        "lanes": config.lanes,
        "vector_size": config.mac.vector_size,
        "command": {
            "rows": f"1 to {config.activation_depth}",
            "vectors": f"1 to {config.weight_depth}, {loaded} weights",
            "rows * vectors": f"to {config.activation_depth}, {loaded} activations",
            "requantize": "only with parameters loaded, by this command or before" if config.ppu else "absent",
        },
        "widths": {**lane["widths"], "z": config.z_range[1].bit_length() + 1 if config.ppu else 0},
        "latency_cycles": {
            "first accumulator of a lone command": f"loads + vectors + {lane['latency_cycles'] + 2}",
            "loads": "the most beats that one stream brings",
        },
        "cycles_per_command": "steady state: max(R*G, L*G if weights are loaded, R*L) for R rows of G vectors",
        **{name: lane[name] for name in ("scale_shift", "rounding", "overflow")},
        "result": f"{lane['result']}; requantized: y = code * scale * gamma_out",
    }
