"""Proof that emitted Verilog is the RTLIL that synthesis reads, so that nobody need trust the writer.

Both are Yosys's input, and no output may ever differ, in any cycle after the first, for all inputs, resets among them.
Registers and memories start at 0; undefined constants count as 0. ABC merges the registers of both by induction, after
which nothing is left of the comparison.
"""

from vsq.golden.contract.config import PRESETS
from vsq.hw.emit.design import Design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.equivalence import Verdict, decide, from_zero

_ELEMENT = "V=4@lanes=4,weight_depth=2,activation_depth=4"
DESIGNS = (
    *((name, "native") for name in PRESETS),
    *(
        (f"4/4/4/6:{options}", "native")
        for options in (
            "style=behavioural",
            "style=carrysave",
            "pipeline=0",
            "pipeline=3",
            "V=1",
            "narrow=1",
            "target=fpga",
            "target=ecp5",
        )
    ),
    ("4/4/4/6", "axis"),
    *(("4/4/4/6:reset=async,reset_polarity=low", interface) for interface in ("native", "axis")),
    ("4/4/4/4:V=3,R=4,round=half_even,overflow=wrap,acc=20", "axis"),
    *((f"{mac}{_ELEMENT}", "native") for mac in ("4/4/4/6:", "e2m1/4U/-/-:", "4/8/6/10:R=8,style=behavioural,")),
    ("4/4/4/6:V=2,acc=16@lanes=2,weight_depth=2,activation_depth=4,reuse=2", "native"),
    ("4/4/4/-:V=4,pipeline=0@lanes=3,ppu=off,weight_depth=2,activation_depth=2", "native"),
)  # all presets, pipelines, styles and interfaces; elements with small memories, which become registers


GOLD, GATE = "gold", "gate"  # names of the top modules of RTLIL and Verilog


def compare_text(made: Design, verilog: str) -> Verdict:
    """Decide whether Verilog with the top module :data:`GATE` differs from the RTLIL of a design."""
    ports = made.manifest()["ports"]
    outputs = [port["name"] for port in ports if port["direction"] == "output"]
    inputs = [port["name"] for port in ports if port["direction"] == "input"]
    ranges = {port["name"]: f"[{port['width'] - 1}:0]" for port in ports}
    instances = []
    for name in (GOLD, GATE):
        pins = (f".{pin}({pin if pin in inputs else name + '_' + pin})" for pin in ranges)
        instances.append(f"{name} {name}_design({', '.join(pins)});")
    pair = [
        f"module pair({', '.join(f'input {ranges[pin]} {pin}' for pin in inputs)}, output differs);",
        "reg started = 0;",
        "always @(posedge clk) started <= 1;",
        *(f"wire {ranges[pin]} {GOLD}_{pin}, {GATE}_{pin};" for pin in outputs),
        *instances,
        f"assign differs = started & ({' | '.join(f'({GOLD}_{pin} != {GATE}_{pin})' for pin in outputs)});",
        "endmodule",
    ]
    script = [
        "read_rtlil gold.il",
        "read_verilog -nosynthesis gate.v pair.v",
        "hierarchy -top pair",
        "proc",
        "flatten",
        "opt_expr",
        "wreduce",
        "opt_clean",
        "memory_map",
        "async2sync",
        "setundef -undriven -zero",
        "setundef -zero",
        "opt_clean",
        "techmap",
        "dfflegalize -cell $_DFF_P_ 01",
        "opt_clean",
        "write_blif pair.blif",
    ]
    files = {"gold.il": made.rtlil(GOLD), "gate.v": verilog, "pair.v": "\n".join(pair) + "\n"}
    blif = from_zero(run_yosys(script, files, ["pair.blif"])["pair.blif"])
    return decide(blif, "lcorr -n; scorr; print_stats; bmc3 -F 20")
