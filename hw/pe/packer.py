"""Output codes, one lane after the other, as vectors."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import bits_for, code_layout, packed_layout


class Packer(wiring.Component):
    """Gathers V codes, in two's complement, and their common scale.

    Latency: 1 cycle after the last code. Throughput: one code per cycle, without a pause if vectors are taken at once.

    Members:
        i: In(stream of code_layout)
        o: Out(stream of packed_layout)
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {"i": In(stream.Signature(code_layout(config))), "o": Out(stream.Signature(packed_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        size = self.config.mac.vector_size
        valid, lane = Signal(), Signal(bits_for(size))
        held = Signal(packed_layout(self.config), reset_less=True)
        code = self.i.payload
        signed_code = code.magnitude
        if self.config.mac.activation.signed:
            bits = Cat(code.magnitude, Const(0, 1))
            signed_code = (bits ^ code.negative.replicate(len(bits))) + code.negative
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(held), self.i.ready.eq(~valid | self.o.ready)]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid & (lane == size - 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [held.vector.codes[lane].eq(signed_code), lane.eq(lane + 1)]
            with m.If(lane == size - 1):
                m.d.sync += [lane.eq(0), held.end.eq(code.end)]
                if self.config.mac.activation_scale:
                    m.d.sync += held.vector.scale.eq(code.scale)
        return m
