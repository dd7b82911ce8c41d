"""RTLIL and Verilog of any component, with plain ports.

The RTLIL is the one artefact behind simulation and synthesis: Amaranth writes it, Yosys cleans it and prints it as
Verilog. (Amaranth's own Verilog leaves combinational outputs undefined at time 0 in Icarus, its issue 1629.)
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.distribution import VERSION
from vsq.hw.emit.manifest import field
from vsq.hw.emit.rtlil_text import with_plain_port_names, without_unused_resets
from vsq.hw.emit.shared import SharedModules
from vsq.hw.emit.yosys import run_yosys

# Verilog's linters ask for operands of one width, and Amaranth shortens extended ones: extend them once more. Nor do
# they like the logical negation of a number.
_WIDEN = """
(* techmap_celltype = "$CELL" *)
module widen_CELL (A, B, Y);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  localparam WIDTH = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == B_WIDTH;
  wire [WIDTH-1:0] a = {{WIDTH-A_WIDTH+1{A_SIGNED ? A[A_WIDTH-1] : 1'b0}}, A};
  wire [WIDTH-1:0] b = {{WIDTH-B_WIDTH+1{B_SIGNED ? B[B_WIDTH-1] : 1'b0}}, B};
  \\$CELL #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED), .A_WIDTH(WIDTH), .B_WIDTH(WIDTH), .Y_WIDTH(Y_WIDTH))
    _TECHMAP_REPLACE_ (.A(a), .B(b), .Y(Y));
endmodule
"""
_LINT_MAP = """
(* techmap_celltype = "$logic_not" *)
module is_zero (A, Y);
  parameter A_SIGNED = 0, A_WIDTH = 1, Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == 1;
  assign Y = ~|A;
endmodule
""" + "".join(
    _WIDEN.replace("CELL", cell) for cell in ("add", "sub", "and", "or", "xor", "eq", "ne", "lt", "le", "gt", "ge")
)


def plain_ports(signature: wiring.Signature, prefixes: Mapping[str, str]) -> dict[str, wiring.Member]:
    """Return ports by name, clock and reset aside: each stream's handshake and payload fields.

    Args:
        signature: Of a component all of whose members are streams of structures.
        prefixes: What the names of a stream's ports start with, if not with the member's name.
    """
    ports: dict[str, wiring.Member] = {}
    for member, about in signature.members.items():
        prefix = prefixes.get(member, member)
        flow, back = (In, Out) if about.flow == In else (Out, In)
        ports |= {f"{prefix}_valid": flow(1), f"{prefix}_ready": back(1)}
        for name, shape in about.signature.members["payload"].shape.members.items():
            ports[f"{prefix}_{name}"] = flow(shape.size if isinstance(shape, data.Layout) else shape)
    return ports


def plain_fields(signature: wiring.Signature, prefixes: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the manifest's entry of the field that each of :func:`plain_ports` is."""
    return {
        f"{prefixes.get(member, member)}_{name}": [field(name, shape)]
        for member, about in signature.members.items()
        for name, shape in {"valid": 1, "ready": 1, **about.signature.members["payload"].shape.members}.items()
    }


class PlainPorts(wiring.Component):
    """A component whose streams are single ports, such as ``in_valid``, ``in_weights``, ..., ``out_acc``.

    Vectors are packed with element 0 in the least significant bits.
    """

    def __init__(self, component: wiring.Component, instance: str, prefixes: Mapping[str, str]):
        self.component, self.instance, self.prefixes = component, instance, prefixes
        super().__init__(plain_ports(component.signature, prefixes))

    def elaborate(self, platform: object) -> Module:
        """Wire ports to streams."""
        m = Module()
        m.submodules[self.instance] = self.component
        for member, about in self.component.signature.members.items():
            prefix, stream = self.prefixes.get(member, member), getattr(self.component, member)
            ports = {name: getattr(self, f"{prefix}_{name}") for name in stream.payload.shape().members}
            valid, ready = getattr(self, f"{prefix}_valid"), getattr(self, f"{prefix}_ready")
            if about.flow == In:
                m.d.comb += [
                    stream.valid.eq(valid),
                    ready.eq(stream.ready),
                    # One assignment of the whole payload keeps the ports' names on the modules inside.
                    stream.payload.as_value().eq(Cat(ports.values())),
                ]
            else:
                m.d.comb += [
                    valid.eq(stream.valid),
                    stream.ready.eq(ready),
                    *(port.eq(stream.payload[name]) for name, port in ports.items()),
                ]
        return m


def rtlil(top: wiring.Component, name: str, parts: Mapping[str, str]) -> str:
    """Return RTLIL text.

    Args:
        top: The component.
        name: Of the top module.
        parts: Modules to keep, all others being inlined: path in the hierarchy (``mac.datapath.dot``) to the end of the
            name (``dot``). Paths that do not occur are ignored. The path of a shared component is its kind.

    Raises:
        vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
    """
    return _convert(top, name, parts, "write_rtlil out.txt")


def verilog(
    top: wiring.Component, name: str, parts: Mapping[str, str], title: str, waivers: Mapping[str, str] | None = None
) -> str:
    """Return Verilog text, the same bytes for the same component and tool versions.

    Args:
        top, name, parts: As for :func:`rtlil`.
        title: What the first line says.
        waivers: Verilator's warnings that the file turns off, each with the reason.

    Raises:
        vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
    """
    text = _convert(top, name, parts, "write_verilog -noattr out.txt")
    body = "\n".join(line.rstrip() for line in text.splitlines() if not line.startswith("/*"))
    waived = {"DECLFILENAME": "the module's parts stand in the same file", **(waivers or {})}
    lint = "".join(f"/* verilator lint_off {warning} */ // {reason}\n" for warning, reason in waived.items())
    return (
        f"// {name}: {title}\n"
        f"// Generated by vsq {VERSION} (Amaranth {version('amaranth')}, Yosys {version('pyosys')}).\n"
        "// Vectors are packed with element 0 in the least significant bits. Reset is synchronous and active high.\n"
        f"{lint}{body}\n"
    )


def _convert(top: wiring.Component, name: str, parts: Mapping[str, str], write: str) -> str:
    shared = SharedModules()
    sources = [amaranth_rtlil.convert(top, name=name, platform=shared)]
    for kind, component in shared.components.items():
        sources[0] = re.sub(rf"^( *cell )\\{kind} ", rf"\1\\{name}.{kind} ", sources[0], flags=re.MULTILINE)
        sources.append(amaranth_rtlil.convert(component, name=f"{name}.{kind}"))
    source = with_plain_port_names(without_unused_resets("".join(sources)))
    kept = []
    for path, suffix in parts.items():
        source, count = re.subn(rf"\\{name}\.{re.escape(path)}(?=\s)", rf"\\{name}_{suffix}", source)
        if count:
            kept.append(f"{name}_{suffix}")
    commands = [
        "read_rtlil in.il",
        f"hierarchy -check -top {name}",
        "proc",
        f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}",
        "flatten -separator _",
        "setattr -mod -unset keep_hierarchy *",
        "setattr -unset init */w:*",  # silicon has none
        "delete */t:$meminit_v2",
        "opt_expr",
        "opt_merge",
        "opt_clean",
        "opt_dff",
        "wreduce",
        "opt_clean -purge",
        "techmap -map lint.v",
        "opt_clean -purge",
        "rename -unescape",
        write,
    ]
    return run_yosys(commands, {"in.il": source, "lint.v": _LINT_MAP}, ["out.txt"])["out.txt"]
