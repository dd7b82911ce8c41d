"""Third stage of a command: what becomes of its results."""

from functools import reduce
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.mac.streams import result_layout
from vsq.hw.pe.streams import (
    activation_layout,
    bits_for,
    lane_layout,
    loaded_layout,
    output_layout,
    packed_layout,
    params_layout,
)


class OutputControl(wiring.Component):
    """Sends each lane's accumulator to post-processing or, raw, to the result stream, and answers illegal commands.

    Results keep the order of commands: raw beats and answers wait until post-processing is empty. A result that waits
    is stable in every bit: the accumulator's fields are 0 beside other beats, because lanes go on meanwhile.

    Members:
        command: In(stream of loaded_layout)
        lanes: In(stream of vsq.hw.mac.streams.result_layout), from the collector
        lane, row_end: In, the lane's number, and whether it is the row's last one
        result: Out(stream of output_layout)

    and, with post-processing only,

    process : Out(stream of lane_layout)
    processed : In(stream of packed_layout)
    empty : In(1), post-processing holds nothing
    params : In(params_layout), those of ``lane``
    params_bank : Out(1)
    params_taken : Out(1), the bank changes
    """

    def __init__(self, config: PeConfig):
        self.config = config
        members = {
            "command": In(stream.Signature(loaded_layout(config))),
            "lanes": In(stream.Signature(result_layout(config.mac))),
            "lane": In(bits_for(config.lane_count)),
            "row_end": In(1),
            "result": Out(stream.Signature(output_layout(config))),
        }
        if config.ppu:
            members |= {
                "process": Out(stream.Signature(lane_layout(config))),
                "processed": In(stream.Signature(packed_layout(config))),
                "empty": In(1),
                "params": In(params_layout(config)),
                "params_bank": Out(1),
                "params_taken": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        config = self.config
        command = Signal(loaded_layout(config), reset_less=True)
        valid, row = Signal(), Signal.like(command.rows)
        next_row, end, finished = Signal.like(row), Signal(), Signal()
        raw, process, answer = Signal(), Signal(), Signal()
        legal, clear = valid & ~command.illegal, self.empty if config.ppu else Const(1)
        result = self.result.payload
        m.d.comb += [
            next_row.eq(row + 1),
            end.eq(self.row_end & (next_row == command.rows)),
            raw.eq(legal & ~process & clear),
            answer.eq(valid & command.illegal & clear),
            self.result.valid.eq((raw & self.lanes.valid) | answer),
            *(result[name].eq(Mux(raw, self.lanes.payload[name], 0)) for name in result_layout(config.mac).members),
            result.illegal.eq(command.illegal),
            result.last.eq(end | command.illegal),
            self.lanes.ready.eq(raw & self.result.ready),
            finished.eq(Mux(command.illegal, answer & self.result.ready, self.lanes.valid & self.lanes.ready & end)),
            self.command.ready.eq(~valid | finished),
        ]
        with m.If(self.command.ready):
            m.d.sync += valid.eq(self.command.valid)
            with m.If(self.command.valid):
                m.d.sync += command.eq(self.command.payload)
        with m.If(self.lanes.valid & self.lanes.ready & self.row_end):
            m.d.sync += row.eq(Mux(end, 0, next_row))
        if config.ppu:
            m.d.comb += [process.eq(legal & command.requantize), result.raw.eq(~command.illegal)]
            self._post_process(m, process, command.relu, end)
        return m

    def _post_process(self, m: Module, process: Value, relu: Value, end: Value) -> None:
        """Wire post-processing, whose vectors go first: no other beat is offered while it holds any."""
        size, bank = self.config.mac.vector_size, Signal()
        lane, vector, result = self.process.payload, self.processed.payload, self.result.payload
        vector_end = reduce(or_, (self.lane == number for number in range(size - 1, self.config.lane_count, size)))
        m.d.comb += [
            self.process.valid.eq(process & self.lanes.valid),
            lane.acc.eq(self.lanes.payload.acc),
            *(lane[name].eq(self.params[name]) for name in params_layout(self.config).members),
            lane.relu.eq(relu),
            lane.last.eq(vector_end),
            lane.end.eq(end),
            self.processed.ready.eq(self.result.ready),
            self.params_bank.eq(bank),
            self.params_taken.eq(self.command.valid & self.command.ready & self.command.payload.load_params),
            *(result[name].eq(vector.vector[name]) for name in activation_layout(self.config).members),
        ]
        with m.If(process):
            m.d.comb += self.lanes.ready.eq(self.process.ready)
        with m.If(self.processed.valid):
            m.d.comb += [self.result.valid.eq(1), result.raw.eq(0), result.illegal.eq(0), result.last.eq(vector.end)]
        with m.If(self.params_taken):
            m.d.sync += bank.eq(~bank)
