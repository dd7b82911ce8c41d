"""A layer's activity in one vector MAC that takes a vector in every cycle."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus.stream import Beats, layer
from vsq.synth.gatesim.netlist import Gates
from vsq.synth.gatesim.simulation import WORD, Activity, Simulation, pack_codes
from vsq.synth.gatesim.workload import Operands
from vsq.synth.library.liberty import Library

_CYCLES = 96  # at least, of each stream


@dataclass(frozen=True, kw_only=True, eq=False)
class MacStreams:
    """Beats of S streams of T cycles each: every field of :class:`vsq.golden.stimulus.stream.Beats` with the axes [S,
    T].
    """

    config: MacConfig
    beats: Beats

    @classmethod
    def of(cls, config: MacConfig, data: Operands) -> "MacStreams":
        """Return 64 pieces of the layer, evenly spaced, each of whole results."""
        beats = layer(data.weights, data.activations)
        groups = data.weights.codes.shape[1]
        length = -(-_CYCLES // groups) * groups
        results = len(beats) // groups
        starts = np.arange(WORD) * (results - length // groups) // (WORD - 1) * groups
        index = starts[:, None] + np.arange(length)

        def piece(column: Any) -> Any:
            return None if column is None else column[index]

        return cls(config=config, beats=Beats(**{name: piece(column) for name, column in vars(beats).items()}))

    def ports(self) -> dict[str, Any]:
        """Return words [T, width, 1] for each input port."""
        config, beats = self.config, self.beats
        columns = {
            "in_weights": (beats.weights, config.weight),
            "in_activations": (beats.activations, config.activation),
            "in_weight_scale": (beats.weight_scales, config.weight_scale),
            "in_activation_scale": (beats.activation_scales, config.activation_scale),
        }
        words = {
            name: pack_codes(element.encode(codes if codes.ndim == 3 else codes[..., None]), element.bits)
            for name, (codes, element) in columns.items()
            if codes is not None and element is not None
        }
        marks = {"in_first": beats.first, "in_last": beats.last}
        return {**words, **{name: pack_codes(mark[..., None].astype(np.int64), 1) for name, mark in marks.items()}}


def activity(
    gates: Gates, library: Library, config: MacConfig, data: Operands, *, hazards: bool
) -> tuple[Activity, float]:
    """Return the activity of a MAC's netlist that takes a vector in every cycle, and the share of such cycles, 1.0."""
    return stream_activity(gates, library, MacStreams.of(config, data), hazards=hazards), 1.0


def stream_activity(gates: Gates, library: Library, streams: MacStreams, *, hazards: bool) -> Activity:
    """Return the activity of a MAC's netlist on these streams, after a reset and one pass over the first vectors."""
    simulation = Simulation(gates, library, hazards=hazards)
    ones = np.full((1, 1), ~np.uint64(0))
    simulation.drive("rst", ones)
    simulation.clock()
    for name, value in (("rst", ~ones), ("in_valid", ones), ("out_ready", ones)):
        simulation.drive(name, value)
    ports = streams.ports()
    length = len(ports["in_first"])
    for cycle in range(-streams.config.pipeline - 2, length):
        if cycle == 0:
            simulation.reset_counts()
        for name, words in ports.items():
            simulation.drive(name, words[cycle])
        simulation.clock()
    return simulation.activity()
