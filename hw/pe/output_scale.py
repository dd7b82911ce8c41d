"""The output scale of a vector: its maximum, and the ceiling of the quotient."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import bits_for, rescaled_layout, scaled_layout


class OutputScale(wiring.Component):
    """``sq = ceil(max_l |z[l]| / qmax)`` beside each z of the vector. |z| <= qmax * sq_max, so that sq fits.

    The z wait until their vector is complete, while those of the vector before leave.

    Latency: V + 1 cycles. Throughput: one z per cycle, without a pause between vectors.

    Members:
        i: In(stream of rescaled_layout)
        o: Out(stream of scaled_layout)

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the post-processing unit's vector maximum; ``ceil`` is ours.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {"i": In(stream.Signature(rescaled_layout(config))), "o": Out(stream.Signature(scaled_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        config, size = self.config, self.config.mac.vector_size
        z = self.i.payload.z
        # The next vector's first z arrives while the scale is taken, and its second while the first of this one leaves.
        m.submodules.waiting = waiting = fifo.SyncFIFO(width=len(z.as_value()), depth=size + 2)
        most, first, full, end = Signal.like(z.magnitude), Signal(init=1), Signal(), Signal(reset_less=True)
        active, lane = Signal(), Signal(bits_for(size))
        scale, active_end = Signal(self.o.payload.scale.shape(), reset_less=True), Signal(reset_less=True)
        start, leaves, last_lane = Signal(), Signal(), Signal()
        m.d.comb += [
            last_lane.eq(lane == size - 1),
            leaves.eq(active & self.o.ready),
            start.eq(full & (~active | (leaves & last_lane))),
            self.i.ready.eq(waiting.w_rdy & (~full | start)),
            waiting.w_data.eq(z),
            waiting.w_en.eq(self.i.valid & self.i.ready),
            waiting.r_en.eq(leaves),
            self.o.valid.eq(active),
            self.o.payload.z.eq(waiting.r_data),
            self.o.payload.scale.eq(scale),
            self.o.payload.end.eq(active_end),
        ]
        with m.If(leaves):
            m.d.sync += lane.eq(lane + 1)
            with m.If(last_lane):
                m.d.sync += [lane.eq(0), active.eq(0)]
        with m.If(start):
            m.d.sync += [
                active.eq(1),
                full.eq(0),
                active_end.eq(end),
                scale.eq(ceil_quotient(m, most, config.z_range[1], config.mac.activation.qmax.bit_length())),
            ]
        with m.If(waiting.w_en):
            m.d.sync += [
                most.eq(Mux(first | (z.magnitude > most), z.magnitude, most)),
                first.eq(self.i.payload.last),
                full.eq(self.i.payload.last),
                end.eq(self.i.payload.end),
            ]
        return m


def ceil_quotient(m: Module, value: Value, most: int, bits: int) -> Value:
    """Return ceil(value / (2^bits - 1)) for values 0 .. most, by adders.

    Proof: with value = high * 2^bits + low, value = high * (2^bits - 1) + (high + low), so the quotient is high plus
    that of the smaller sum; of a value up to the divisor it is 0 or 1. The sum is largest for the largest high, or for
    one less beside the largest low.
    """
    divisor = (1 << bits) - 1
    if divisor == 1:
        return value
    if most <= divisor:
        return value.any()
    high, low = value[bits:], value[:bits]
    smaller = max((most >> bits) + (most & divisor), (most >> bits) - 1 + divisor)
    folded = Signal(smaller.bit_length(), name=f"folded_{smaller}")
    m.d.comb += folded.eq(high + low)
    return high + ceil_quotient(m, folded, smaller, bits)
