"""The one interface of designs: what a configuration is as RTLIL, Verilog and manifest."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.lib import wiring

from vsq.golden.contract.config import Arithmetic, Polarity, Reset, Target
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.arithmetic.ccu2c import CHAIN, chain_verilog
from vsq.hw.emit.emission import Clocking, convert
from vsq.hw.emit.header import head, module_comment, port_comments
from vsq.hw.emit.manifest import SCHEMA, Port, describe, describe_memories
from vsq.hw.emit.ports import PlainPorts, plain_ports
from vsq.hw.emit.verilog.netlist import netlists
from vsq.hw.emit.verilog.paths import combinational_paths
from vsq.hw.emit.verilog.writer import write
from vsq.hw.mac.pipeline import latency
from vsq.hw.pe.memory import MemoryShape, WordMemory

TOP = "top"  # stands for the top module among the modules of a component


@dataclass(frozen=True)
class Design(ABC):
    """A configuration as hardware: RTLIL, Verilog and manifest of a top module.

    Attributes:
        config: The configuration.
        kind: Name of the kind of design, and of the component in the top module.
        subject, suffix: Begin and end the title.
        component, signature, facts: From the configuration: a new component, its streams, and the manifest's entries on
            function and timing.
        prefixes: What the names of a stream's ports start with, if not with the stream's name.
        options: Of the command that generates the design, after its configuration.
        parts: Modules that stay, of which :func:`vsq.hw.emit.emission.convert` says more.
        components: Parts of the area: the modules of each, :data:`TOP` being the top module.
        low_names: Names of clock, reset and the clock's enable where the reset is active low.
        waivers: Verilator's warnings that the Verilog turns off, each with the reason.
    """

    config: Configuration

    kind: ClassVar[str]
    subject: ClassVar[str]
    suffix: ClassVar[str] = ""
    component: ClassVar[type[Any]]
    signature: "ClassVar[staticmethod[[Any], wiring.Signature]]"
    facts: "ClassVar[staticmethod[[Any], dict[str, Any]]]"
    prefixes: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[str] = ""
    parts: ClassVar[Mapping[str, str]]
    components: ClassVar[Mapping[str, tuple[str, ...]]]
    waivers: ClassVar[Mapping[str, str]] = {}
    low_names: ClassVar[tuple[str, str, str]] = ("clk", "rst_n", "clk_en")

    @property
    def default_name(self) -> str:
        """The top module's default name; the modules inside are ``<name>_dot`` and so on."""
        return f"vsq_{self.kind}_{self.config.slug}"

    @property
    def title(self) -> str:
        """The design in words."""
        return f"{self.subject} {self.config.full_name}{self.suffix}"

    @property
    def clocking(self) -> Clocking:
        """The clock and the reset, as the configuration asks."""
        config = self.config.mac
        low = config.reset_polarity == Polarity.LOW
        clock, reset, enable = self.low_names if low else ("clk", "rst", "clk_en")
        return Clocking(
            clock=clock,
            reset=None if config.reset == Reset.NONE else reset,
            enable=enable if config.clock_enable else None,
            asynchronous=config.reset == Reset.ASYNC,
            active_low=low,
            powered_up=config.target != Target.ASIC,
        )

    @property
    def memories(self) -> list[MemoryShape]:
        """The shape of each memory."""
        return []

    @property
    def modules(self) -> dict[str, str]:
        """All modules that stay: parts, and one for each shape of memories."""
        return {**self.parts, **{memory.kind: memory.kind for memory in self.memories}}

    @property
    def latency(self) -> int:
        """Cycles from a vector in the datapath to the result after it, without back-pressure."""
        return latency(self.config.mac)

    def top(self) -> wiring.Component:
        """Return a new component whose members are single ports."""
        registered = self.config.mac.registered_ready
        return PlainPorts(self.component(self.config), self.kind, self.prefixes, registered=registered)

    def ports(self) -> dict[str, Port]:
        """Return the top module's ports by name, clock and reset aside."""
        return plain_ports(self.signature(self.config), self.prefixes)

    def rtlil(self, name: str | None = None) -> str:
        """Return RTLIL text: top module ``name``, or :attr:`default_name`, and one module a part.

        Raises:
            vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
        """
        return convert(self.top(), name or self.default_name, self.modules, clocking=self.clocking)

    def verilog(self, name: str | None = None) -> str:
        """Return Verilog text, the same bytes for the same configuration and tool versions.

        Raises:
            vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
        """
        name = name or self.default_name
        modules = netlists(convert(self.top(), name, self.modules, aliases=True, clocking=self.clocking))
        cells = chain_verilog(f"{name}_{CHAIN}") if modules.pop(f"{name}_{CHAIN}", None) else ""
        manifest = self.manifest(name)
        waived = {"DECLFILENAME": "the module's parts stand in the same file", **self.waivers}
        if self.config.mac.style == Arithmetic.LUT:
            waived["UNUSEDSIGNAL"] = "bit 0 of a carry chain takes a carry; bits that a sum leaves alone have one name"
        if self.clocking.asynchronous:
            waived["SYNCASYNCNET"] = "assertions see the reset at the clock's edges"
        lint = "".join(f"/* verilator lint_off {warning} */ // {reason}\n" for warning, reason in waived.items())
        sources = {**self.sources(), **{memory.kind: WordMemory for memory in self.memories}}
        comments = {f"{name}_{part}": module_comment(component) for part, component in sources.items()}
        memories = [entry["module"] for entry in manifest.get("memories", ())]
        return (
            head(manifest, combinational_paths(modules))
            + lint
            + "\n"
            + write(
                modules,
                comments,
                port_comments(manifest),
                self.attributes(),
                memories,
                unused="UNUSEDSIGNAL" not in waived,
            )
            + cells
        )

    def attributes(self) -> dict[str, str]:
        """Return the Verilog attributes of ports by name."""
        return {}

    @abstractmethod
    def sources(self) -> Mapping[str, type[wiring.Component]]:
        """Return the component that each part is."""

    def command(self, name: str) -> str:
        """Return the command that writes the Verilog."""
        renamed = f" --name {name}" if name != self.default_name else ""
        return f"vsq generate {self.config.full_name}{self.options}{renamed}"

    def manifest(self, name: str | None = None) -> dict[str, Any]:
        """Return the manifest of the emitted module, ready for JSON: what Verilog's ports do not say.

        It holds every port with width, signedness, meaning and the layout of its fields, the widths inside, latency and
        throughput, the scale shift s of ``y = acc * 2^s * gamma_w * gamma_a``, and the versions that made it.
        """
        name = name or self.default_name
        memories = describe_memories(name, self.memories, self.clocking)
        return {
            "schema": SCHEMA,
            "name": name,
            "title": self.title,
            "generated_by": self.command(name),
            "configuration": self.config.full_name,
            **describe(self.ports(), self.clocking, registered=self.config.mac.registered_ready),
            **({"memories": memories} if memories else {}),
            **self.facts(self.config),
        }
