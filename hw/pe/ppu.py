"""The post-processing unit: from accumulators to the next layer's vectors."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.divider import Divider
from vsq.hw.pe.output_scale import OutputScale
from vsq.hw.pe.packer import Packer
from vsq.hw.pe.rescale import Rescale
from vsq.hw.pe.streams import lane_layout, packed_layout


class PostProcessing(wiring.Component):
    """Rescaling, ReLU and requantization, one lane per cycle; see :mod:`vsq.golden.model.ppu` for the formulas.

    Without an output scale the codes are z, and there is neither maximum nor division.

    Throughput: one lane per cycle, without a pause between vectors if they are taken at once.

    Members:
        i: In(stream of lane_layout), V lanes for each output vector
        o: Out(stream of packed_layout)
        empty: Out(1), all vectors that were begun have been taken
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(lane_layout(config))),
                "o": Out(stream.Signature(packed_layout(config))),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the parts."""
        m = Module()
        m.submodules.rescale = rescale = Rescale(self.config)
        m.submodules.packer = packer = Packer(self.config)
        wiring.connect(m, wiring.flipped(self.i), rescale.i)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        if self.config.mac.activation_scale:
            m.submodules.scale = scale = OutputScale(self.config)
            m.submodules.divider = divider = Divider(self.config)
            wiring.connect(m, rescale.o, scale.i)
            wiring.connect(m, scale.o, divider.i)
            wiring.connect(m, divider.o, packer.i)
        else:
            z = rescale.o.payload.z
            m.d.comb += [
                packer.i.valid.eq(rescale.o.valid),
                rescale.o.ready.eq(packer.i.ready),
                packer.i.payload.end.eq(rescale.o.payload.end),
                *(packer.i.payload[name].eq(z[name]) for name in z.shape().members),
            ]
        self._count(m)
        return m

    def _count(self, m: Module) -> None:
        """Count the vectors inside.

        Proof of the width: registers hold 2 lanes before the maximum, V + 2 that wait, less than 6 in the division (at
        most 15 steps, 3 a stage) and V in the packer; that is no more than 2 + 10/V vectors, 12 at most.
        """
        inside = Signal(4)
        enters, leaves = Signal(), Signal()
        m.d.comb += [
            enters.eq(self.i.valid & self.i.ready & self.i.payload.last),
            leaves.eq(self.o.valid & self.o.ready),
            self.empty.eq(inside == 0),
        ]
        with m.If(enters & ~leaves):
            m.d.sync += inside.eq(inside + 1)
        with m.If(leaves & ~enters):
            m.d.sync += inside.eq(inside - 1)
