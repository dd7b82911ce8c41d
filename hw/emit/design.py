"""Designs: what can be generated, simulated and synthesized, each behind one interface."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.lib import wiring

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.configuration import Configuration
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit import emission
from vsq.hw.emit.manifest import describe, mac_facts, pe_facts
from vsq.hw.emit.ports import AxisMac, PlainPorts, axis_fields, axis_signature, plain_fields, plain_ports
from vsq.hw.mac.pipeline import latency
from vsq.hw.mac.top import VectorMac, mac_signature
from vsq.hw.pe.top import ProcessingElement, pe_signature

INTERFACES = ("native", "axis")
TOP = "top"  # stands for the top module among the modules of a component


@dataclass(frozen=True)
class Design:
    """A configuration as hardware: RTLIL, Verilog and manifest of a top module.

    Attributes:
        config: The configuration.
        kind: Name of the kind of design, and of the component in the top module.
        subject: Begins the title.
        component, signature, facts: From the configuration: a new component, its streams, and the manifest's entries on
            function and timing.
        prefixes: What the names of a stream's ports start with, if not with the stream's name.
        parts: Modules that stay, of which :func:`vsq.hw.emit.emission.rtlil` says more.
        components: Parts of the area: the modules of each, :data:`TOP` being the top module.
        waivers: Verilator's warnings that the Verilog turns off, each with the reason.
    """

    config: Configuration

    kind: ClassVar[str]
    subject: ClassVar[str]
    component: ClassVar[type[Any]]
    signature: "ClassVar[staticmethod[[Any], wiring.Signature]]"
    facts: "ClassVar[staticmethod[[Any], dict[str, Any]]]"
    prefixes: ClassVar[Mapping[str, str]] = {}
    parts: ClassVar[Mapping[str, str]]
    components: ClassVar[Mapping[str, tuple[str, ...]]]
    waivers: ClassVar[Mapping[str, str]] = {}

    @property
    def mac(self) -> MacConfig:
        """The vector MAC, of each lane if there are lanes."""
        return self.config.mac

    @property
    def default_name(self) -> str:
        """The top module's default name; the modules inside are ``<name>_dot`` and so on."""
        return f"vsq_{self.kind}_{self.config.slug}"

    @property
    def title(self) -> str:
        """The design in words."""
        return f"{self.subject} {self.config.full_name}"

    @property
    def latency(self) -> int:
        """Cycles from a vector in the datapath to the result after it, without back-pressure."""
        return latency(self.mac)

    def top(self) -> wiring.Component:
        """Return a new component whose members are single ports."""
        return PlainPorts(self.component(self.config), self.kind, self.prefixes)

    def ports(self) -> dict[str, wiring.Member]:
        """Return the top module's ports by name, clock and reset aside."""
        return plain_ports(self.signature(self.config), self.prefixes)

    def fields(self) -> dict[str, list[dict[str, Any]]]:
        """Return the manifest's entries of ports that hold fields."""
        return plain_fields(self.signature(self.config), self.prefixes)

    def rtlil(self, name: str | None = None) -> str:
        """Return RTLIL text: top module ``name``, or :attr:`default_name`, and one module a part.

        Raises:
            vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
        """
        return emission.rtlil(self.top(), name or self.default_name, self.parts)

    def verilog(self, name: str | None = None) -> str:
        """Return Verilog text, the same bytes for the same configuration and tool versions.

        Raises:
            vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
        """
        return emission.verilog(self.top(), name or self.default_name, self.parts, self.title, self.waivers)

    def manifest(self, name: str | None = None) -> dict[str, Any]:
        """Return the manifest of the emitted module, ready for JSON: what Verilog's ports do not say.

        It holds every port with width, signedness, meaning and the layout of its fields, the widths inside, latency and
        throughput, the scale shift s of ``y = acc * 2^s * gamma_w * gamma_a``, and the versions that made it.
        """
        return {
            "name": name or self.default_name,
            "configuration": self.config.full_name,
            **describe(self.ports(), self.fields()),
            **self.facts(self.config),
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
        "mac.datapath.dot_product": "dot",
        "mac.datapath.scale": "scale",
        "mac.datapath.accumulator": "accumulator",
        "mac.control": "control",
    }
    components: ClassVar = {TOP: (TOP,), **{part: (part,) for part in parts.values()}}


class AxisDesign(MacDesign):
    """The vector MAC with AXI4-Stream ports (:class:`vsq.hw.emit.ports.AxisMac`)."""

    kind = "mac_axis"
    waivers: ClassVar = {"UNUSEDSIGNAL": "the padding of TDATA is not read"}

    @property
    def title(self) -> str:
        """The design in words."""
        return f"{super().title} with AXI4-Stream ports"

    def top(self) -> wiring.Component:
        """Return the MAC with AXI4-Stream ports."""
        return AxisMac(self.config)

    def ports(self) -> dict[str, wiring.Member]:
        """Return the ports ``s_axis`` and ``m_axis``."""
        return dict(axis_signature(self.config).members)

    def fields(self) -> dict[str, list[dict[str, Any]]]:
        """Return the fields of TDATA."""
        return axis_fields(self.config)

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
        "lane": "lane",
        "lane.dot_product": "dot",
        "lane.scale": "scale",
        "lane.accumulator": "accumulator",
        **{f"pe.ppu.{part}": f"ppu_{part}" for part in _PPU},
    }
    components: ClassVar = {
        **{part: (part,) for part in ("dot", "scale", "accumulator", "collector")},
        "ppu": ("ppu", *(f"ppu_{part}" for part in _PPU)),
        "buffers": _BUFFERS,
        "control": (TOP, "lane", "control", *_CONTROLS),
    }
    waivers: ClassVar = {"UNUSEDSIGNAL": "parts need not use every field of the structures that they are given"}


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
