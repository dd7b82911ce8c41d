"""Designs as the benches drive them: with the ports ``clk`` and ``rst``, the reset active high.

A design without reset ignores ``rst``, and each run of it is a simulation of its own. One whose clock can be disabled
has two ports more: at an edge of ``tick`` while ``frozen`` is high, between two of ``clk``, nothing may change.
Playbacks leave them open.
"""

from collections.abc import Mapping
from types import MappingProxyType

from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.emission import Clocking
from vsq.tb.mutation.pins import Pins
from vsq.tb.regression.job import TOP

Ports = dict[str, tuple[str, int]]  # by name: direction and width

FREEZING = ("frozen", "tick")
INNER = "inner"  # the design's name within a shell


def name_within(config: Configuration) -> str:
    """Return the name of the generated design in :func:`generated`."""
    return TOP if driven(config) else f"{TOP}_{INNER}"


def driven(config: Configuration) -> bool:
    """Whether the benches drive the ports of a configuration's design as they are called."""
    clocking = design(config).clocking
    return clocking == Clocking(asynchronous=clocking.asynchronous)


def contract(config: Configuration) -> Ports:
    """Return the ports of a configuration's design."""
    pins, clocking = Pins(config), design(config).clocking
    inputs = {"clk": 1, **pins.inputs}
    called = {"clk": clocking.clock, "rst": clocking.reset}
    ports = {port: ("input", width) for name, width in inputs.items() if (port := called.get(name, name))}
    if clocking.enable:
        ports[clocking.enable] = ("input", 1)
    return ports | {name: ("output", width) for name, width in pins.outputs.items()}


def shell(config: Configuration, top: str, also: Mapping[str, int] = MappingProxyType({})) -> str:
    """Return the module :data:`vsq.tb.regression.job.TOP`, with the benches' ports, around the module ``top``.

    ``also`` are the widths of further inputs of both.
    """
    clocking = design(config).clocking
    inside = {clocking.clock: "clk", clocking.reset or "": "~rst" if clocking.active_low else "rst"}
    listed = {**contract(config), **{name: ("input", width) for name, width in also.items()}}
    streams = {name: about for name, about in listed.items() if name not in (*inside, clocking.enable)}
    outside = {**dict.fromkeys(["clk", "rst", *(FREEZING if clocking.enable else ())], ("input", 1)), **streams}
    ports = ",\n".join(f"  {direction} wire [{width - 1}:0] {name}" for name, (direction, width) in outside.items())
    if clocking.enable:  # open ports are z, or 0
        inside |= {clocking.clock: "clk | (tick === 1'b1)", clocking.enable: "frozen !== 1'b1"}
    connections = ", ".join(f".{name}({inside.get(name, name)})" for name in listed)
    return f"module {TOP}(\n{ports}\n);\n  {top} {INNER} ({connections});\nendmodule\n"


def generated(config: Configuration) -> str:
    """Return the generated Verilog, whose top module :data:`vsq.tb.regression.job.TOP` has the benches' ports."""
    name = name_within(config)
    return design(config).verilog(name) + ("" if name == TOP else shell(config, name))
