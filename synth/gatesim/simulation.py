"""Switching activity of a mapped netlist: a gate-level simulation of many streams of data at once.

Each net is an array of 64-bit words, one bit a stream; all gates of a kind are evaluated by a few NumPy operations.
With hazards, a gate's outputs follow its inputs after one unit of time, so that transitions within a cycle are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.model.packing import Field, Integer
from vsq.synth.gatesim.netlist import (
    ONE,
    CellGroup,
    Gates,
    cell_groups,
    clocks_of,
    group_by_cell,
    schedule,
)
from vsq.synth.library.liberty import Library
from vsq.synth.library.logic import Register

Words = NDArray[np.uint64]  # [..., W]: bit i of word w is stream 64*w + i

WORD = 64
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_POPCOUNT = np.array([number.bit_count() for number in range(1 << 16)], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """Averages over cycles and streams."""

    toggles: NDArray[np.float64]  # transitions of each net a cycle; with hazards also those that do not last to its end
    ones: NDArray[np.float64]  # share of cycles at whose end the net is 1
    reads: NDArray[np.float64]  # of each memory a cycle
    writes: NDArray[np.float64]
    cycles: int  # that were counted, in all streams together


def pack(bits: NDArray[Any]) -> Words:
    """Return bits [..., S] of S streams as words [..., S / 64]."""
    packed = np.packbits(np.ascontiguousarray(bits, np.uint8), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view(np.uint64)


def pack_codes(codes: NDArray[Any], bits: int) -> Words:
    """Return codes or patterns [S, T] or [S, T, N] of S streams as words [T, N * bits, S / 64], the LSB of 0 first."""
    rows = codes.reshape(codes.shape[0] * codes.shape[1], -1)
    split = Field(Integer(bits), rows.shape[1]).unpacked(rows).reshape(*codes.shape[:2], -1)
    return pack(np.moveaxis(split, 0, -1))


def popcount(words: Words) -> NDArray[np.int64]:
    """Return the ones of words [..., W], summed over the last axis."""
    counts: NDArray[np.int64] = _POPCOUNT[np.ascontiguousarray(words).view(np.uint16)].sum(axis=-1)
    return counts


class Simulation:
    """A netlist in simulation, with 64 streams of data in step; all registers and memories have one clock.

    A clock gate lets an edge pass if its enable was 1 when the netlist had settled before it.

    Raises:
        InputError: If the netlist has a cell that can not be simulated, or more than one clock.
    """

    def __init__(self, gates: Gates, library: Library, *, hazards: bool = False) -> None:
        self._gates = gates
        for gate in gates.gates:
            if gate.cell not in library.logic:
                raise InputError(
                    f"cell {gate.cell} of library {library.name}: a flip-flop or latch with asynchronous inputs or "
                    "a constant is not simulated; mark it dont_use"
                )
        self.values = np.zeros((gates.nets + 1, 1), np.uint64)  # the last one is for unconnected outputs
        self.values[ONE] = _ONES
        self._next: dict[int, Words] = {}
        clocks = clocks_of(gates, library)
        self._gated = clocks.gated
        cells = {name: cell for name, cell in library.logic.items() if isinstance(cell, Register)}
        registers = {name: members for name, members in group_by_cell(gates.gates).items() if name in cells}
        self._registers: list[tuple[CellGroup, Register, NDArray[np.int64], Words]] = []
        for name, members in registers.items():
            (group,) = cell_groups(members, library)
            enables = np.array([self._gated.get(gate.pins[cells[name].clock], ONE) for gate in members])
            self._registers.append((group, cells[name], enables, np.zeros((len(members), 1), np.uint64)))
        self._contents = [np.zeros((one.shape.depth, one.shape.width, 1), np.uint64) for one in gates.memories]
        self._clocks = list(clocks.roots | clocks.complements)
        if len(clocks.roots) > 1:
            raise InputError(f"netlist of {len(clocks.roots)} clocks: all registers share one here; simulate its parts")
        self._schedule = schedule(gates, library, hazards)
        self.reset_counts()
        self._settle()
        self.reset_counts()

    def reset_counts(self) -> None:
        """Forget what was counted so far."""
        self._toggles, self._ones = np.zeros((2, len(self.values)), np.int64)
        self._passed = np.zeros(len(self._gated), np.int64)
        self._reads, self._writes = np.zeros((2, len(self._gates.memories)), np.int64)
        self._cycles = 0

    def drive(self, port: str, words: Words) -> None:
        """Let an input have these values, [width, W], from the next clock edge on."""
        self._next.update(zip(self._gates.inputs[port], words, strict=True))

    def agreed(self, port: str) -> int:
        """Return the number on an output; one that differs between the streams is an InputError."""
        return self._number(self._gates.outputs[port])

    def clock(self) -> None:
        """Let one clock edge pass and the netlist settle; count its transitions."""
        changes: list[tuple[Any, Words]] = []
        self._passed += popcount(self.values[list(self._gated.values())])
        for group, cell, enables, state in self._registers:
            enabled = self.values[enables]
            state[:] = (cell.next(*self.values[group.inputs], state) & enabled) | (state & ~enabled)
            changes += [(nets, function(state)) for nets, function in group.outputs]
        for number, memory in enumerate(self._gates.memories):
            ports, contents = memory.ports, self._contents[number]
            if memory.shape.registered and self._number(ports["read"]):
                changes.append((ports["read_data"], contents[self._number(ports["read_address"])].copy()))
                self._reads[number] += 1
            if self._number(ports["write"]):
                contents[self._number(ports["write_address"])] = self.values[ports["write_data"]]
                self._writes[number] += 1
        if self._next:
            changes.append((list(self._next), np.array(list(self._next.values()))))
            self._next = {}
        self._change(changes)
        self._settle()
        self._ones += popcount(self.values)
        self._cycles += 1

    def activity(self) -> Activity:
        """Return what was counted since the last :meth:`reset_counts`; a clock's edge is two transitions a cycle."""
        count = self._cycles * WORD
        toggles, ones = self._toggles / count, self._ones / count
        toggles[self._clocks], ones[self._clocks] = 2, 0.5
        gated = list(self._gated)
        toggles[gated], ones[gated] = 2 * self._passed / count, self._passed / (2 * count)
        return Activity(
            toggles=toggles[:-1],
            ones=ones[:-1],
            reads=self._reads / self._cycles,
            writes=self._writes / self._cycles,
            cycles=count,
        )

    def _change(self, changes: Sequence[tuple[Any, Words]]) -> None:
        """Give nets new values and count what changes."""
        if changes:
            nets = np.concatenate([nets for nets, _ in changes])
            values = np.concatenate([values for _, values in changes])
            self._toggles[nets] += popcount(self.values[nets] ^ values)
            self.values[nets] = values

    def _settle(self) -> None:
        """Propagate the values at registers, memories and inputs through the gates."""
        for groups, memories in self._schedule:
            changes: list[tuple[Any, Words]] = []
            for group in groups:
                inputs = self.values[group.inputs]
                changes += [(nets, function(*inputs)) for nets, function in group.outputs]
            for number in memories:
                ports = self._gates.memories[number].ports
                word = self._contents[number][self._number(ports["read_address"])]
                self._reads[number] += bool((word != self.values[ports["read_data"]]).any())
                changes.append((ports["read_data"], word))
            self._change(changes)

    def _number(self, nets: Sequence[int]) -> int:
        """Return the number on control nets, the same in all streams."""
        words = self.values[list(nets)]
        if not ((words == 0) | (words == _ONES)).all():
            raise InputError("streams: a handshake or a memory's address differs between them; give equal commands")
        return sum(int(word[0] != 0) << bit for bit, word in enumerate(words))
