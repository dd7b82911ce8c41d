"""RTLIL of any component, and the names that a module may have in every tool.

The RTLIL is the one artefact behind simulation and synthesis: Amaranth writes it, Yosys cleans it, and
:mod:`vsq.hw.emit.verilog` prints it. (Amaranth's own Verilog leaves combinational outputs undefined at time 0 in
Icarus, its issue 1629.)
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, EnableInserter, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from vsq.golden.contract.errors import InputError
from vsq.hw.arithmetic.ccu2c import CELL, CHAIN, chain_verilog
from vsq.hw.emit.yosys import run_yosys

MAX_LENGTH = 200  # file systems allow 255 bytes, suffixes included

# The reserved words of IEEE 1364-2005 and IEEE 1800-2017.
_WORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0
highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
KEYWORDS = frozenset(_WORDS.split())

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module (\S+)\n(.*?)^end\n", flags=re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^  cell (\S+) .*?^  end\n", flags=re.MULTILINE | re.DOTALL)

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


_INVERTER = """  cell $not \\{port}_from_{new}
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\{new}
    connect \\Y \\{port}
  end
"""


@dataclass(frozen=True, kw_only=True)
class Clocking:
    """The clock and the reset of a top module: names of their ports, when the reset acts and at which level.

    Without a reset, or where ``powered_up``, registers have the values of a reset at power-up.

    While the clock is not enabled, if there is a port that says so, nothing but the reset changes any state.
    """

    clock: str = "clk"
    reset: str | None = "rst"
    enable: str | None = None
    asynchronous: bool = False
    active_low: bool = False
    powered_up: bool = False


def checked(name: str) -> str:
    """Return the name of a module.

    Raises:
        InputError: If it is no identifier, a reserved word, a cell that designs instantiate, or too long for the names
            of the module's files.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"name {name!r}: a Verilog module's name is letters, digits and _, no digit first; rename it")
    if name in KEYWORDS:
        raise InputError(f"name {name!r}: it is a reserved word of Verilog or SystemVerilog; rename it")
    if name == CELL:
        raise InputError(f"name {name!r}: it is a cell of ECP5, which carry chains instantiate; rename it")
    if len(name) > MAX_LENGTH:
        raise InputError(f"name {name[:20]}...: it has {len(name)} characters, {MAX_LENGTH} are allowed; shorten it")
    return name


class SharedModules(dict[str, wiring.Component]):
    """The platform of emission: collects one component of each kind, by the name of its module.

    The components have a clock and no reset; emission converts them apart from the design that instantiates them. All
    of them have the port ``enable``, if it is not None, which is the clock's.
    """

    def __init__(self, enable: Signal | None = None) -> None:
        super().__init__()
        self.enable = enable


def instantiate(m: Module, platform: object, name: str, kind: str, make: Callable[[], wiring.Component]) -> Any:
    """Add a submodule and return it, or an interface of its signals.

    Args:
        m, platform: As in the ``elaborate`` that calls this.
        name, kind: Of the submodule, and of the module that all of its kind share on a :class:`SharedModules` platform.
        make: Returns the component; all of a kind are alike.
    """
    if not isinstance(platform, SharedModules):
        m.submodules[name] = component = make()
        return component
    component = platform[kind] = platform.get(kind) or make()
    members = component.signature.members
    pins = wiring.PureInterface(component.signature)
    ports = {f"{'i' if about.flow == In else 'o'}_{port}": getattr(pins, port) for port, about in members.items()}
    if platform.enable is not None:
        ports[f"i_{platform.enable.name}"] = platform.enable
    m.submodules[name] = Instance(kind, i_clk=ClockSignal(), **ports)
    return pins


def convert(
    top: wiring.Component,
    name: str,
    parts: Mapping[str, str],
    *,
    aliases: bool = False,
    clocking: Clocking = Clocking(),
) -> str:
    """Return a component as RTLIL, the same bytes for the same component and tool versions.

    Args:
        top: The component.
        name: Of the top module.
        parts: Modules to keep, all others being inlined: path in the hierarchy (``mac.datapath.dot``) to the end of the
            name (``dot``). Paths that do not occur are ignored. The path of a shared component is its kind.
        aliases: Whether nets keep all the names that the source gives them, for :mod:`vsq.hw.emit.verilog`, or one.
        clocking: Of the top module.

    Raises:
        vsq.hw.emit.yosys.YosysError: If Yosys refuses the design.
    """
    shared = SharedModules(Signal(name=clocking.enable) if clocking.enable else None)
    domain = partial(ClockDomain, async_reset=clocking.asynchronous, reset_less=clocking.reset is None)
    sources = [_source(top, name, shared.enable, platform=shared, missing_domain=domain)]
    for kind, component in shared.items():
        sources[0] = re.sub(rf"^( *cell )\\{kind} ", rf"\1\\{name}.{kind} ", sources[0], flags=re.MULTILINE)
        sources.append(_source(component, f"{name}.{kind}", shared.enable))
    source = with_plain_port_names(without_unused_resets("".join(sources)))
    if clocking.clock != "clk":
        source = _renamed(source, name, "clk", clocking.clock, inverted=False)
    if clocking.reset not in ("rst", None):
        source = _renamed(source, name, "rst", clocking.reset, inverted=clocking.active_low)
    source, chains = re.subn(rf"(?<=^  cell )\\{CHAIN} ", rf"\\{name}_{CHAIN} ", source, flags=re.MULTILINE)
    kept = []
    for path, suffix in parts.items():
        source, count = re.subn(rf"\\{name}\.{re.escape(path)}(?=\s)", rf"\\{name}_{suffix}", source)
        if count:
            kept.append(f"{name}_{suffix}")
    clean = "opt_clean" if aliases else "opt_clean -purge"
    commands = [
        "read_rtlil in.il",
        *([f"read_verilog {'-lib' if aliases else '-nosynthesis'} chains.v"] if chains else []),
        f"hierarchy -check -top {name}",
        "proc",
        f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}",
        "flatten -separator _",
        "setattr -mod -unset keep_hierarchy *",
        *(["setattr -unset init */w:*"] if clocking.reset and not clocking.powered_up else []),  # silicon has none
        "delete */t:$meminit_v2",
        "opt_expr",
        "opt_merge",
        "opt_clean",
        "opt_dff",
        "wreduce",
        clean,
        "techmap -map lint.v",
        clean,
        "rename -unescape",
        "write_rtlil out.il",
    ]
    return run_yosys(
        commands, {"in.il": source, "lint.v": _LINT_MAP, "chains.v": chain_verilog(f"{name}_{CHAIN}")}, ["out.il"]
    )["out.il"]


def _source(component: wiring.Component, name: str, enable: Signal | None, **settings: Any) -> str:
    """Return a component as Amaranth writes it, with a port that enables its clock if there is one."""
    if enable is not None:
        members = component.signature.flatten(component)
        ports = {"__".join(map(str, path)): (Value.cast(value), None) for path, _, value in members}
        component, settings["ports"] = EnableInserter(enable)(component), {**ports, enable.name: (enable, None)}
    source: str = rtlil.convert(component, name=name, **settings)
    return source


def _renamed(source: str, name: str, port: str, new: str, *, inverted: bool) -> str:
    """Return RTLIL with a new port of the module ``name``, which drives what its port of one bit did."""
    drives = _INVERTER.format(new=new, port=port) if inverted else f"  connect \\{port} \\{new}\n"

    def edited(_: str, line: str) -> str:
        return f"{line.removesuffix(port)}{new}\n  wire width 1 \\{port}\n{drives.rstrip()}"

    top = re.compile(rf"^module (\\{name})\n(.*?)^end\n", flags=re.MULTILINE | re.DOTALL)
    return _edited(source, top, rf"^  wire width 1 input \d+ +\\{port}$", edited)


def without_unused_resets(source: str) -> str:
    """Drop the reset port that Amaranth gives to every module with a clock from those that do not reset anything."""
    bodies = _MODULE.findall(source)
    unused = {module for module, body in bodies if body.count("\\rst ") + body.count("\\rst\n") == 1}
    if not unused:
        return source

    def dropped(module: str, line: str) -> str:
        return "" if module in unused else line

    source = _edited(source, _CELL, r"^    connect \\rst .*\n", dropped)
    return without_unused_resets(_edited(source, _MODULE, r"^  wire .*\\rst\n", dropped))


def with_plain_port_names(source: str) -> str:
    """Rename ports whose names Amaranth made up, such as ``port$8215$20`` or ``d$1``, to ``port`` and a number.

    Yosys would make plain names of them in the module, and leave the connections of its instances as they are.
    """
    names: dict[str, dict[str, str]] = {}
    for module, body in _MODULE.findall(source):
        ports = re.findall(r"^  wire .*(?:input|output) (\d+)  (?:signed )?(\S*\$\S*)$", body, flags=re.MULTILINE)
        names[module] = {port: f"\\port{number}" for number, port in ports}

    def plain(module: str, name: str) -> str:
        return names.get(module, {}).get(name, name)

    # Connections first: a module may call a wire of its own as a part calls its port.
    source = _edited(source, _CELL, r"(?<=^    connect )\S+", plain)
    return _edited(source, _MODULE, r"\\[^\s\[\]]*\$[^\s\[\]]*", plain)


def _edited(source: str, blocks: re.Pattern[str], pattern: str, edit: Callable[[str, str], str]) -> str:
    """Replace what matches a pattern in modules, or in cells, by ``edit(module, text)``."""
    lines = re.compile(pattern, flags=re.MULTILINE)
    return blocks.sub(lambda block: lines.sub(lambda text: edit(block[1], text[0]), block[0]), source)
