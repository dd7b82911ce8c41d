"""Dot product of one weight vector and one activation vector."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.arithmetic.decode import decoder
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac.ranges import dot_shape
from vsq.hw.mac.stages import dot_stages, drive_whole, register
from vsq.hw.mac.streams import pattern


class DotProduct(wiring.Component):
    """``d = sum_j weights[j] * activations[j]``, exact.

    Latency: one cycle per register stage (``vsq.hw.mac.stages.dot_stages``), the last on d itself and the others inside
    the sum. Throughput: one vector per cycle.

    Args:
        config: The MAC's configuration: element formats, V, pipeline depth, arithmetic style.

    Members:
        weights, activations: In(V codes)
        enable: In(stages), register enables; absent without stages
        d: Out(dot_shape(config)); modulo 2^P if the accumulator wraps at P bits

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the vector MAC's product array and adder tree.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        self.stages = dot_stages(config)
        members = {
            "weights": In(data.ArrayLayout(pattern(config.weight), config.vector_size)),
            "activations": In(data.ArrayLayout(pattern(config.activation), config.vector_size)),
            "d": Out(dot_shape(config)),
        }
        if self.stages:
            members["enable"] = In(self.stages)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        weight, activation = decoder(self.config.weight), decoder(self.config.activation)
        elements = range(self.config.vector_size)
        enables = list(self.enable) if self.stages else []
        d = style_of(self.config).dot(
            m,
            [weight.operand(self.weights[i]) for i in elements],
            [activation.operand(self.activations[i]) for i in elements],
            enables[:-1],
            self.config.narrow,
            self.d.shape(),
            "dot",
        )
        if self.stages:
            d = register(m, d, enables[-1], "d_reg")
        drive_whole(m, self.d, d)
        return m
