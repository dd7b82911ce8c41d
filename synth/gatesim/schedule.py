"""The order in which a netlist's gates are evaluated: registers, then gates and memories step by step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.synth.gatesim.netlist import ONE, Gate, Gates, group_by_cell, nets_at
from vsq.synth.library.liberty import Library
from vsq.synth.library.logic import Function, Logic, Register, cell_logic


def clock_nets(gates: Gates, library: Library) -> set[int]:
    """Return the nets that clock registers and memories."""
    logic = cell_logic(library)
    found = {gate.pins[cell.clock] for gate in gates.gates if isinstance(cell := logic[gate.cell], Register)}
    return found | {memory.ports["clk"][0] for memory in gates.memories}


@dataclass(frozen=True, eq=False)
class RegisterGroup:
    """All registers of one cell type: nets [inputs, N], and nets [N] of each output with whether it is inverted."""

    function: Function
    inputs: NDArray[np.int64]
    outputs: list[tuple[NDArray[np.int64], bool]]


@dataclass(frozen=True, eq=False)
class LogicGroup:
    """Combinational gates of one cell type: nets [inputs, N], and nets [N] of each output with its function."""

    inputs: NDArray[np.int64]
    outputs: list[tuple[NDArray[np.int64], Function]]


Step = tuple[list[LogicGroup], list[int]]  # what is evaluated at one time: gates, and memories by number


def _inputs_of(gates: Sequence[Gate], pins: Sequence[str]) -> NDArray[np.int64]:
    return np.array([nets_at(gates, pin) for pin in pins], np.int64).reshape(len(pins), len(gates))


def register_groups(gates: Sequence[Gate], logic: Mapping[str, Logic | Register]) -> list[RegisterGroup]:
    """Return the registers by cell type."""
    return [
        RegisterGroup(
            function=register.function,
            inputs=_inputs_of(members, register.inputs),
            outputs=[(nets_at(members, pin), inverted) for pin, inverted in register.outputs.items()],
        )
        for cell, members in group_by_cell(gates).items()
        if isinstance(register := logic[cell], Register)
    ]


def schedule(gates: Gates, logic: Mapping[str, Logic | Register], hazards: bool) -> list[Step]:
    """Return what is evaluated at each step: cells by type, and memories with combinational reads.

    A gate's output can change from one step after its first input's first change to one step after its last input's
    last; without ``hazards`` only the last of these steps counts.
    """
    nodes: list[tuple[Gate | int, list[int], list[int]]] = [
        (gate, [gate.pins[pin] for pin in cell.inputs if pin in gate.pins], list(gate.pins.values()))
        for gate in gates.gates
        if isinstance(cell := logic[gate.cell], Logic)
    ]
    nodes += [
        (number, memory.ports["read_address"], memory.ports["read_data"])
        for number, memory in enumerate(gates.memories)
        if not memory.registered
    ]
    windows = _windows([(inputs, set(outputs) - set(inputs)) for _, inputs, outputs in nodes])
    steps = 1 + max((last for _, last in windows), default=-1)
    at: list[list[Gate]] = [[] for _ in range(steps)]
    memories: list[list[int]] = [[] for _ in range(steps)]
    for (node, _, _), (first, last) in zip(nodes, windows, strict=True):
        if isinstance(node, int):
            memories[last].append(node)
        else:
            for step in range(first if hazards else last, last + 1):
                at[step].append(node)
    groups = [[_group(logic[cell], members) for cell, members in group_by_cell(found).items()] for found in at]
    return list(zip(groups, memories, strict=True))


def _group(cell: Logic | Register, members: Sequence[Gate]) -> LogicGroup:
    assert isinstance(cell, Logic)
    outputs = [(nets_at(members, pin), function) for pin, function in cell.outputs.items()]
    return LogicGroup(inputs=_inputs_of(members, cell.inputs), outputs=outputs)


def _windows(nodes: Sequence[tuple[Sequence[int], Iterable[int]]]) -> list[tuple[int, int]]:
    """Return the first and last step at which each node's outputs can change; its inputs and outputs are nets."""
    driver = {net: number for number, (_, outputs) in enumerate(nodes) for net in outputs}
    before = [{driver[net] for net in inputs if net in driver} for inputs, _ in nodes]
    # Registers, memories and inputs change before step 0, constants never.
    early = [any(net not in driver and net > ONE for net in inputs) for inputs, _ in nodes]
    try:
        order = list(TopologicalSorter(dict(enumerate(before))).static_order())
    except CycleError:
        raise InputError("netlist with a combinational loop: its activity is not defined; break the loop") from None
    windows = [(0, 0)] * len(nodes)
    for number in order:
        found = [windows[node] for node in before[number]]
        last = max((last + 1 for _, last in found), default=0)
        windows[number] = (0 if early[number] else min((first + 1 for first, _ in found), default=last), last)
    return windows
