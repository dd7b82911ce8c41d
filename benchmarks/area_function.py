"""Function of the netlists that the area benchmark compares: simulated beside sum(a*b) in integers."""

import numpy as np

from vsq.golden.contract.errors import InputError
from vsq.synth.flow.netlist import Netlist
from vsq.synth.gatesim.netlist import flat
from vsq.synth.gatesim.simulation import WORD, Simulation, pack_codes
from vsq.synth.library.liberty import Library

_STEPS = 4  # of 64 vectors each


def check_dot(netlist: Netlist, library: Library, bits: tuple[int, int], vector_size: int) -> None:
    """Simulate a dot product of signed operands on random vectors and on those of least and greatest codes.

    Its inputs are ``weights`` and ``activations``, or ``w0`` … and ``a0`` …; its output is ``d``.

    Raises:
        InputError: If a sum is wrong, modulo the power of two that ``d`` holds.
    """
    gates = flat(netlist)
    simulation = Simulation(gates, library)
    rng = np.random.default_rng(1)
    ranges = [(-(1 << size - 1), (1 << size - 1) - 1) for size in bits]
    sides = [rng.integers(low, high, (WORD, _STEPS, vector_size), endpoint=True) for low, high in ranges]
    for stream in range(4):
        for side, extremes in enumerate(ranges):
            sides[side][stream, 0] = extremes[stream >> side & 1]
    ports = {}
    for (whole, letter), codes, size in zip((("weights", "w"), ("activations", "a")), sides, bits, strict=True):
        if whole in gates.inputs:
            ports[whole] = pack_codes(codes, size)
        else:
            ports |= {f"{letter}{lane}": pack_codes(codes[:, :, lane], size) for lane in range(vector_size)}
    total, modulus = (sides[0] * sides[1]).sum(axis=2), 1 << len(gates.outputs["d"])
    for step in range(_STEPS):
        for port, words in ports.items():
            simulation.drive(port, words[step])
        simulation.clock()
        found = np.unpackbits(simulation.values[gates.outputs["d"]].view(np.uint8), axis=1, bitorder="little")
        sums = (found.astype(np.int64) << np.arange(len(found))[:, None]).sum(axis=0)
        if wrong := np.flatnonzero(sums != total[:, step] % modulus).tolist():
            raise InputError(f"{netlist.top}: {len(wrong)} of {WORD} sums are not sum(a*b), so areas are not compared")
