"""The netlist of a layout: as BLIF for placement, as Verilog for timing, and compared with that of a layout."""

from collections.abc import Mapping

from vsq.golden.contract.errors import InputError
from vsq.synth.gatesim.netlist import ONE, ZERO, Gates
from vsq.synth.layout.qflow import TOP

CLOCK = "clk"

# A cell by what it is and what is at its pins: gates of a netlist have no names that survive placement.
Instance = tuple[str, frozenset[tuple[str, str]]]


def net_names(gates: Gates) -> dict[int, str]:
    """Return plain names, which every tool takes, of the nets at pins of gates."""
    (clock,) = gates.inputs[CLOCK]
    used = sorted({net for gate in gates.gates for net in gate.pins.values()})
    return {net: CLOCK if net == clock else f"n{net}" for net in used}


def check_gates(gates: Gates, name: str) -> None:
    """Check that gates can be laid out.

    Raises:
        InputError: If a pin is constant, since nothing lays out constants, or the design has memories.
    """
    if gates.memories:
        raise InputError(f"{name}: layouts have no memories; give a vector MAC")
    for gate in gates.gates:
        if pin := next((pin for pin, net in gate.pins.items() if net in (ZERO, ONE)), None):
            raise InputError(
                f"{name}: pin {pin} of a cell {gate.cell} in {gate.component} is tied to a constant, "
                "which no cell of a layout drives; leave this configuration out"
            )


def instances(gates: Gates) -> list[Instance]:
    """Return each gate as its cell and the nets at its pins."""
    names = net_names(gates)
    return [(gate.cell, frozenset((pin, names[net]) for pin, net in gate.pins.items())) for gate in gates.gates]


def blif(gates: Gates) -> str:
    """Return the gates as BLIF; ports are the nets at the design's, so that outputs of one value share a port."""
    names = net_names(gates)
    inputs, outputs = ports(gates)
    lines = [f".model {TOP}", " ".join([".inputs", *inputs]), " ".join([".outputs", *outputs])]
    lines += [
        " ".join([".gate", gate.cell, *(f"{pin}={names[net]}" for pin, net in gate.pins.items())])
        for gate in gates.gates
    ]
    return "\n".join([*lines, ".end"]) + "\n"


def ports(gates: Gates) -> tuple[list[str], list[str]]:
    """Return the names of nets at inputs and at outputs; nets without a gate are left out."""
    names = net_names(gates)
    inputs = {names[net]: None for nets in gates.inputs.values() for net in nets if net in names}
    outputs = {names[net]: None for nets in gates.outputs.values() for net in nets if net in names}
    return [*inputs], [name for name in outputs if name not in inputs]


def verilog(gates: Gates, cells: Mapping[str, Instance]) -> str:
    """Return the cells of a layout by name as Verilog, with the ports of the gates that were laid out."""
    inputs, outputs = ports(gates)
    lines = [f"module {TOP}({', '.join([*inputs, *outputs])});"]
    lines += [f"  input {name};" for name in inputs] + [f"  output {name};" for name in outputs]
    lines += [
        f"  {cell} {name} ({', '.join(f'.{pin}({net})' for pin, net in sorted(pins))});"
        for name, (cell, pins) in cells.items()
    ]
    return "\n".join([*lines, "endmodule"]) + "\n"
