"""The accumulation collector: results of all lanes in, one lane after the other out."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.mac.streams import result_layout
from vsq.hw.pe.streams import bits_for, group_layout


class Collector(wiring.Component):
    """Holds one row's accumulators, so that the lanes go on with the next row while these leave.

    Latency: 1 cycle to lane 0. Throughput: one row in L cycles, without a pause between rows.

    Members:
        i: In(stream of group_layout)
        o: Out(stream of vsq.hw.mac.streams.result_layout), lane 0 first
        lane: Out, number of the lane on offer
        last: Out(1), it is the row's last one
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(group_layout(config))),
                "o": Out(stream.Signature(result_layout(config.mac))),
                "lane": Out(bits_for(config.lane_count)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        full, lane = Signal(), Signal.like(self.lane)
        held = Signal(group_layout(self.config), reset_less=True)
        leaves = Signal()
        m.d.comb += [
            self.lane.eq(lane),
            self.last.eq(lane == self.config.lane_count - 1),
            self.o.valid.eq(full),
            self.o.payload.eq(_select([held[number].as_value() for number in range(self.config.lane_count)], lane)),
            leaves.eq(self.o.ready & self.last),
            self.i.ready.eq(~full | leaves),
        ]
        with m.If(full & self.o.ready):
            m.d.sync += lane.eq(lane + 1)
            with m.If(self.last):
                m.d.sync += lane.eq(0)
        with m.If(self.i.ready):
            m.d.sync += full.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += held.eq(self.i.payload)
        return m


def _select(values: Sequence[Value], index: Value) -> Value:
    """Return ``values[index]`` as a binary tree of two-to-one multiplexers."""
    for bit in index:
        values = [
            Mux(bit, *reversed(values[i : i + 2])) if i + 1 < len(values) else values[i]
            for i in range(0, len(values), 2)
        ]
    return values[0]
