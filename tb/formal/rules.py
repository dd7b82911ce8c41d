"""Proof of the assertions that are written beside a design (:mod:`vsq.hw.emit.companions.assertions`).

No assertion fails in any cycle after a reset, for inputs and times without bound; what the text assumes of the
environment is left out, since the assertions hold without, and so is that handshakes are defined, since there are two
states. Registers start at 0, and before a reset no rule is checked. Products and sums may be any numbers, which shows
more than is asked and takes seconds, where multipliers would take hours.
"""

import re
from itertools import product

from vsq.golden.contract.config import PRESETS
from vsq.hw.emit.companions.kinds import companion_files
from vsq.hw.emit.design import Design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.equivalence import Verdict, decide, from_zero
from vsq.tb.regression.job import TOP

DESIGNS = (
    *product(PRESETS, ("native", "axis")),
    *((f"4/4U/4/4:V=2,R=4,acc=9,pipeline={depth}", "native") for depth in (0, 2, 3)),
    *(("4/4U/4/4:V=2,R=4,acc=9,registered_ready=1,clock_enable=1", interface) for interface in ("native", "axis")),
    ("2/2/1/-:V=1@lanes=1,weight_depth=1,activation_depth=1,multiplier_bits=2", "native"),
    ("4/4/4/-:V=4,pipeline=0@lanes=3,ppu=off,weight_depth=2,activation_depth=2", "native"),
)  # all presets, pipelines and interfaces, and small elements

_FREE = ("dot", "scale")  # parts whose outputs may be anything
_RULE = re.compile(r"^( *)(\w+): (assert|assume) (\(.*\));$", re.MULTILINE)


def rules(made: Design, name: str = TOP) -> str:
    """Return the assertions of a design with a name."""
    return companion_files(["sva"], made.manifest(name))[f"{name}_sva.sv"]


def check_rules(made: Design, rtlil: str, text: str, seconds: int) -> Verdict:
    """Decide whether an assertion can fail: ``DIFFERENT`` if one does, ``EQUIVALENT`` if none can.

    Args:
        made: The design.
        rtlil: It, or a change of it, as RTLIL with the name :data:`vsq.tb.regression.job.TOP`.
        text: Its assertions, as :func:`rules` gives them.
        seconds: After which the search gives up.
    """
    ports = made.manifest()["ports"]
    ranges = {port["name"]: f"[{port['width'] - 1}:0] {port['name']}" for port in ports}
    inputs = [f"input {ranges[port['name']]}" for port in ports if port["direction"] == "input"]
    outputs = [f"wire {ranges[port['name']]};" for port in ports if port["direction"] == "output"]
    pins = ", ".join(f".{name}({name})" for name in ranges)
    bench = [
        f"module bench({', '.join(inputs)}, output failed);",
        *outputs,
        f"{TOP} design({pins});",
        f"{TOP}_sva rules({pins}, .failed(failed));",
        "endmodule\n",
    ]
    text = re.sub(r"^.*1'bx.*\n", "", text, flags=re.MULTILINE)
    # An assertion that fails sets a register; the bind, which Yosys does not read, is the instance above.
    asserted = [f"{name}_fails" for _, name, verb, _ in _RULE.findall(text) if verb == "assert"]
    checked = _RULE.sub(lambda rule: f"if (!{rule[4]}) {rule[2]}_fails <= 1;" if rule[3] == "assert" else "", text)
    checked = re.sub(r"^bind .*$", "", checked, flags=re.MULTILINE)
    flags = f"  reg {' = 0, '.join(asserted)} = 0;\n  assign failed = {' | '.join(asserted)};\n"
    checked = checked.replace("\n);\n", f",\n  output wire failed\n);\n{flags}", 1)
    script = [
        "read_rtlil design.il",
        "read_verilog -sv rules.sv bench.v",
        "hierarchy -top bench",
        "proc",
        f"delete {' '.join(f'{TOP}_{part}/c:*' for part in _FREE)}",
        "flatten",
        "opt_expr",
        "wreduce",
        "opt_clean",
        "memory_map",
        "setundef -undriven -expose",
        "setundef -zero",
        "opt_clean",
        "async2sync",
        "techmap",
        "dfflegalize -cell $_DFF_P_ 01",
        "opt_clean",
        "write_blif bench.blif",
    ]
    files = {"design.il": rtlil, "rules.sv": checked, "bench.v": "\n".join(bench)}
    blif = from_zero(run_yosys(script, files, ["bench.blif"])["bench.blif"])
    return decide(blif, f"scorr; print_stats; pdr -T {seconds}")
