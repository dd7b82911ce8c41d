"""The datapath of one vector MAC: everything but the handshake."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.mac.accumulator import Accumulator
from vsq.hw.mac.dot import DotProduct
from vsq.hw.mac.scale import ScalePath
from vsq.hw.mac.stages import scaled
from vsq.hw.mac.streams import result_layout, vector_layout


class Datapath(wiring.Component):
    """Dot product, scale path and accumulator, wired; :class:`vsq.hw.mac.control.Control` gives the enables.

    Latency: one cycle per register enable, D + 1. Throughput: one vector per cycle.

    Members:
        weights, activations, weight_scale, activation_scale: In, one vector as in vsq.hw.mac.streams.vector_layout
        first: In(1), the vector at the accumulator starts from 0
        enables: In(D + 1), register enables of the pipeline stages
        nonzero: Out(1), r of the input vector is not 0; absent without a scale path
        acc, overflow: Out, as in vsq.hw.mac.streams.result_layout
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {name: In(shape) for name, shape in vector_layout(config).items()}
        members |= {"first": In(1), "enables": In(config.pipeline + 1)}
        if scaled(config):
            members["nonzero"] = Out(1)
        super().__init__(members | {name: Out(shape) for name, shape in result_layout(config).members.items()})

    def elaborate(self, platform: object) -> Module:
        """Wire the components."""
        m = Module()
        config = self.config
        m.submodules.dot_product = dot = DotProduct(config)
        m.submodules.accumulator = accumulator = Accumulator(config)
        m.d.comb += [
            dot.weights.eq(self.weights),
            dot.activations.eq(self.activations),
            accumulator.first.eq(self.first),
            accumulator.enable.eq(self.enables[-1]),
            *(getattr(self, name).eq(getattr(accumulator, name)) for name in result_layout(config).members),
        ]
        if dot.stages:
            m.d.comb += dot.enable.eq(self.enables[: dot.stages])
        if not scaled(config):
            m.d.comb += accumulator.t.eq(dot.d)
            return m
        m.submodules.scale = scale = ScalePath(config)
        m.d.comb += [
            scale.d.eq(dot.d),
            accumulator.t.eq(scale.t),
            self.nonzero.eq(scale.nonzero),
            *(getattr(scale, name).eq(getattr(self, name)) for name in scale.product.scales),
        ]
        if config.pipeline:
            m.d.comb += scale.enables.eq(self.enables[:-1])
        return m
