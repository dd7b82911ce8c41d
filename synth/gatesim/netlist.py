"""A mapped design as a flat list of gates and memories on numbered nets."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.hw.emit.design import TOP
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow import memory
from vsq.synth.flow.synthesis import Netlist

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
    """One memory as :mod:`vsq.synth.flow.memory` describes it: its ports' nets, LSB first, and the component it belongs
    to.
    """

    component: str
    depth: int
    registered: bool
    ports: dict[str, list[int]]

    @property
    def width(self) -> int:
        """Bits of a word."""
        return len(self.ports["read_data"])


@dataclass(frozen=True, kw_only=True)
class Gates:
    """A flat netlist of ``nets`` nets, 0 and 1 being constant.

    ``inputs`` and ``outputs`` are the top module's ports, LSB first; ``names`` are the nets of each name in it.
    """

    nets: int
    gates: list[Gate]
    memories: list[Memory]
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]
    names: dict[str, list[int]]


def flat(netlist: Netlist) -> Gates:
    """Return the gates of a netlist.

    A gate belongs to the component that the module around it is named after (``<top>_dot``: ``dot``).
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
        name: cell["attributes"]["module"].removeprefix(f"{netlist.top}_")
        for name, cell in module["cells"].items()
        if cell["type"] == "$scopeinfo"
    }
    gates, memories = [], []
    for cell in module["cells"].values():
        if cell["type"] == "$scopeinfo":
            continue
        # The path of names from the top, the last one being the cell's own.
        around = ".".join(cell["attributes"].get("hdlname", "").split()[:-1])
        component = components.get(around, TOP)
        pins = {pin: nets(bits) for pin, bits in cell["connections"].items()}
        if cell["type"] == memory.MEMORY:
            values = {name: int(value, 2) for name, value in cell["parameters"].items()}
            memories.append(
                Memory(component=component, depth=values["DEPTH"], registered=bool(values["REGISTERED"]), ports=pins)
            )
        else:
            connected = {pin: bits[0] for pin, bits in pins.items() if bits}
            gates.append(Gate(cell=cell["type"], component=component, pins=connected))
    ports = {
        direction: {
            name: nets(port["bits"]) for name, port in module["ports"].items() if port["direction"] == direction
        }
        for direction in ("input", "output")
    }
    names = {name: nets(about["bits"]) for name, about in module["netnames"].items()}
    return Gates(
        nets=len(numbers) - 1,
        gates=gates,
        memories=memories,
        inputs=ports["input"],
        outputs=ports["output"],
        names=names,
    )


def group_by_cell(gates: Iterable[Gate]) -> dict[str, list[Gate]]:
    """Return the gates of each cell type."""
    found: dict[str, list[Gate]] = defaultdict(list)
    for gate in gates:
        found[gate.cell].append(gate)
    return found


def nets_at(gates: Sequence[Gate], pin: str) -> NDArray[np.int64]:
    """Return the net at one pin of every gate."""
    return np.array([gate.pins.get(pin, NOWHERE) for gate in gates])
