"""The manifest beside an emitted processing element: ports, command format, latency and throughput."""

from typing import Any

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.emission import plain_ports
from vsq.hw.emit.mac_manifest import common, describe_stream
from vsq.hw.emit.pe import default_name
from vsq.hw.mac.ranges import dot_shape, factor_max, term_shape
from vsq.hw.mac.stages import latency, scaled
from vsq.hw.pe.top import pe_signature

_HANDSHAKE = {"valid": "a beat is offered", "ready": "it is taken at this clock edge"}
_MEANING = {
    "command_rows": "rows of activations, and of results",
    "command_vectors": "vectors of V that are accumulated into each result",
    "command_load_weights": "take vectors * L beats of weights, vector by vector and lane by lane",
    "command_load_activations": "take rows * vectors beats of activations, row by row",
    "command_load_params": "take L beats of output parameters, lane 0 first",
    "command_requantise": "give vectors of codes with their scale; else one accumulator a beat",
    "command_relu": "negative outputs become 0, if they are requantised",
    "weights_codes": "weight codes of one lane's vector",
    "weights_scale": "their scale",
    "activations_codes": "activation codes of one vector",
    "activations_scale": "their scale",
    "lane_params_multiplier": "of z = round(acc * multiplier / 2^shift) + bias",
    "lane_params_shift": "of z = round(acc * multiplier / 2^shift) + bias",
    "lane_params_bias": "of z = round(acc * multiplier / 2^shift) + bias",
    "result_codes": "codes of V lanes, if not raw and not illegal",
    "result_scale": "their scale",
    "result_raw": "an accumulator, of lane 0 first",
    "result_acc": "accumulator, if raw",
    "result_overflow": "it saturated, if raw",
    "result_illegal": "the command was illegal: it took nothing but itself, and this is its only answer",
    "result_last": "the command's last beat",
}


def manifest(config: PeConfig, name: str | None = None) -> dict[str, Any]:
    """Return the manifest of the element as emitted, ready for JSON.

    It holds every port with width, signedness, meaning and the layout of its fields, the limits that make a command
    illegal, widths, and the cycles of a command of R rows of G vectors as :class:`vsq.hw.pe.top.ProcessingElement`
    states them.
    """
    mac, about = config.mac, pe_signature(config)
    listed = plain_ports(about, {})
    ports = []
    for stream, member in about.members.items():
        handshake = {f"{stream}_{name}": f"{stream}: {meaning}" for name, meaning in _HANDSHAKE.items()}
        layout = member.signature.members["payload"].shape
        ports += describe_stream(stream, layout, listed, {**_MEANING, **handshake})
    return {
        "name": name or default_name(config),
        **common(config.full_name, ports),
        "lanes": config.lane_count,
        "vector_size": mac.vector_size,
        "command": {
            "rows": f"1 to {config.activation_depth}",
            "vectors": f"1 to {config.weight_depth}, and to what was last loaded if it loads no weights",
            "rows * vectors": f"to {config.activation_depth}, and to what was last loaded if it loads no activations",
            "requantise": "only with parameters loaded, by this command or before" if config.ppu else "absent",
        },
        "widths": {
            "d": dot_shape(mac).width,
            "p": mac.full_product_bits,
            "r": factor_max(mac).bit_length() if scaled(mac) else 0,
            "t": term_shape(mac).width,
            "acc": mac.acc_bits,
            "z": config.z_range[1].bit_length() + 1 if config.ppu else 0,
        },
        "latency_cycles": {
            "first accumulator of a lone command": f"loads + vectors + {latency(mac) + 2}",
            "loads": "the most beats that one stream brings",
        },
        "cycles_per_command": "steady state: max(R*G, L*G if weights are loaded, R*L) for R rows of G vectors",
        "scale_shift": mac.scale_shift,
        "rounding": str(mac.rounding),
        "overflow": str(mac.overflow),
        "result": "y = acc * 2^scale_shift * gamma_w * gamma_a; requantised: y = code * scale * gamma_out",
    }
