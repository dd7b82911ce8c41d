"""Proof that a disabled clock changes nothing, and that an enabled one leaves the design as it is without the option.

In any state, without a reset, each register's next value is its value if the enable is 0: no state is reached that is
not reached without. The state is all that an output can tell, as no output depends on the enable within a cycle. With
the enable 1, no output ever differs from that of the design without the port.
"""

import re
from dataclasses import replace

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import Design
from vsq.hw.emit.verilog.netlist import netlists
from vsq.hw.emit.verilog.paths import combinational_paths
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.emitted import GATE, compare_text
from vsq.tb.formal.equivalence import Verdict

DESIGNS = (
    *((f"4/4U/4/6:V=2,pipeline={depth},clock_enable=1", "native") for depth in (0, 1, 3)),
    ("4/4U/4/6:V=2,reset=async,reset_polarity=low,registered_ready=1,clock_enable=1", "axis"),
    ("2/2/1/-:V=1,clock_enable=1@lanes=1,weight_depth=1,activation_depth=1,multiplier_bits=2", "native"),
)
_INNER = "enabled"
_LATCH = re.compile(r"^\.latch (\S+) (\S+) ", re.MULTILINE)


def check_enable(made: Design) -> Verdict:
    """Decide whether the enable of a design's clock does more or less than it should."""
    text = made.verilog(_INNER)
    if moving(made, text):
        return Verdict.DIFFERENT
    return compare_text(type(made)(_without(made.config)), text + _tied(made, GATE, "1"))


def moving(made: Design, text: str) -> list[str]:
    """Return the registers of Verilog with the top module ``enabled`` that change while the clock is disabled.

    So are called, besides, the outputs that depend on the enable within a cycle.
    """
    enable = made.clocking.enable
    script = [
        "read_verilog frozen.v",
        "hierarchy -top frozen",
        "proc",
        "flatten",
        "memory_map",
        "expose -dff frozen",  # what no output depends on must stay
        "async2sync",
        "opt_expr",
        "techmap",
        "dfflegalize -cell $_DFF_P_ 01 -mince 999999 -minsrst 999999",
        "opt_expr",
        "opt_clean",
        "write_blif frozen.blif",
    ]
    blif = run_yosys(script, {"frozen.v": text + _tied(made, "frozen", "0")}, ["frozen.blif"])["frozen.blif"]
    paths = combinational_paths(netlists(made.rtlil()))
    return [
        *(register for following, register in _LATCH.findall(blif) if following != register),
        *(output for output, inputs in paths.items() if enable in inputs),
    ]


def _without(config: Configuration) -> Configuration:
    if isinstance(config, MacConfig):
        return replace(config, clock_enable=False)
    return replace(config, mac=replace(config.mac, clock_enable=False))


def _tied(made: Design, name: str, enable: str) -> str:
    """Return the module ``name`` around the design, its clock always enabled, or disabled and never reset."""
    clocking, ports = made.clocking, made.manifest()["ports"]
    tied = {clocking.enable: f"1'b{enable}"}
    if enable == "0" and clocking.reset:
        tied[clocking.reset] = f"1'b{int(clocking.active_low)}"
    outside = [port for port in ports if port["name"] != clocking.enable]
    declared = ", ".join(f"{port['direction']} [{port['width'] - 1}:0] {port['name']}" for port in outside)
    pins = ", ".join(f".{port['name']}({tied.get(port['name'], port['name'])})" for port in ports)
    return f"\nmodule {name}({declared});\n  {_INNER} design({pins});\nendmodule\n"
