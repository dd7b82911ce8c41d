"""RTLIL and Verilog of the processing element."""

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit import emission
from vsq.hw.emit.emission import PlainPorts
from vsq.hw.pe.top import ProcessingElement

_CONTROLS = ("load_control", "issue_control", "output_control", "collector", "lanes")
_BUFFERS = ("weight_buffer", "activation_buffer", "params_buffer")
_PPU = ("rescale", "scale", "divider", "packer")

# Path in the hierarchy to module name; all lanes share one.
PARTS = {
    **{f"pe.{part}": part for part in _CONTROLS},
    **{f"pe.{buffer}": buffer for buffer in _BUFFERS},
    "pe.lanes.control": "control",
    "lane": "lane",
    "lane.dot_product": "dot",
    "lane.scale": "scale",
    "lane.accumulator": "accumulator",
    "pe.ppu": "ppu",
    **{f"pe.ppu.{part}": f"ppu_{part}" for part in _PPU},
}
_WAIVERS = {"UNUSEDSIGNAL": "parts need not use every field of the structures that they are given"}


def default_name(config: PeConfig) -> str:
    """Return the top module's default name; the modules inside are ``<name>_lane`` and so on."""
    return f"vsq_pe_{config.slug}"


def rtlil(config: PeConfig, name: str | None = None) -> str:
    """Return the element as RTLIL text: top module ``name`` (default :func:`default_name`) and those of ``PARTS``.

    Raises
    ------
    vsq.hw.emit.yosys.YosysError
        If Yosys refuses the design.
    """
    return emission.rtlil(_top(config), name or default_name(config), PARTS)


def emit(config: PeConfig, name: str | None = None) -> str:
    """Return the element as Verilog text, the same bytes for the same configuration and tool versions.

    Raises
    ------
    vsq.hw.emit.yosys.YosysError
        If Yosys refuses the design.
    """
    title = f"processing element {config.full_name}"
    return emission.verilog(_top(config), name or default_name(config), PARTS, title, _WAIVERS)


def _top(config: PeConfig) -> PlainPorts:
    return PlainPorts(ProcessingElement(config), "pe", {})
