"""The elastic pipeline: where the register stages of a depth stand, what they cost in cycles, and their handshake."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.mac.shapes import accumulator_marks, scale_decoders

THROUGHPUT = 1  # vectors per cycle at every depth


def latency(config: MacConfig) -> int:
    """Cycles from an accepted last vector to its valid result, without back-pressure: D stages and the accumulator."""
    return config.pipeline + 1


def scaled(config: MacConfig) -> bool:
    """Whether the MAC has a scale path at all."""
    return any(config.multiplied.scales)


def gated(config: MacConfig) -> bool:
    """Whether a scale factor can be 0, so that its vector adds nothing; powers of two are never."""
    return any(scale.zero for scale in scale_decoders(config.multiplied).values())


def dot_stages(config: MacConfig) -> int:
    """Register stages on the dot product (and beside it on the scale factor r).

    ========  =====================  ====================
    pipeline  with a scale path      without
    ========  =====================  ====================
    0         none                   none
    1         d                      d
    2         d, t                   tree, d
    3         tree, d, t             tree, tree, d
    ========  =====================  ====================
    """
    return config.pipeline - term_stages(config)


def term_stages(config: MacConfig) -> int:
    """Register stages on the term t = d*r, which come last: one from depth 2 on, if there is a scale path."""
    return int(scaled(config) and config.pipeline >= 2)


def register(m: Module, value: Value, load: Value, name: str) -> Signal:
    """Return ``value`` registered when ``load`` is high. Data registers have no reset: validity travels apart."""
    q = Signal(Shape.cast(value.shape()), name=name, reset_less=True)
    with m.If(load):
        m.d.sync += q.eq(value)
    return q


class Control(wiring.Component):
    """Valid/ready of every register stage, and the marks that travel with a vector.

    Stage i of 0 .. D-1 is a register stage of the datapath and stage D the accumulator, whose register holds a result
    until it is taken. A stage loads when it is empty or moves on in the same cycle, so bubbles close under
    back-pressure: ``ready[i] = ~valid[i] | ready[i+1]``.

    ``enables[i]`` is that of stage i's data registers. With scales it stays low for a vector with r = 0 (it adds
    nothing, so the datapath does not toggle), unless the vector is ``first``: that one must clear the accumulator.
    Lanes that move together share one control; each has its own r, hence its own bits of ``nonzero`` and ``enables``.

    With several accumulators a lane, *slots*, each holds a result until it is taken, and results are taken slot by
    slot in turn. Only a ``first`` vector whose slot still holds one waits.

    Latency: D + 1 cycles from an accepted last vector to its result. Throughput: one vector per cycle.

    Members:
        in_valid, in_ready, out_valid, out_ready: the two streams' handshakes
        first, last: In(1), marks of the input vector
        slot: In, mark: the slot that it goes to; absent unless there are several
        nonzero: In(lanes), its r is not 0; absent where r never is 0
        enables: Out(D + 1 stages of lanes), register enables
        acc_keep, or acc_write_slot, acc_base_slot, acc_result_slot: Out, what vsq.hw.mac.shapes.accumulator_marks
            says, for the vector at the accumulator; the first one after a reset always starts from 0
    """

    def __init__(self, config: MacConfig, lanes: int = 1, slots: int = 1):
        self.depth = config.pipeline
        self.lanes, self.slots = lanes, slots
        members = {
            "in_valid": In(1),
            "in_ready": Out(1),
            "out_valid": Out(1),
            "out_ready": In(1),
            "first": In(1),
            "last": In(1),
            **{f"acc_{name}": Out(width) for name, width in accumulator_marks(slots).items()},
            "enables": Out(data.ArrayLayout(lanes, self.depth + 1)),
        }
        if gated(config):
            members["nonzero"] = In(lanes)
        if slots > 1:
            members["slot"] = In(range(slots))
        super().__init__(members)

    def attach(self, m: Module, vectors: Any, results: Any) -> None:
        """Wire the handshakes of a component's two streams, and the marks of its vectors."""
        m.d.comb += [
            self.in_valid.eq(vectors.valid),
            vectors.ready.eq(self.in_ready),
            self.first.eq(vectors.payload.first),
            self.last.eq(vectors.payload.last),
            results.valid.eq(self.out_valid),
            self.out_ready.eq(results.ready),
        ]
        if self.slots > 1:
            m.d.comb += self.slot.eq(vectors.payload.slot)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fresh = Signal(init=1)
        first = Signal(name="first_or_fresh")
        m.d.comb += first.eq(self.first | fresh)
        marks: dict[str, Value] = {"valid": self.in_valid, "first": first, "last": self.last}
        if self.slots > 1:
            marks["slot"] = self.slot
        if hasattr(self, "nonzero"):
            marks["active"] = first.replicate(self.lanes) | self.nonzero
        ready = [Signal(name=f"ready{i}") for i in range(self.depth + 1)]
        m.d.comb += self.in_ready.eq(ready[0])
        with m.If(self.in_valid & self.in_ready):
            m.d.sync += fresh.eq(0)

        for i in range(self.depth + 1):
            take = Signal(name=f"take{i}")
            enables = take.replicate(self.lanes)
            m.d.comb += [
                take.eq(marks["valid"] & ready[i]),
                self.enables[i].eq(enables & marks["active"] if "active" in marks else enables),
            ]
            if i == self.depth:
                break
            held = {
                name: Signal(len(mark), name=f"{name}{i}", reset_less=name != "valid") for name, mark in marks.items()
            }
            m.d.comb += ready[i].eq(~held["valid"] | ready[i + 1])
            with m.If(ready[i]):
                m.d.sync += held["valid"].eq(marks["valid"])
            with m.If(take):
                m.d.sync += [held[name].eq(marks[name]) for name in marks if name != "valid"]
            marks = held

        if self.slots > 1:
            self._hold_results(m, marks, take, ready[-1])
            return m
        m.d.comb += [ready[-1].eq(~self.out_valid | self.out_ready), self.acc_keep.eq(~marks["first"])]
        with m.If(ready[-1]):
            m.d.sync += self.out_valid.eq(marks["valid"] & marks["last"])
        return m

    def _hold_results(self, m: Module, marks: dict[str, Value], take: Value, ready: Value) -> None:
        """Describe which slots hold results, and whether the vector at the accumulator can go on."""
        results = Signal(self.slots)
        turn = Signal(self.slots, init=1)
        leaving = Signal(self.slots)
        m.d.comb += [
            *(bit.eq(marks["slot"] == number) for number, bit in enumerate(self.acc_write_slot)),
            self.acc_base_slot.eq(self.acc_write_slot & ~marks["first"].replicate(self.slots)),
            self.acc_result_slot.eq(results & turn),
            self.out_valid.eq(self.acc_result_slot.any()),
            leaving.eq(self.acc_result_slot & self.out_ready.replicate(self.slots)),
            ready.eq(~(marks["first"] & (self.acc_write_slot & results & ~leaving).any())),
        ]
        m.d.sync += results.eq(
            (results & ~leaving) | (self.acc_write_slot & (take & marks["last"]).replicate(self.slots))
        )
        with m.If(leaving.any()):
            m.d.sync += turn.eq(turn.rotate_left(1))
