"""Gate-level simulation: a mapped netlist in one Verilog file with models of the cells that it uses."""

from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.memory import BIT, MODEL
from vsq.synth.flow.synthesis import Flow, Netlist, synthesize
from vsq.synth.library.liberty import Library

_WAIVER = "/* verilator lint_off UNOPTFLAT */ // a carry that ripples through the bits of one vector is no loop"


def gate_level_verilog(netlist: Netlist, library: Library) -> str:
    """Return the netlist's Verilog with cell models, which Yosys writes from the Liberty's functions; no delays.

    Memories have a model too.
    """
    used = {cell for cells in netlist.modules.values() for cell in cells} - netlist.modules.keys()
    memories = MODEL if BIT in used else ""
    commands = [
        "read_liberty cells.lib",
        f"select {' '.join(sorted(used - {BIT}))}",
        "write_verilog -noattr -selected models.v",
    ]
    models = run_yosys(commands, {"cells.lib": library.text}, ["models.v"])["models.v"]
    return f"{_WAIVER}\n{netlist.verilog}\n{models}{memories}"


def mapped(rtlil: str, top: str) -> str:
    """Return the module ``top`` of a design on the built-in library, as :func:`gate_level_verilog`."""
    library = Library.load()
    return gate_level_verilog(synthesize(rtlil, top, Flow(library=library)), library)
