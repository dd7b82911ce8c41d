"""One wrong bit at the boundary of any part of the processing element is found.

All mutants stand in one design, which an argument of the simulation chooses among: in turn, the middle bit of each
output of each part is held at 0 or 1.
"""

import re

import numpy as np
import pytest

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.stimulus import commands as pe_stimulus
from vsq.hw.emit.design import PeDesign, design
from vsq.tb.interface.base import length
from vsq.tb.interface.pace import Pace
from vsq.tb.interface.pe import PeInterface
from vsq.tb.playback.playback import check, opened
from vsq.tb.regression.job import TOP
from vsq.tb.scoreboard.pe import PeScoreboard

pytestmark = pytest.mark.slow

TEXT = "4/6/2/3:V=2,R=4,acc=12@lanes=4,weight_depth=4,activation_depth=16,multiplier_bits=6"
CONFIGS = [TEXT, f"{TEXT},reuse=4"]
PARTS = dict.fromkeys(part for part in PeDesign.parts.values() if part != "decoder").keys()  # that of dual precision
COMMANDS = 80
PORT = re.compile(r"^  (input|output) +(?:wire|reg) +(?:signed )?(?:\[(\d+):0\])? *(\w+)", re.MULTILINE)
# What no result depends on.
HARMLESS = {
    "issue_control.command[6]": "the stage after has no use for the number of vectors",
    "lane.nonzero[0] at 1": "registers load zeros instead of holding still, which costs energy alone",
    "scale.nonzero[0] at 1": "the same, inside the lane",
}


def ports(verilog, module):
    start = verilog.index(f"module {module}(")
    return PORT.findall(verilog[start : verilog.index("endmodule", start)])


def with_mutants(verilog):
    """Return the design with a wrapper around each part, and the names of the mutants by number."""
    names = []
    for part in PARTS:
        module = f"{TOP}_{part}"
        found = ports(verilog, module)
        outputs = {name: int(high or 0) for kind, high, name in found if kind == "output"}
        declarations = "".join(f"  {kind} [{high or 0}:0] {name};\n" for kind, high, name in found)
        wires, assigns = "", ""
        for name, high in outputs.items():
            first, bit = len(names), high // 2
            names += [f"{part}.{name}[{bit}] at {level}" for level in (0, 1)]
            wires += f"  wire [{high}:0] {name}__sound;\n"
            assigns += (
                f"  assign {name} = mutant == {first} ? {name}__sound & ~({high + 1}'b1 << {bit}) :\n"
                f"    mutant == {first + 1} ? {name}__sound | ({high + 1}'b1 << {bit}) : {name}__sound;\n"
            )
        inside = ", ".join(f".{name}({name}__sound)" if name in outputs else f".{name}({name})" for *_, name in found)
        verilog = verilog.replace(f"module {module}(", f"module {module}_sound(") + (
            f"module {module}({', '.join(name for *_, name in found)});\n{declarations}{wires}"
            "  integer mutant;\n"
            '  initial if (!$value$plusargs("mutant=%d", mutant)) mutant = -1;\n'
            f"  {module}_sound part({inside});\n{assigns}endmodule\n"
        )
    return verilog, names


@pytest.mark.parametrize("text", CONFIGS)
def test_one_wrong_bit_is_found(text, require_tool):
    require_tool("icarus")
    config = PeConfig.parse(text)
    verilog, names = with_mutants(design(config).verilog(TOP))
    assert {name.partition(".")[0] for name in names} == PARTS
    streams, results = pe_stimulus.commands(config, COMMANDS, seed=3)
    assert any(result.illegal for result in results)
    sent = PeInterface(config).streams(streams)
    pauses = {stream: np.zeros(length(columns), int) for stream, columns in sent.items()}
    pace = Pace(pauses=pauses, taking=np.random.default_rng(1).random(9000) < 0.5)

    with opened(config, "icarus", verilog=verilog) as playback:

        def wrong(*arguments):
            playback.arguments = arguments
            board = PeScoreboard(config, "mutant")
            board.on_beats(sent)
            try:
                return check(board, sent, playback.play(sent, pace))
            except AssertionError as error:
                return str(error)

        assert not wrong()
        survivors = {name for number, name in enumerate(names) if not wrong(f"+mutant={number}")}
    assert survivors == {name for name in names if any(name.startswith(harmless) for harmless in HARMLESS)}
