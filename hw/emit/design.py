"""The designs: a vector MAC with plain ports or AXI4-Stream, and a processing element."""

from collections.abc import Mapping
from typing import Any, ClassVar

from amaranth.lib import wiring

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, PeConfig
from vsq.hw.arithmetic.dual_precision import WeightDecoder
from vsq.hw.emit.base import TOP as TOP
from vsq.hw.emit.base import Design as Design
from vsq.hw.emit.manifest import Port, mac_facts, pe_facts
from vsq.hw.emit.ports import AxisMac, axis_ports
from vsq.hw.mac.accumulator import Accumulator, SharedAccumulator
from vsq.hw.mac.datapath import Datapath, DotProduct, ScalePath
from vsq.hw.mac.pipeline import Control
from vsq.hw.mac.top import VectorMac, mac_signature
from vsq.hw.pe.control import LoadControl, OutputControl
from vsq.hw.pe.double_buffer import DoubleBuffer
from vsq.hw.pe.issue import IssueControl
from vsq.hw.pe.lanes import Collector, Lanes
from vsq.hw.pe.memory import MemoryShape
from vsq.hw.pe.pair_sums import PairSums
from vsq.hw.pe.ppu import PostProcessing, Rescale, divider_type
from vsq.hw.pe.requantize import Divider, OutputScale, Packer
from vsq.hw.pe.reuse import SharedIssueControl
from vsq.hw.pe.top import ProcessingElement, buffers, pe_signature

INTERFACES = ("native", "axis")

_MAC_PARTS: dict[str, type[wiring.Component]] = {
    "decoder": WeightDecoder,
    "dot": DotProduct,
    "scale": ScalePath,
    "accumulator": Accumulator,
    "control": Control,
}
_PE_PARTS: dict[str, type[wiring.Component]] = {
    **_MAC_PARTS,
    "lanes": Lanes,
    "lane": Datapath,
    "pair_sums": PairSums,
    "load_control": LoadControl,
    "issue_control": IssueControl,
    "output_control": OutputControl,
    **dict.fromkeys(("weight_buffer", "activation_buffer", "params_buffer"), DoubleBuffer),
    "collector": Collector,
    "ppu": PostProcessing,
    "ppu_rescale": Rescale,
    "ppu_scale": OutputScale,
    "ppu_divider": Divider,
    "ppu_packer": Packer,
}


class MacDesign(Design):
    """The vector MAC with plain ports: vectors enter at ``in``, results leave at ``out``."""

    config: MacConfig

    kind = MacConfig.kind
    subject = "block-scaled vector MAC"
    component = VectorMac
    signature = staticmethod(mac_signature)
    facts = staticmethod(mac_facts)
    prefixes: ClassVar = {"i": "in", "o": "out"}
    parts: ClassVar = {
        "mac.datapath.decoder": "decoder",
        "mac.datapath.dot_product": "dot",
        "mac.datapath.scale": "scale",
        "mac.datapath.accumulator": "accumulator",
        "mac.control": "control",
    }
    components: ClassVar = {TOP: (TOP,), **{part: (part,) for part in parts.values()}}

    def sources(self) -> Mapping[str, type[wiring.Component]]:
        """Return the component that each part is."""
        return _MAC_PARTS


class AxisDesign(MacDesign):
    """The vector MAC with AXI4-Stream ports (:class:`vsq.hw.emit.ports.AxisMac`)."""

    kind = "mac_axis"
    suffix = " with AXI4-Stream ports"
    options = " --interface axis"
    low_names = ("aclk", "aresetn", "aclken")  # as AXI calls them
    waivers: ClassVar = {"UNUSEDSIGNAL": "the padding of TDATA is not read"}

    def top(self) -> wiring.Component:
        """Return the MAC with AXI4-Stream ports."""
        return AxisMac(self.config)

    def ports(self) -> dict[str, Port]:
        """Return the ports ``s_axis`` and ``m_axis``."""
        return axis_ports(self.config)

    def attributes(self) -> dict[str, str]:
        """Return what Vivado's IP packager reads, of ports with AXI's names."""
        clocking = self.clocking
        if not clocking.reset or not clocking.active_low:
            return {}
        info, about = 'X_INTERFACE_INFO = "xilinx.com:', "X_INTERFACE_PARAMETER ="
        buses = f'ASSOCIATED_BUSIF s_axis:m_axis, ASSOCIATED_RESET {clocking.reset}"'
        streams = {name: f'{info}interface:axis:1.0 {name[:6]} {name[7:].upper()}"' for name in self.ports()}
        return {
            clocking.clock: f'{info}signal:clock:1.0 {clocking.clock} CLK", {about} "{buses}',
            clocking.reset: f'{info}signal:reset:1.0 {clocking.reset} RST", {about} "POLARITY ACTIVE_LOW"',
            **({clocking.enable: f'{info}signal:clockenable:1.0 {clocking.enable} CE"'} if clocking.enable else {}),
            **streams,
        }

    def manifest(self, name: str | None = None) -> dict[str, Any]:
        """Return the MAC's manifest with these ports."""
        return {**super().manifest(name), "interface": "AXI4-Stream"}


_BUFFERS = ("weight_buffer", "activation_buffer", "params_buffer")
_CONTROLS = ("lanes", "load_control", "issue_control", "output_control")
_PPU = ("rescale", "scale", "divider", "packer")


class PeDesign(Design):
    """The processing element with plain ports; all lanes share one module."""

    config: PeConfig

    kind = PeConfig.kind
    subject = "processing element"
    component = ProcessingElement
    signature = staticmethod(pe_signature)
    facts = staticmethod(pe_facts)
    parts: ClassVar = {
        **{f"pe.{part}": part for part in (*_CONTROLS, *_BUFFERS, "collector", "ppu")},
        "pe.lanes.control": "control",
        "pe.lanes.pair_sums": "pair_sums",
        "lane": "lane",
        "lane.decoder": "decoder",
        "lane.dot_product": "dot",
        "lane.scale": "scale",
        "lane.accumulator": "accumulator",
        **{f"pe.ppu.{part}": f"ppu_{part}" for part in _PPU},
    }
    components: ClassVar = {
        "decoder": ("decoder",),
        "dot": ("dot", "pair_sums"),
        **{part: (part,) for part in ("scale", "accumulator", "collector")},
        "ppu": ("ppu", *(f"ppu_{part}" for part in _PPU)),
        "buffers": _BUFFERS,
        "control": (TOP, "lane", "control", *_CONTROLS),
    }
    waivers: ClassVar = {"UNUSEDSIGNAL": "parts need not use every field of the structures that they are given"}

    @property
    def memories(self) -> list[MemoryShape]:
        """The shape of each memory."""
        return [buffer.memory for buffer in buffers(self.config).values() for _ in range(buffer.ways)]

    def sources(self) -> Mapping[str, type[wiring.Component]]:
        """Return the component that each part is."""
        shared = {"issue_control": SharedIssueControl, "accumulator": SharedAccumulator}
        divider = {"ppu_divider": divider_type(self.config)} if self.config.mac.activation_scale else {}
        return {**_PE_PARTS, **(shared if self.config.reuse > 1 else {}), **divider}


_DESIGNS: dict[tuple[str, str], type[Design]] = {
    (MacConfig.kind, "native"): MacDesign,
    (MacConfig.kind, "axis"): AxisDesign,
    (PeConfig.kind, "native"): PeDesign,
}


def design(config: Configuration, interface: str = "native") -> Design:
    """Return the design of a configuration.

    Args:
        config: The vector MAC or processing element.
        interface: One of :data:`INTERFACES`: plain ports, or AXI4-Stream around a vector MAC.

    Raises:
        InputError: If there is no such interface, or the processing element has none of this kind.
    """
    if interface not in INTERFACES:
        raise InputError(f"interface {interface!r}: choose one of {', '.join(INTERFACES)}")
    if (config.kind, interface) not in _DESIGNS:
        raise InputError("--interface axis: a processing element has plain ports alone; leave it out, or --pe")
    return _DESIGNS[config.kind, interface](config)
