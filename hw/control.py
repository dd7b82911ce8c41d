"""Handshake and marks of the MAC's elastic pipeline."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import MacConfig
from hw.stages import scaled


class Control(wiring.Component):
    """Valid/ready of every register stage, and the marks that travel with a vector.

    Stage i of 0 .. D-1 is a register stage of the datapath and stage D the accumulator, whose register holds a result
    until it is taken. A stage loads when it is empty or moves on in the same cycle, so bubbles close under
    back-pressure: ``ready[i] = ~valid[i] | ready[i+1]``.

    ``load<i>`` enables stage i's data registers. With a scale path it stays low for a vector with r = 0 (it adds
    nothing, so the datapath does not toggle), unless the vector is ``first``: that one must clear the accumulator.

    Latency: D + 1 cycles from an accepted last vector to its result. Throughput: one vector per cycle.

    Members
    -------
    in_valid, in_ready, out_valid, out_ready : the two streams' handshakes
    first, last : In(1), marks of the input vector
    nonzero : In(1), its r is not 0; absent without a scale path
    load0, ... : Out(1), register enables of stages 0 .. D
    acc_first : Out(1), the vector at the accumulator starts from 0; also true of the first one after a reset
    """

    def __init__(self, config: MacConfig):
        self.depth = config.pipeline
        members = {
            "in_valid": In(1),
            "in_ready": Out(1),
            "out_valid": Out(1),
            "out_ready": In(1),
            "first": In(1),
            "last": In(1),
            "acc_first": Out(1),
        }
        members |= {f"load{i}": Out(1) for i in range(self.depth + 1)}
        if scaled(config):
            members["nonzero"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        fresh = Signal(init=1)
        first = Signal(name="first_or_fresh")
        m.d.comb += first.eq(self.first | fresh)
        marks = {"valid": self.in_valid, "first": first, "last": self.last}
        if hasattr(self, "nonzero"):
            marks["active"] = first | self.nonzero

        ready = [Signal(name=f"ready{i}") for i in range(self.depth + 1)]
        m.d.comb += self.in_ready.eq(ready[0])
        with m.If(self.in_valid & self.in_ready):
            m.d.sync += fresh.eq(0)

        loads = [getattr(self, f"load{i}") for i in range(self.depth + 1)]
        for i in range(self.depth):
            take = Signal(name=f"take{i}")
            m.d.comb += take.eq(marks["valid"] & ready[i])
            m.d.comb += loads[i].eq(take & marks["active"] if "active" in marks else take)
            held = {name: Signal(name=f"{name}{i}", reset_less=name != "valid") for name in marks}
            m.d.comb += ready[i].eq(~held["valid"] | ready[i + 1])
            with m.If(ready[i]):
                m.d.sync += held["valid"].eq(marks["valid"])
            with m.If(take):
                m.d.sync += [held[name].eq(marks[name]) for name in marks if name != "valid"]
            marks = held

        out_valid = Signal()
        take = marks["valid"] & ready[-1]
        m.d.comb += [
            loads[-1].eq(take & marks["active"] if "active" in marks else take),
            ready[-1].eq(~out_valid | self.out_ready),
            self.acc_first.eq(marks["first"]),
            self.out_valid.eq(out_valid),
        ]
        with m.If(ready[-1]):
            m.d.sync += out_valid.eq(marks["valid"] & marks["last"])
        return m
