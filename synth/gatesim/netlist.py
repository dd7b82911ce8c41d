"""A mapped design as a flat list of gates and memories on numbered nets, and the order in which they are evaluated."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import TOP
from vsq.hw.emit.yosys import run_yosys
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow import memory
from vsq.synth.flow.netlist import Netlist
from vsq.synth.library.liberty import Library
from vsq.synth.library.logic import ClockGate, Function, Latch, Logic, Register

ZERO, ONE = 0, 1  # the nets of the two constants
NOWHERE = -1  # the net of unconnected pins: arrays over nets have one entry more, at their end


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One library cell: the nets at its pins, and the component that it belongs to."""

    cell: str
    component: str
    pins: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One memory as :mod:`vsq.synth.flow.memory` describes it, with the nets of its ports, LSB first."""

    component: str
    shape: MemoryShape
    ports: dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Gates:
    """A flat netlist."""

    nets: int  # so many, of which 0 and 1 are constant
    gates: list[Gate]
    memories: list[Memory]
    inputs: dict[str, list[int]]  # the top module's ports, LSB first
    outputs: dict[str, list[int]]
    names: dict[str, list[int]]  # the nets of each name in it


def flat(netlist: Netlist) -> Gates:
    """Return the gates; a gate's component is what the module around it is named after (``<top>_dot``: ``dot``).

    What a memory's own module holds belongs to the module around that.
    """
    commands = [
        "read_verilog -lib memory_box.v",
        "read_verilog mapped.v",
        f"hierarchy -top {netlist.top}",
        "flatten",
        "opt_clean",
        "write_json out.json",
    ]
    text = run_yosys(commands, {**memory.FILES, "mapped.v": netlist.verilog}, ["out.json"])["out.json"]
    module = json.loads(text)["modules"][netlist.top]
    numbers: dict[Any, int] = {"0": ZERO, "x": ZERO, "1": ONE}

    def nets(bits: list[Any]) -> list[int]:
        return [numbers.setdefault(bit, len(numbers) - 1) for bit in bits]

    components = {
        name: component
        for name, cell in module["cells"].items()
        if cell["type"] == "$scopeinfo"
        and not MemoryShape.of(component := cell["attributes"]["module"].removeprefix(f"{netlist.top}_"))
    }
    gates, memories = [], []
    for cell in module["cells"].values():
        if cell["type"] == "$scopeinfo":
            continue
        # The path of names from the top, the last one being the cell's own.
        *around, _ = cell["attributes"].get("hdlname", "-").split()
        places = (".".join(around[:length]) for length in range(len(around), 0, -1))
        component = next((components[place] for place in places if place in components), TOP)
        pins = {pin: nets(bits) for pin, bits in cell["connections"].items()}
        if cell["type"] == memory.MEMORY:
            width, depth, registered = (int(cell["parameters"][name], 2) for name in ("WIDTH", "DEPTH", "REGISTERED"))
            shape = MemoryShape(width, depth, bool(registered))
            memories.append(Memory(component=component, shape=shape, ports=pins))
        else:
            connected = {pin: bits[0] for pin, bits in pins.items() if bits}
            gates.append(Gate(cell=cell["type"], component=component, pins=connected))
    inputs, outputs = (
        {name: nets(port["bits"]) for name, port in module["ports"].items() if port["direction"] == direction}
        for direction in ("input", "output")
    )
    names = {name: nets(about["bits"]) for name, about in module["netnames"].items()}
    return Gates(nets=len(numbers) - 1, gates=gates, memories=memories, inputs=inputs, outputs=outputs, names=names)


def group_by_cell(gates: Iterable[Gate]) -> dict[str, list[Gate]]:
    """Return the gates of each cell type."""
    found: dict[str, list[Gate]] = defaultdict(list)
    for gate in gates:
        found[gate.cell].append(gate)
    return found


def nets_at(gates: Sequence[Gate], pin: str) -> NDArray[np.int64]:
    """Return the net at one pin of every gate."""
    return np.array([gate.pins.get(pin, NOWHERE) for gate in gates])


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """The nets of clocks: ``roots``, their complements at latches, and by net of a gated one that of its enable."""

    roots: set[int]
    complements: set[int]
    gated: dict[int, int]

    @property
    def nets(self) -> set[int]:
        """All of them."""
        return self.roots | self.complements | self.gated.keys()


def clocks_of(gates: Gates, library: Library) -> Clocks:
    """Return the clocks of registers and memories; clock gates are cells, or each a latch, an inverter and an AND.

    Raises:
        InputError: If a gated clock is gated again, or clocks a memory, or if a latch is none of a clock gate.
    """
    cells = [(gate, library.logic[gate.cell]) for gate in gates.gates]
    gated = {gate.pins[cell.gated]: gate.pins[cell.enable] for gate, cell in cells if isinstance(cell, ClockGate)}
    clocked = {gate.pins[cell.clock] for gate, cell in cells if isinstance(cell, Register)}
    ungated = {memory.ports["clk"][0] for memory in gates.memories}
    ungated |= {gate.pins[cell.clock] for gate, cell in cells if isinstance(cell, ClockGate)}
    latches = {
        gate.pins[output]: gate.pins[cell.enable]
        for gate, cell in cells
        if isinstance(cell, Latch)
        for output in cell.outputs
    }
    complements, held = set(latches.values()), set(latches)
    for gate, cell in cells:
        inputs, outputs = ({gate.pins[pin] for pin in pins if pin in gate.pins} for pins in (cell.inputs, cell.outputs))
        if type(cell) is Logic and outputs & complements:
            ungated |= inputs
        elif type(cell) is Logic and outputs & clocked and inputs & latches.keys():
            (enable,) = inputs & latches.keys()
            held.discard(enable)
            ungated |= inputs - {enable}
            gated |= dict.fromkeys(outputs, enable)
    if held:
        raise InputError("netlist with a latch that gates no clock: not simulated; use flip-flops")
    if not ungated.isdisjoint(gated):
        raise InputError(
            "netlist with a gated clock behind another, or at a memory: not simulated; gate registers only"
        )
    return Clocks(roots=clocked - gated.keys() | ungated, complements=complements, gated=gated)


@dataclass(frozen=True, eq=False)
class CellGroup:
    """Gates of one cell type: nets [inputs, N], and nets [N] of each output with its function."""

    logic: Logic
    inputs: NDArray[np.int64]
    outputs: list[tuple[NDArray[np.int64], Function]]


def cell_groups(gates: Iterable[Gate], library: Library) -> list[CellGroup]:
    """Return the gates by cell type."""
    return [
        CellGroup(
            logic=logic,
            inputs=np.array([nets_at(members, pin) for pin in logic.inputs], np.int64).reshape(-1, len(members)),
            outputs=[(nets_at(members, pin), function) for pin, function in logic.outputs.items()],
        )
        for logic, members in ((library.logic[cell], members) for cell, members in group_by_cell(gates).items())
    ]


def schedule(gates: Gates, library: Library, hazards: bool) -> list[tuple[list[CellGroup], list[int]]]:
    """Return what is evaluated at each step: gates by cell type, and the numbers of memories with combinational reads.

    Clock gates are left out, as registers are. A gate's output can change from one step after its first input's first
    change to one step after its last input's last; without ``hazards`` only the last of these steps counts, nor does
    any other for a latch, which is closed until its input has settled.
    """
    nodes: list[tuple[Gate | int, list[int], list[int]]] = []
    for gate in gates.gates:
        if not isinstance(cell := library.logic[gate.cell], Register | ClockGate):
            inputs, outputs = ([gate.pins[p] for p in pins if p in gate.pins] for pins in (cell.inputs, cell.outputs))
            nodes.append((gate, inputs, outputs))
    for number, one in enumerate(gates.memories):
        if not one.shape.registered:
            nodes.append((number, one.ports["read_address"], one.ports["read_data"]))
    driver = {net: number for number, (_, _, outputs) in enumerate(nodes) for net in outputs}
    before = {number: {driver[net] for net in inputs if net in driver} for number, (_, inputs, _) in enumerate(nodes)}
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        raise InputError("netlist with a combinational loop: its activity is not defined; break the loop") from None
    windows: dict[int, tuple[int, int]] = {}  # of each net; registers, memories and inputs change before step 0
    steps: defaultdict[int, tuple[list[Gate], list[int]]] = defaultdict(lambda: ([], []))
    for node, inputs, outputs in [nodes[number] for number in order]:
        moves = [windows.get(net, (-1, -1)) for net in inputs if net not in (ZERO, ONE)] or [(-1, -1)]
        first, last = 1 + min(first for first, _ in moves), 1 + max(last for _, last in moves)
        windows |= dict.fromkeys(outputs, (first, last))
        if isinstance(node, int):
            steps[last][1].append(node)
        else:
            settles = not hazards or isinstance(library.logic[node.cell], Latch)
            for step in range(last if settles else first, last + 1):
                steps[step][0].append(node)
    return [(cell_groups(found, library), memories) for _, (found, memories) in sorted(steps.items())]
