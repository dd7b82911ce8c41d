"""The functions of library cells on bit-parallel words, and the cells that are registers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from vsq.synth.library.liberty import Cell, Library
from vsq.synth.library.syntax import Group, truth_table

Words = Any  # an array of unsigned words, one bit for each stream
Function = Callable[..., Words]


@dataclass(frozen=True, kw_only=True)
class Register:
    """A flip-flop on the rising edge: ``state' = function(inputs..., state)``; ``outputs`` say which are inverted."""

    clock: str
    inputs: tuple[str, ...]
    function: Function
    outputs: dict[str, bool]


@dataclass(frozen=True, kw_only=True)
class Logic:
    """A combinational cell: each output as a function of all inputs."""

    inputs: tuple[str, ...]
    outputs: dict[str, Function]


@cache
def cell_logic(library: Library) -> dict[str, Logic | Register]:
    """Return what the usable cells do; latches, flip-flops with asynchronous inputs and constants are left out."""
    groups = {group.name: group for group in library.root.find("cell")}
    found: dict[str, Logic | Register] = {}
    for name, cell in library.cells.items():
        if cell.flip_flop:
            if register := _register(groups[name], cell.inputs):
                found[name] = register
        elif cell.functions and not _constants(cell) & set(cell.functions.values()):
            found[name] = Logic(
                inputs=cell.inputs,
                outputs={pin: function(table, len(cell.inputs)) for pin, table in cell.functions.items()},
            )
    return found


def _constants(cell: Cell) -> set[int]:
    """Return the truth tables of 0 and of 1."""
    return {0, (1 << (1 << len(cell.inputs))) - 1}


def _register(group: Group, inputs: tuple[str, ...]) -> Register | None:
    (flip_flop,) = group.find("ff")
    state, inverse = flip_flop.arguments
    clock = flip_flop.attributes["clocked_on"].strip("() ")
    if {"clear", "preset"} & set(flip_flop.attributes) or clock not in inputs:
        return None
    data = tuple(pin for pin in inputs if pin != clock)
    table = truth_table(flip_flop.attributes["next_state"], [*data, state])
    functions = {
        name: pin.attributes["function"].strip("() ")
        for pin in group.find("pin")
        for name in pin.arguments
        if pin.attributes.get("direction") == "output"
    }
    inverted = {state: False, inverse: True, f"!{state}": True, f"{state}'": True}
    if not set(functions.values()) <= inverted.keys():
        return None
    return Register(
        clock=clock,
        inputs=data,
        function=function(table, len(data) + 1),
        outputs={pin: inverted[text] for pin, text in functions.items()},
    )


def function(table: int, inputs: int) -> Function:
    """Return a truth table as a function of words: bit i of the table is the value where input k is bit k of i."""
    names = [f"x{k}" for k in range(inputs)]
    compiled: Function = eval(f"lambda {', '.join(names)}: {_expression(table, names)}")
    return compiled


def _expression(table: int, names: list[str]) -> str:
    """Return Python's expression for a table that is not constant, by Shannon's expansion on the last name."""
    *rest, x = names
    half = 1 << len(rest)
    ones = (1 << half) - 1
    low, high = table & ones, table >> half
    if low == high:
        return _expression(low, rest)
    if (low, high) in ((0, ones), (ones, 0)):
        return x if high else f"~{x}"
    if low == high ^ ones:
        return f"({x} ^ {_expression(low, rest)})"
    if 0 in (low, high):
        return f"({x} & {_expression(high, rest)})" if high else f"(~{x} & {_expression(low, rest)})"
    if ones in (low, high):
        return f"({x} | {_expression(low, rest)})" if high == ones else f"(~{x} | {_expression(high, rest)})"
    return f"(({x} & {_expression(high, rest)}) | (~{x} & {_expression(low, rest)}))"
