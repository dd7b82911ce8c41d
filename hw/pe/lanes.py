"""The lanes: vector MACs that share the activation vector and the control, and the collector of their results."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.emission import instantiate
from vsq.hw.mac.datapath import Datapath
from vsq.hw.mac.pipeline import Control, scaled
from vsq.hw.mac.shapes import result_layout
from vsq.hw.pe.streams import group_layout, hold, operand_layout, pipe


class Lanes(wiring.Component):
    """L vector MACs in lockstep: ``acc[l] = (0 if first else acc[l]) + (weights[l] . activation) * r[l]``.

    Latency: D + 1 cycles from an accepted operand marked ``last`` to its results. Throughput: one operand per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(operand_layout(config), group_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mac, lanes = self.config.mac, self.config.lanes
        m.submodules.control = control = Control(mac, lanes)
        control.attach(m, self.i, self.o)
        for number in range(lanes):
            lane = instantiate(m, platform, f"lane{number}", "lane", lambda: Datapath(mac))
            weights, activation = self.i.payload.weights[number], self.i.payload.activation
            m.d.comb += [
                lane.weights.eq(weights.codes),
                lane.activations.eq(activation.codes),
                lane.first.eq(control.acc_first),
                lane.enables.eq(Cat(stage[number] for stage in control.enables)),
                *(self.o.payload[number][name].eq(getattr(lane, name)) for name in result_layout(mac).members),
            ]
            if mac.weight_scale:
                m.d.comb += lane.weight_scale.eq(weights.scale)
            if mac.activation_scale:
                m.d.comb += lane.activation_scale.eq(activation.scale)
            if scaled(mac):
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
