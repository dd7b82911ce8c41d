"""The manifest beside emitted Verilog: what Verilog's ports do not say."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data, wiring

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import VERSION
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.emission import Clocking
from vsq.hw.emit.formulas import function, post_processing
from vsq.hw.mac.pipeline import THROUGHPUT, latency, scaled
from vsq.hw.mac.shapes import dot_shape, exponent_max, significand_max, term_shape
from vsq.hw.pe.memory import MemoryShape, memory_members

SCHEMA = (
    "1.2"  # of docs/manifest.schema.json: entries and values that are added raise the second number, all else the first
)

_PARAMETER = "of z = round(acc * multiplier / 2^shift) + bias"
_MEANING = {
    "in_valid": "a vector is offered",
    "in_ready": "it is taken at this clock edge",
    "in_weights": "weight codes",
    "in_activations": "activation codes",
    "in_weight_scale": "per-vector weight scale",
    "in_activation_scale": "per-vector activation scale",
    "in_offset": "bit 0 of the accumulator weighs 2^offset; the same for all vectors of a result",
    "in_first": "the accumulator starts from 0 with this vector",
    "in_last": "a result leaves after this vector",
    "out_valid": "a result is offered",
    "out_ready": "it is taken at this clock edge",
    "out_acc": "accumulator",
    "out_overflow": "the accumulator saturated since the last vector marked first",
    "out_inexact": "a term lost bits below 2^offset since the last vector marked first",
    "out_invalid": "a vector had infinity or NaN since the last one marked first; all else says nothing then",
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
    "command_offset": "exponent of the windows' bit 0",
    "command_scale_base": "code of the output scale of vectors whose largest z is 1",
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
    "result_inexact": "it lost bits below the window that are not all 0, if raw",
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


def describe(ports: Mapping[str, Port], clocking: Clocking, *, registered: bool) -> dict[str, Any]:
    """Return the entries on ports that every manifest has.

    Args:
        ports: By name, clock and reset aside.
        clocking: Clock and reset.
        registered: Whether the inputs' ``ready`` come from registers.
    """
    kind = "asynchronous" if clocking.asynchronous else "synchronous"
    active = "low" if clocking.active_low else "high"
    meanings = {clocking.clock: "clock, rising edge", **_MEANING}
    names, reset = [clocking.clock], {"kind": "none"}
    if clocking.reset:
        names.append(clocking.reset)
        meanings[clocking.reset] = f"reset, {kind}, active {active}"
        reset = {"port": clocking.reset, "kind": kind, "active": active}
    if clocking.enable:
        names.append(clocking.enable)
        unless = ", if it does not reset" * bool(clocking.reset)
        meanings[clocking.enable] = f"while it is 0, a clock edge changes nothing{unless}"
    control = {name: Port(wiring.In(1), [field(name, 1)]) for name in names}
    marks = f"{clocking.enable}, valid" if clocking.enable else "valid"
    listed = []
    for name, (member, fields) in {**control, **ports}.items():
        listed.append(
            {
                **_port(name, member),
                "signed": Shape.cast(member.shape).signed,
                "meaning": meanings[name] if "result_raw" in ports else meanings[name].removesuffix(", if raw"),
                "fields": fields,
            }
        )
    return {
        "clock": {"port": clocking.clock, "edge": "rising", **({"enable": clocking.enable} if clocking.enable else {})},
        "reset": reset,
        "handshake": f"a transfer happens at a clock edge with {marks} and ready; payload is stable while valid waits",
        "fields": "element 0 of a field starts at its bit of the port, element 1 at bit + width, and so on",
        "ports": listed,
        "streams": [*_streams(ports, registered=registered)],
        "versions": {"vsq": VERSION, "amaranth": version("amaranth"), "yosys": version("pyosys")},
    }


def _streams(ports: Mapping[str, Port], *, registered: bool) -> Iterator[dict[str, Any]]:
    """Yield the name, direction and ports of each stream; a word of it is its payload's ports, the first one lowest."""
    for valid, (member, _) in ports.items():
        prefix = valid.removesuffix("valid")
        ready = f"{prefix}ready"
        if prefix == valid or ready not in ports:  # as of the flag out_invalid
            continue
        taken = member.flow == wiring.In
        yield {
            "name": prefix.removesuffix("_t").removesuffix("_"),
            "direction": "input" if taken else "output",
            "valid": valid,
            "ready": ready,
            "payload": [n for n in ports if n.startswith(prefix) and n not in (valid, ready)],
            **({"registered_ready": True} if taken and registered else {}),
        }


def describe_memories(name: str, shapes: Sequence[MemoryShape], clocking: Clocking) -> list[dict[str, Any]]:
    """Return an entry for each shape of memories: its module, the number of instances, size and ports.

    Args:
        name: Of the top module.
        shapes: Of all memories.
        clocking: Of the top module.
    """
    clocks = {one: wiring.In(1) for one in ("clk", clocking.enable) if one}
    return [
        {
            "module": f"{name}_{shape.kind}",
            "count": count,
            "width": shape.width,
            "depth": shape.depth,
            "read_latency_cycles": int(shape.registered),
            "write_enable_width": shape.width,
            "ports": [_port(port, member) for port, member in {**clocks, **memory_members(shape)}.items()],
        }
        for shape, count in Counter(shapes).items()
    ]


def _port(name: str, member: wiring.Member) -> dict[str, Any]:
    direction = "input" if member.flow == wiring.In else "output"
    return {"name": name, "direction": direction, "width": Shape.cast(member.shape).width}


def mac_facts(config: MacConfig) -> dict[str, Any]:
    """Return the entries of a vector MAC: widths inside, timing, how numbers are rounded, the meaning of a result."""
    inner = config.multiplied
    return {
        "function": function(config),
        "widths": {
            "d": dot_shape(inner).width,
            "p": inner.full_product_bits,
            "r": significand_max(inner).bit_length() if scaled(inner) else 0,
            **({"k": k.bit_length()} if (k := exponent_max(inner)) else {}),
            "t": term_shape(inner).width,
            "acc": config.acc_bits,
        },
        "latency_cycles": latency(config),
        "throughput_vectors_per_cycle": THROUGHPUT,
        "scale_shift": config.scale_shift,
        "rounding": str(config.rounding),
        "overflow": str(config.overflow),
        "result": f"y = acc * 2^scale_shift * gamma_w * gamma_a{_window_unit(config)}",
    }


def _window_unit(config: MacConfig) -> str:
    """Return the factor of a window in the meaning of a result."""
    origin = sum(scale.origin for scale in config.scales if scale)
    return f" * 2^(offset{f' - {origin}' if origin else ''})" if config.window else ""


def pe_facts(config: PeConfig) -> dict[str, Any]:
    """Return the entries of a processing element: what makes a command illegal, widths, timing, arithmetic.

    Cycles are of a command of R rows of G vectors, as :class:`vsq.hw.pe.top.ProcessingElement` states them.
    """
    lane, scale = mac_facts(config.mac), "2^(scale - 127)" if config.powers else "scale"
    loaded = "and to what was last loaded if it loads no"
    return {
        "function": [*lane["function"], *(post_processing(config) if config.ppu else [])],
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
            "first accumulator of a lone command": f"loads + vectors + {lane['latency_cycles'] + 2}"
            + (", and reads of other rows" if config.reuse > 1 else ""),
            "loads": "the most beats that one stream brings",
        },
        "cycles_per_command": "steady state: max(R*G, L*G if weights are loaded, R*L) for R rows of G vectors, "
        f"with L = {config.lanes} lanes",
        **({"rows_that_share_a_weight_read": config.reuse} if config.reuse > 1 else {}),
        **{name: lane[name] for name in ("scale_shift", "rounding", "overflow")},
        "result": lane["result"] + f"; requantized: y = code * {scale} * gamma_out" * config.ppu,
    }
