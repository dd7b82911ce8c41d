"""Handshake and marks of the MAC's elastic pipeline."""

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.mac.stages import scaled


class Control(wiring.Component):
    """Valid/ready of every register stage, and the marks that travel with a vector.

    Stage i of 0 .. D-1 is a register stage of the datapath and stage D the accumulator, whose register holds a result
    until it is taken. A stage loads when it is empty or moves on in the same cycle, so bubbles close under
    back-pressure: ``ready[i] = ~valid[i] | ready[i+1]``.

    ``enables[i]`` is that of stage i's data registers. With a scale path it stays low for a vector with r = 0 (it adds
    nothing, so the datapath does not toggle), unless the vector is ``first``: that one must clear the accumulator.
    Lanes that move together share one control; each has its own r, hence its own bits of ``nonzero`` and ``enables``.

    Latency: D + 1 cycles from an accepted last vector to its result. Throughput: one vector per cycle.

    Args:
        config: The vector MAC.
        lanes: Datapaths that are controlled, L.

    Members:
        in_valid, in_ready, out_valid, out_ready: the two streams' handshakes
        first, last: In(1), marks of the input vector
        nonzero: In(L), its r is not 0; absent without a scale path
        enables: Out(D + 1 stages of L), register enables
        acc_first: Out(1), the vector at the accumulator starts from 0; also true of the first one after a reset
    """

    def __init__(self, config: MacConfig, lanes: int = 1):
        self.depth = config.pipeline
        self.lanes = lanes
        members = {
            "in_valid": In(1),
            "in_ready": Out(1),
            "out_valid": Out(1),
            "out_ready": In(1),
            "first": In(1),
            "last": In(1),
            "acc_first": Out(1),
            "enables": Out(data.ArrayLayout(lanes, self.depth + 1)),
        }
        if scaled(config):
            members["nonzero"] = In(lanes)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        fresh = Signal(init=1)
        first = Signal(name="first_or_fresh")
        m.d.comb += first.eq(self.first | fresh)
        marks = {"valid": self.in_valid, "first": first, "last": self.last}
        if hasattr(self, "nonzero"):
            marks["active"] = first.replicate(self.lanes) | self.nonzero

        ready = [Signal(name=f"ready{i}") for i in range(self.depth + 1)]
        m.d.comb += self.in_ready.eq(ready[0])
        with m.If(self.in_valid & self.in_ready):
            m.d.sync += fresh.eq(0)

        for i in range(self.depth):
            take = Signal(name=f"take{i}")
            m.d.comb += take.eq(marks["valid"] & ready[i])
            m.d.comb += self.enables[i].eq(self._enables(take, marks))
            held = {
                name: Signal(len(mark), name=f"{name}{i}", reset_less=name != "valid") for name, mark in marks.items()
            }
            m.d.comb += ready[i].eq(~held["valid"] | ready[i + 1])
            with m.If(ready[i]):
                m.d.sync += held["valid"].eq(marks["valid"])
            with m.If(take):
                m.d.sync += [held[name].eq(marks[name]) for name in marks if name != "valid"]
            marks = held

        out_valid, take = Signal(), Signal(name=f"take{self.depth}")
        m.d.comb += [
            take.eq(marks["valid"] & ready[-1]),
            self.enables[self.depth].eq(self._enables(take, marks)),
            ready[-1].eq(~out_valid | self.out_ready),
            self.acc_first.eq(marks["first"]),
            self.out_valid.eq(out_valid),
        ]
        with m.If(ready[-1]):
            m.d.sync += out_valid.eq(marks["valid"] & marks["last"])
        return m

    def _enables(self, take: Value, marks: Mapping[str, Value]) -> Value:
        """Return the enable of every lane for a vector that moves on."""
        enables = take.replicate(self.lanes)
        return enables & marks["active"] if "active" in marks else enables
