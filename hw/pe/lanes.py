"""The lanes: vector MACs that share the activation vector and the control, and the collector of their results."""

from collections.abc import Sequence
from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from vsq.golden.contract.config import Overflow
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.emission import instantiate
from vsq.hw.mac.datapath import Datapath
from vsq.hw.mac.pipeline import Control, gated
from vsq.hw.mac.shapes import accumulator_marks, may_overflow, result_layout
from vsq.hw.pe.pair_sums import PairSums, shares_sums
from vsq.hw.pe.streams import group_layout, hold, offset_shape, operand_layout, pipe


class Lanes(wiring.Component):
    """L vector MACs in lockstep: ``acc[l] = (0 if first else acc[l]) + (weights[l] . activation) * r[l]``.

    Where rows share weights, each lane has an accumulator for each *slot*, and a result waits in its own until it is
    taken, while the other rows go on. Accumulators that hold as many vectors as the weight buffer never saturate, and
    then have neither limits nor flags. Sums of two activations are made once for all lanes where that is smaller.

    Latency: D + 1 cycles from an accepted operand marked ``last`` to its results. Throughput: one operand per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(operand_layout(config), group_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mac, lanes, slots = self.config.mac, self.config.lanes, self.config.reuse
        with_sums = shares_sums(self.config)
        m.submodules.control = control = Control(mac, lanes, slots)
        control.attach(m, self.i, self.o)
        if slots > 1 and not may_overflow(mac, self.config.weight_depth):
            mac = replace(mac, overflow=Overflow.WRAP)
        if with_sums:
            m.submodules.pair_sums = pair_sums = PairSums(mac)
            m.d.comb += pair_sums.activations.eq(self.i.payload.activation.codes)
        for number in range(lanes):
            lane = instantiate(m, platform, f"lane{number}", "lane", lambda: Datapath(mac, slots, with_sums))
            weights, activation = self.i.payload.weights[number], self.i.payload.activation
            m.d.comb += [
                lane.weights.eq(weights.codes),
                lane.activations.eq(activation.codes),
                *(getattr(lane, name).eq(getattr(control, f"acc_{name}")) for name in accumulator_marks(slots)),
                lane.enables.eq(Cat(stage[number] for stage in control.enables)),
                *(getattr(lane, name).eq(self.i.payload[name]) for name in offset_shape(self.config)),
                *(self.o.payload[number][name].eq(getattr(lane, name)) for name in result_layout(mac).members),
            ]
            if with_sums:
                m.d.comb += lane.sums.eq(pair_sums.sums)
            if mac.weight_scale:
                m.d.comb += lane.weight_scale.eq(weights.scale)
            if mac.activation_scale:
                m.d.comb += lane.activation_scale.eq(activation.scale)
            if gated(mac):
                m.d.comb += control.nonzero[number].eq(lane.nonzero)
        return m


class Collector(wiring.Component):
    """Holds one row's accumulators, so that the lanes go on with the next row while these leave, lane 0 first.

    Latency: 1 cycle to lane 0. Throughput: one row in L cycles, without a pause between rows.

    Members:
        lane: Out, number of the lane on offer
        last: Out(1), it is the row's last one
    """

    def __init__(self, config: PeConfig):
        self.config = config
        members = {"lane": Out(range(config.lanes)), "last": Out(1)}
        super().__init__(pipe(group_layout(config), result_layout(config.mac)) | members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(group_layout(self.config), reset_less=True)
        leaves = Signal()
        m.d.comb += [
            self.last.eq(self.lane == self.config.lanes - 1),
            self.o.payload.eq(_select([lane.as_value() for lane in held], self.lane)),
            leaves.eq(self.o.ready & self.last),
            self.i.ready.eq(~self.o.valid | leaves),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.lane.eq(self.lane + 1)
            with m.If(self.last):
                m.d.sync += self.lane.eq(0)
        hold(m, self.i, self.o.valid, held)
        return m


def _select(values: Sequence[Value], index: Value) -> Value:
    """Return ``values[index]`` as a binary tree of two-to-one multiplexers."""
    for bit in index:
        values = [
            Mux(bit, *reversed(values[i : i + 2])) if i + 1 < len(values) else values[i]
            for i in range(0, len(values), 2)
        ]
    return values[0]
