"""RTLIL and Verilog of the vector MAC."""

from amaranth.lib import wiring

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit import emission
from vsq.hw.emit.emission import PlainPorts
from vsq.hw.mac.top import VectorMac, mac_signature

COMPONENTS = ("dot", "scale", "accumulator", "control")

PARTS = {
    "mac.lane.dot_product": "dot",
    "mac.lane.scale": "scale",
    "mac.lane.accumulator": "accumulator",
    "mac.control": "control",
}
_PREFIXES = {"i": "in", "o": "out"}


def default_name(config: MacConfig) -> str:
    """Return the top module's default name; the modules inside are ``<name>_dot`` and so on."""
    return f"vsq_mac_{config.slug}"


def plain_ports(config: MacConfig) -> dict[str, wiring.Member]:
    """Return the top module's ports by name, clock and reset aside: each stream's handshake and payload fields."""
    return emission.plain_ports(mac_signature(config), _PREFIXES)


def rtlil(config: MacConfig, name: str | None = None) -> str:
    """Return the MAC as RTLIL text: top module ``name`` (default :func:`default_name`), and one module a component.

    Raises
    ------
    vsq.hw.emit.yosys.YosysError
        If Yosys refuses the design.
    """
    return emission.rtlil(_top(config), name or default_name(config), PARTS)


def emit(config: MacConfig, name: str | None = None) -> str:
    """Return the MAC as Verilog text, the same bytes for the same configuration and tool versions.

    Raises
    ------
    vsq.hw.emit.yosys.YosysError
        If Yosys refuses the design.
    """
    title = f"block-scaled vector MAC {config.full_name}"
    return emission.verilog(_top(config), name or default_name(config), PARTS, title)


def _top(config: MacConfig) -> PlainPorts:
    return PlainPorts(VectorMac(config), "mac", _PREFIXES)
