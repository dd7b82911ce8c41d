"""Switching activity of a mapped netlist: a gate-level simulation of many streams of data at once.

Each net is an array of 64-bit words, one bit a stream; all gates of a kind are evaluated by a few NumPy operations. No
simulator is needed and nothing is compiled, and hazards are counted as well: a gate's outputs follow its inputs after
one unit of time, so that transitions within a cycle are seen, which a cycle-based simulator leaves out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError
from vsq.golden.model.packing import Field, Integer
from vsq.synth.gatesim.netlist import ONE, Gates, Memory
from vsq.synth.gatesim.schedule import clock_nets, register_groups, schedule
from vsq.synth.library.liberty import Library
from vsq.synth.library.logic import cell_logic

Words = NDArray[np.uint64]  # [..., W]: bit i of word w is stream 64*w + i

WORD = 64
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_POPCOUNT = np.array([number.bit_count() for number in range(1 << 16)], np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """Averages over cycles and streams.

    Args:
        toggles: Transitions a cycle of every net; with ``hazards`` also those that do not last until the cycle's end.
        ones: Share of cycles at whose end the net is 1.
        reads, writes: Accesses a cycle of every memory.
        cycles: Cycles counted, in all streams together.
    """

    toggles: NDArray[np.float64]
    ones: NDArray[np.float64]
    reads: NDArray[np.float64]
    writes: NDArray[np.float64]
    cycles: int


def pack(bits: NDArray[Any]) -> Words:
    """Return bits [..., S] of S streams as words [..., S / 64]."""
    packed = np.packbits(np.ascontiguousarray(bits, np.uint8), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view(np.uint64)


def pack_codes(codes: NDArray[Any], bits: int) -> Words:
    """Return codes or patterns [S, T] or [S, T, N] of S streams as words [T, N * bits, S / 64], the LSB of 0 first."""
    rows = codes.reshape(codes.shape[0] * codes.shape[1], -1)
    split = Field(Integer(bits), rows.shape[1]).unpacked(rows).reshape(*codes.shape[:2], -1)
    return pack(np.moveaxis(split, 0, -1))


def unpack(words: Words) -> NDArray[np.uint8]:
    """Return words [..., W] as bits [..., 64 * W]."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")


def popcount(words: Words) -> NDArray[np.int64]:
    """Return the ones of words [..., W], summed over the last axis."""
    counts: NDArray[np.int64] = _POPCOUNT[np.ascontiguousarray(words).view(np.uint16)].sum(axis=-1)
    return counts


class Simulation:
    """A netlist in simulation, all streams in step.

    Args:
        gates: The netlist; all registers and memories have one clock.
        library: Its cells.
        streams: Streams of data, a multiple of 64.
        hazards: Whether transitions within a cycle are simulated and counted; takes longer.

    Raises:
        InputError: If the netlist has a cell that can not be simulated, or more than one clock.
    """

    def __init__(self, gates: Gates, library: Library, *, streams: int = WORD, hazards: bool = False) -> None:
        self._gates, words = gates, streams // WORD
        logic = cell_logic(library)
        for gate in gates.gates:
            if gate.cell not in logic:
                raise InputError(
                    f"cell {gate.cell} of library {library.name}: a latch, a flip-flop with asynchronous inputs or "
                    "a constant is not simulated; mark it dont_use"
                )
        self.values = np.zeros((gates.nets + 1, words), np.uint64)  # the last one is for unconnected outputs
        self.values[ONE] = _ONES
        self._next: dict[int, Words] = {}
        self._registers = register_groups(gates.gates, logic)
        self._clocks = list(clock_nets(gates, library))
        if len(self._clocks) > 1:
            raise InputError(f"netlist of {len(self._clocks)} clocks: all registers share one here; simulate its parts")
        self._states = [np.zeros((len(group.outputs[0][0]), words), np.uint64) for group in self._registers]
        self._contents = [np.zeros((m.depth, m.width, words), np.uint64) for m in gates.memories]
        self._schedule = schedule(gates, logic, hazards)
        self.reset_counts()
        self._settle()
        self.reset_counts()

    def reset_counts(self) -> None:
        """Forget what was counted so far."""
        self._toggles = np.zeros(len(self.values), np.int64)
        self._ones = np.zeros(len(self.values), np.int64)
        self._reads = np.zeros(len(self._gates.memories), np.int64)
        self._writes = np.zeros(len(self._gates.memories), np.int64)
        self._cycles = 0

    def drive(self, port: str, words: Words) -> None:
        """Let an input have these values, [width, W], from the next clock edge on."""
        self._next.update(zip(self._gates.inputs[port], words, strict=True))

    def output(self, port: str) -> Words:
        """Return an output's values, [width, W]."""
        return self.values[self._gates.outputs[port]]

    def agreed(self, port: str) -> int:
        """Return the number on an output that is the same in all streams.

        Raises:
            InputError: If it is not.
        """
        return self._number(self._gates.outputs[port])

    def clock(self) -> None:
        """Let one clock edge pass and the netlist settle; count its transitions."""
        changes: list[tuple[Any, Words]] = []
        for state, group in zip(self._states, self._registers, strict=True):
            state[:] = group.function(*self.values[group.inputs], state)
            changes += [(nets, state ^ _ONES if inverted else state) for nets, inverted in group.outputs]
        for number, memory in enumerate(self._gates.memories):
            changes += self._clock_memory(number, memory)
        if self._next:
            changes.append((list(self._next), np.array(list(self._next.values()))))
            self._next = {}
        self._change(changes)
        self._settle()
        self._ones += popcount(self.values)
        self._cycles += 1

    def activity(self) -> Activity:
        """Return what was counted since the last :meth:`reset_counts`; clocks have two transitions a cycle."""
        count = self._cycles * self.values.shape[1] * WORD
        toggles, ones = self._toggles / count, self._ones / count
        toggles[self._clocks], ones[self._clocks] = 2, 0.5
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

    def _clock_memory(self, number: int, memory: Memory) -> list[tuple[Any, Words]]:
        """Read, then write; return the changes."""
        changes: list[tuple[Any, Words]] = []
        ports = memory.ports
        if memory.registered and self._number(ports["read"]):
            word = self._contents[number][self._number(ports["read_address"])].copy()
            changes.append((ports["read_data"], word))
            self._reads[number] += 1
        if self._number(ports["write"]):
            self._contents[number][self._number(ports["write_address"])] = self.values[ports["write_data"]]
            self._writes[number] += 1
        return changes

    def _number(self, nets: Sequence[int]) -> int:
        """Return the number on control nets, the same in all streams."""
        words = self.values[list(nets)]
        if not ((words == 0) | (words == _ONES)).all():
            raise InputError("streams: a handshake or a memory's address differs between them; give equal commands")
        return sum(int(word[0] != 0) << bit for bit, word in enumerate(words))
