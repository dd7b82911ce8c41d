"""The lanes: vector MACs that share the activation vector and the control."""

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.shared import instantiate
from vsq.hw.mac.control import Control
from vsq.hw.mac.datapath import Datapath
from vsq.hw.mac.stages import THROUGHPUT, latency, scaled
from vsq.hw.mac.streams import result_layout
from vsq.hw.pe.streams import group_layout, operand_layout


class Lanes(wiring.Component):
    """L vector MACs in lockstep: ``acc[l] = (0 if first else acc[l]) + (weights[l] . activation) * r[l]``.

    Members:
        i: In(stream of operand_layout)
        o: Out(stream of group_layout), after each operand marked ``last``

    Attributes:
        latency: Cycles from an accepted last operand to its valid results: D + 1.
        throughput: Operands per cycle: 1.
    """

    throughput = THROUGHPUT

    def __init__(self, config: PeConfig):
        self.config = config
        self.latency = latency(config.mac)
        super().__init__(
            {"i": In(stream.Signature(operand_layout(config))), "o": Out(stream.Signature(group_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the lanes."""
        m = Module()
        mac, lanes = self.config.mac, self.config.lane_count
        m.submodules.control = control = Control(mac, lanes)
        operand = self.i.payload
        m.d.comb += [
            control.in_valid.eq(self.i.valid),
            self.i.ready.eq(control.in_ready),
            control.first.eq(operand.first),
            control.last.eq(operand.last),
            self.o.valid.eq(control.out_valid),
            control.out_ready.eq(self.o.ready),
        ]
        for number in range(lanes):
            lane = instantiate(m, platform, f"lane{number}", "lane", lambda: Datapath(mac))
            weights, activation = operand.weights[number], operand.activation
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
