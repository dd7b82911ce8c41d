"""The datapath of one vector MAC: everything but the handshake."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from vsq.golden.contract.config import MacConfig
from vsq.hw.mac.accumulator import Accumulator
from vsq.hw.mac.dot import DotProduct
from vsq.hw.mac.scale import ScalePath
from vsq.hw.mac.stages import scaled


class Lane(wiring.Component):
    """Dot product, scale path and accumulator, wired; :class:`vsq.hw.mac.control.Control` gives the enables.

    Latency: one cycle per register enable, D + 1. Throughput: one vector per cycle.

    Members
    -------
    weights, activations, weight_scale, activation_scale : In, one vector as in vsq.hw.mac.streams.beat_layout
    first : In(1), the vector at the accumulator starts from 0
    load0, ... : In(1), register enables of the pipeline stages
    nonzero : Out(1), r of the input vector is not 0; absent without a scale path
    acc, overflow : Out, as in vsq.hw.mac.streams.result_layout
    """

    def __init__(self, config: MacConfig):
        self.config = config
        self.dot = DotProduct(config)
        self.accumulator = Accumulator(config)
        self.parts: list[wiring.Component] = [self.dot, self.accumulator]
        if scaled(config):
            self.scale = ScalePath(config)
            self.parts.append(self.scale)
        # The parts share inputs by name; what one part gives to another stays inside.
        inner = {"d", "t"}
        super().__init__(
            {
                name: member
                for part in self.parts
                for name, member in part.signature.members.items()
                if name not in inner
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the components."""
        m = Module()
        m.submodules.dot_product = dot = self.dot
        m.submodules.accumulator = accumulator = self.accumulator
        for part in self.parts:
            for name, member in part.signature.members.items():
                if name in self.signature.members:
                    inside, outside = getattr(part, name), getattr(self, name)
                    m.d.comb += inside.eq(outside) if member.flow == In else outside.eq(inside)
        if scaled(self.config):
            m.submodules.scale = scale = self.scale
            m.d.comb += [scale.d.eq(dot.d), accumulator.t.eq(scale.t)]
        else:
            m.d.comb += accumulator.t.eq(dot.d)
        return m
