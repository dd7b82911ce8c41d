"""Netlists in Verilog with models of their cells, for simulators."""

from vsq.hw.emit.yosys import run_yosys
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow import memory
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library
from vsq.synth.library.logic import ClockGate

_WAIVER = "/* verilator lint_off UNOPTFLAT */ // a carry that ripples through the bits of one vector is no loop"

# Libraries describe it by a latch or by a table of states, which not every reader knows.
_CLOCK_GATE = """
/* verilator lint_off LATCH */
module \\{name} ({ports});
  input {inputs};
  output {gated};
  reg held;
  always @* if (!{clock}) held = {enables};
  assign {gated} = {clock} & held;
endmodule
"""


def gate_level_verilog(netlist: Netlist, library: Library) -> str:
    """Return the netlist's Verilog with models of its memories and, from the Liberty, cells; no delays."""
    cells = {cell for cells in netlist.modules.values() for cell in cells} - netlist.modules.keys()
    memories = {cell for cell in cells if MemoryShape.of(cell)}
    used = cells - memories
    gates = {name: gate for name in used if isinstance(gate := library.logic.get(name), ClockGate)}
    commands = [
        "read_liberty -ignore_miss_func cells.lib",
        f"select {' '.join(sorted(used - gates.keys()))}",
        "write_verilog -noattr -selected models.v",
    ]
    models = run_yosys(commands, {"cells.lib": library.text}, ["models.v"])["models.v"]
    of_memory = [memory.MODEL] if memories else []
    return "\n".join([_WAIVER, netlist.verilog, models, *of_memory, *(_model(*gate) for gate in sorted(gates.items()))])


def mapped(rtlil: str, top: str) -> str:
    """Return the module ``top`` of a design on the built-in library, as :func:`gate_level_verilog`."""
    library = Library.load()
    return gate_level_verilog(synthesize(rtlil, top, Flow(library=library)), library)


def _model(name: str, gate: ClockGate) -> str:
    inputs = [gate.clock, gate.enable, *gate.tied]
    return _CLOCK_GATE.format(
        name=f"{name} ",
        ports=", ".join([*inputs, gate.gated]),
        inputs=", ".join(inputs),
        gated=gate.gated,
        clock=gate.clock,
        enables=" | ".join(inputs[1:]),
    )
