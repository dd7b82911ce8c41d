"""The functions of cells, on words of many streams at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsq.synth.library.syntax import Group, truth_table

Function = Callable[..., Any]  # of arrays of unsigned words, one bit for each stream


@dataclass(frozen=True, kw_only=True)
class Logic:
    """A cell: each output as a function of all inputs."""

    inputs: tuple[str, ...]
    outputs: dict[str, Function]


@dataclass(frozen=True, kw_only=True)
class Register(Logic):
    """A flip-flop on the rising edge: ``state' = next(inputs..., state)``; outputs are functions of the state."""

    clock: str
    next: Function


@dataclass(frozen=True, kw_only=True)
class ClockGate(Logic):
    """An integrated clock gate: ``gated = clock & held``, where ``held`` follows ``enable`` while the clock is low.

    ``tied`` are pins for tests, which are 0; the one in ``outputs`` is the gated clock, which has no function here.
    """

    clock: str
    enable: str
    gated: str
    tied: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Latch(Logic):
    """A latch: the one in ``outputs`` follows its only input while the pin ``enable`` is 1."""

    enable: str


def register(group: Group, inputs: tuple[str, ...]) -> Register | None:
    """Return the function of a flip-flop's group; None if it has asynchronous inputs or a form that is not read."""
    (flip_flop,) = group.find("ff")
    state, inverse = flip_flop.arguments
    clock = flip_flop.attributes["clocked_on"].strip("() ")
    texts = {
        name: pin.attributes["function"].strip("() ")
        for pin in group.find("pin")
        for name in pin.arguments
        if pin.attributes.get("direction") == "output"
    }
    inverted = function(0b01, 1)
    functions = {state: function(0b10, 1), inverse: inverted, f"!{state}": inverted, f"{state}'": inverted}
    asynchronous = {"clear", "preset"} & flip_flop.attributes.keys()
    if asynchronous or clock not in inputs or not functions.keys() >= set(texts.values()):
        return None
    data = tuple(pin for pin in inputs if pin != clock)
    table = truth_table(flip_flop.attributes["next_state"], [*data, state])
    return Register(
        inputs=data,
        outputs={pin: functions[text] for pin, text in texts.items()},
        clock=clock,
        next=function(table, len(data) + 1),
    )


def clock_gate(group: Group) -> ClockGate | None:
    """Return the function of a cell's group if it gates a rising clock's high phase by a latch; else None."""
    if not group.attributes.get("clock_gating_integrated_cell", "").startswith("latch_posedge"):
        return None
    pins = {
        role: tuple(pin.name for pin in group.find("pin") if pin.attributes.get(f"clock_gate_{role}_pin") == "true")
        for role in ("clock", "enable", "out", "test")
    }
    if any(len(pins[role]) != 1 for role in ("clock", "enable", "out")):
        return None
    (clock,), (enable,), (gated,) = (pins[role] for role in ("clock", "enable", "out"))
    return ClockGate(inputs=(enable,), outputs={}, clock=clock, enable=enable, gated=gated, tied=pins["test"])


def latch(group: Group) -> Latch | None:
    """Return the function of a latch's group; None if it has more pins than data, enable and its state."""
    (found,) = group.find("latch")
    state = found.arguments[0]
    data, enable = (found.attributes[name].strip("() ") for name in ("data_in", "enable"))
    directions = {pin.name: pin.attributes.get("direction") for pin in group.find("pin")}
    outputs = [pin.name for pin in group.find("pin") if pin.attributes.get("function", "").strip("() ") == state]
    if len(outputs) != 1 or directions != {data: "input", enable: "input", outputs[0]: "output"}:
        return None
    return Latch(inputs=(data,), outputs={outputs[0]: function(0b10, 1)}, enable=enable)


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
