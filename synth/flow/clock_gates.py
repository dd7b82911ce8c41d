"""Gated clocks for flip-flops that share an enable: by the library's clock gate, or by a latch and an AND."""

from vsq.synth.library.liberty import AND2, INVERTER, Library
from vsq.synth.library.logic import ClockGate, Latch

# A clock gate is as large as two multiplexers, which flip-flops with an enable need one of each.
_GATED_TOGETHER = 3

# The latch follows the enable while the clock is low, so that the AND passes whole pulses.
_OF_A_LATCH = """
module vsq_clock_gate (input clock, enable, output gated);
  wire low, held;
  \\{inverter} inverter (.\\{inverter_in} (clock), .\\{inverter_out} (low));
  \\{latch} latch (.\\{open} (low), .\\{data} (enable), .\\{held} (held));
  \\{conjunction} conjunction (.\\{first} (clock), .\\{second} (held), .\\{gated} (gated));
endmodule
"""


def gating(library: Library) -> tuple[list[str], dict[str, str]]:
    """Return Yosys's commands for a design before its flip-flops are mapped, and the files that they read."""
    files = {}
    if library.clock_gate:
        gate = library.logic[library.clock_gate.name]
        assert isinstance(gate, ClockGate)
        tied = "".join(f" -tie_lo {pin}" for pin in gate.tied)
        cell = f"{library.clock_gate.name} {gate.enable}:{gate.clock}:{gate.gated}{tied}"
    elif text := _of_a_latch(library):
        files = {"clock_gate.v": text}
        cell = "vsq_clock_gate enable:clock:gated"
    else:
        return [], {}
    commands = [
        # Synchronous resets become logic, of which the enables are part.
        "dfflegalize -cell $_DFF_P_ 01 -cell $_DFFE_PP_ 01 t:$_SDFFE_P* t:$_SDFFCE_P* t:$_DFFE_PN_",
        "opt -fast",
        f"clockgate -pos {cell} -min_net_size {_GATED_TOGETHER}",
        *(f"techmap -map {file}" for file in files),
    ]
    return commands, files


def _of_a_latch(library: Library) -> str:
    """Return the module of a clock gate made of three cells, or nothing if the library lacks one."""
    latches = {name: cell for name, cell in library.logic.items() if isinstance(cell, Latch)}
    inverter, conjunction = library.smallest(1, INVERTER), library.smallest(2, AND2)
    if not (latches and inverter and conjunction):
        return ""
    name = min(latches, key=lambda name: (library.cells[name].area, name))
    latch = latches[name]
    first, second = conjunction.inputs
    return _OF_A_LATCH.format(
        inverter=inverter.name,
        inverter_in=inverter.inputs[0],
        inverter_out=next(iter(inverter.functions)),
        latch=name,
        open=latch.enable,
        data=latch.inputs[0],
        held=next(iter(latch.outputs)),
        conjunction=conjunction.name,
        first=first,
        second=second,
        gated=next(iter(conjunction.functions)),
    )
