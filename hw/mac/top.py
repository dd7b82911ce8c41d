"""The vector MAC: its datapath and its control, wired."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.mac.datapath import Datapath
from vsq.hw.mac.pipeline import THROUGHPUT, Control, gated, latency
from vsq.hw.mac.shapes import beat_layout, result_layout, vector_layout


def mac_signature(config: MacConfig) -> wiring.Signature:
    """Return the MAC's two streams: i takes vectors, o gives results."""
    return wiring.Signature(
        {"i": In(stream.Signature(beat_layout(config))), "o": Out(stream.Signature(result_layout(config)))}
    )


class VectorMac(wiring.Component):
    """Block-scaled vector multiply-accumulate.

    Per vector: ``d = sum_j w[j]*a[j]``; ``r = min(2^R - 1, round(sw*sa / 2^s))``; ``t = d*r``;
    ``acc = policy((0 if first else acc) + t)``; a result leaves after each vector marked ``last``, which does not
    clear the accumulator. After a reset the accumulator starts from 0. A window takes ``t = floor(d*r*2^(k - offset))``
    with significands r and exponents k.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.

    Members:
        i: In(stream of vsq.hw.mac.shapes.beat_layout(config))
        o: Out(stream of vsq.hw.mac.shapes.result_layout(config))

    Attributes:
        latency: Cycles from an accepted last vector to its valid result, without back-pressure: D + 1.
        throughput: Vectors per cycle: 1.
    """

    throughput = THROUGHPUT

    def __init__(self, config: MacConfig):
        self.config = config
        self.latency = latency(config)
        self.control = Control(config)
        self.datapath = Datapath(config)
        super().__init__(mac_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.control = control = self.control
        m.submodules.datapath = datapath = self.datapath
        beat, result = self.i.payload, self.o.payload
        control.attach(m, self.i, self.o)
        m.d.comb += [
            datapath.keep.eq(control.acc_keep),
            datapath.enables.eq(control.enables.as_value()),
            *(getattr(datapath, name).eq(beat[name]) for name in vector_layout(self.config)),
            *(result[name].eq(getattr(datapath, name)) for name in result_layout(self.config).members),
        ]
        if gated(self.config):
            m.d.comb += control.nonzero.eq(datapath.nonzero)
        return m
