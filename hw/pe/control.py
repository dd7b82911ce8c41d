"""The control's first and third stage: a command's loads, and its results."""

from functools import reduce
from operator import and_, or_

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.mac.shapes import result_layout
from vsq.hw.pe.streams import (
    activation_layout,
    base_shape,
    command_layout,
    hold,
    lane_layout,
    loaded_layout,
    output_layout,
    packed_layout,
    params_layout,
)


class LoadControl(wiring.Component):
    """Takes a command, lets the buffers load what it says, and hands it on when that is done.

    The loads of a command fill the banks that the command before it does not read. An illegal command loads nothing and
    is handed on at once, marked. See :mod:`vsq.golden.model.pe` for what is illegal.

    Throughput: loads of n beats take n cycles, the taking of the command included.

    Members:
        command: In(stream of command_layout)
        loaded: Out(stream of loaded_layout), the command with its loads done
        load_weights, load_activations, load_params: Out(1), the buffer may take beats; nothing is there of parameters
            without post-processing
        weights_complete, activations_complete, params_complete: In(1), it has taken all of them
        vectors, entries: Out, entries to load; stable while a load goes on
        restart: Out(1), the command is handed on
        params_taken: In(1), the parameters loaded last are in use, so that the other bank is free
    """

    def __init__(self, config: PeConfig):
        self.config = config
        self.buffers = ("weights", "activations", *(["params"] if config.ppu else []))
        members = {
            "command": In(stream.Signature(command_layout(config))),
            "loaded": Out(stream.Signature(loaded_layout(config))),
            "vectors": Out(config.vectors_bits),
            "entries": Out(config.rows_bits),
            "restart": Out(1),
        }
        for name in self.buffers:
            members |= {f"load_{name}": Out(1), f"{name}_complete": In(1)}
        if config.ppu:
            members["params_taken"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, loaded = self.config, self.loaded.payload
        valid = Signal()
        legal = Signal()
        complete = Signal()
        command = Signal(command_layout(config), reset_less=True)
        flags = {name: Signal(name=f"loads_{name}") for name in self.buffers}
        m.d.comb += [
            *(flag.eq(command[f"load_{name}"] & legal) for name, flag in flags.items()),
            *(getattr(self, f"load_{name}").eq(valid & flag) for name, flag in flags.items()),
            complete.eq(reduce(and_, (~flag | getattr(self, f"{name}_complete") for name, flag in flags.items()))),
            self.loaded.valid.eq(valid & complete),
            self.restart.eq(self.loaded.valid & self.loaded.ready),
            self.command.ready.eq(~valid | self.restart),
            *(loaded[name].eq(command[name]) for name in command_layout(config).members),
            *(loaded[f"load_{name}"].eq(flag) for name, flag in flags.items()),
            loaded.illegal.eq(~legal),
        ]
        hold(m, self.command, valid, command)
        self._check(m, command, legal, flags)
        if config.ppu:
            # The banks of parameters: one is in use, and the other one free unless a handed-on command has loaded it.
            waiting = Signal()
            with m.If(self.params_taken):
                m.d.sync += waiting.eq(0)
            with m.If(self.restart & flags["params"]):
                m.d.sync += waiting.eq(1)
            m.d.comb += self.load_params.eq(valid & flags["params"] & ~waiting)
        return m

    def _check(self, m: Module, command: Signal, legal: Signal, flags: dict[str, Signal]) -> None:
        """Describe legality. Counts of what was loaded last are 0 after reset."""
        config = self.config
        vectors = Signal(config.vectors_bits)
        entries = Signal(config.rows_bits)
        # rows * vectors: below 2^rows_bits * 2^vectors_bits.
        product = Signal(config.rows_bits + config.vectors_bits)
        most_vectors = Signal.like(vectors)
        most_entries = Signal.like(entries)
        m.d.comb += [
            product.eq(command.rows * command.vectors),
            most_vectors.eq(Mux(command.load_weights, config.weight_depth, vectors)),
            most_entries.eq(Mux(command.load_activations, config.activation_depth, entries)),
            self.vectors.eq(command.vectors),
            self.entries.eq(product[: len(entries)]),
        ]
        rules = [product.any(), command.vectors <= most_vectors, product <= most_entries]
        with m.If(self.restart & flags["weights"]):
            m.d.sync += vectors.eq(self.vectors)
        with m.If(self.restart & flags["activations"]):
            m.d.sync += entries.eq(self.entries)
        if config.ppu:
            loaded = Signal()
            with m.If(self.restart & flags["params"]):
                m.d.sync += loaded.eq(1)
            rules.append(~command.requantize | command.load_params | loaded)
        m.d.comb += legal.eq(reduce(and_, rules))


class OutputControl(wiring.Component):
    """Sends each lane's accumulator to post-processing or, raw, to the result stream, and answers illegal commands.

    Results keep the order of commands: raw beats and answers wait until post-processing is empty. A result that waits
    is stable in every bit: the accumulator's fields are 0 beside other beats, because lanes go on meanwhile.

    Members:
        command: In(stream of loaded_layout)
        lanes: In(stream of vsq.hw.mac.shapes.result_layout), from the collector
        lane, row_end: In, the lane's number, and whether it is the row's last one
        result: Out(stream of output_layout)
        process: Out(stream of lane_layout); absent without post-processing, as all that follows
        processed: In(stream of packed_layout)
        empty: In(1), post-processing holds nothing
        params: In(params_layout), those of ``lane``
        params_bank: Out(1)
        params_taken: Out(1), the bank changes
    """

    def __init__(self, config: PeConfig):
        self.config = config
        members = {
            "command": In(stream.Signature(loaded_layout(config))),
            "lanes": In(stream.Signature(result_layout(config.mac))),
            "lane": In(range(config.lanes)),
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
        m = Module()
        config = self.config
        command = Signal(loaded_layout(config), reset_less=True)
        valid = Signal()
        row = Signal.like(command.rows)
        next_row = Signal.like(row)
        end = Signal()
        finished = Signal()
        raw = Signal()
        requantizes = Signal()
        answer = Signal()
        legal, clear = valid & ~command.illegal, self.empty if config.ppu else Const(1)
        result = self.result.payload
        m.d.comb += [
            next_row.eq(row + 1),
            end.eq(self.row_end & (next_row == command.rows)),
            raw.eq(legal & ~requantizes & clear),
            answer.eq(valid & command.illegal & clear),
            self.result.valid.eq((raw & self.lanes.valid) | answer),
            *(result[name].eq(Mux(raw, self.lanes.payload[name], 0)) for name in result_layout(config.mac).members),
            result.illegal.eq(command.illegal),
            result.last.eq(end | command.illegal),
            self.lanes.ready.eq(raw & self.result.ready),
            finished.eq(Mux(command.illegal, answer & self.result.ready, self.lanes.valid & self.lanes.ready & end)),
            self.command.ready.eq(~valid | finished),
        ]
        hold(m, self.command, valid, command)
        with m.If(self.lanes.valid & self.lanes.ready & self.row_end):
            m.d.sync += row.eq(Mux(end, 0, next_row))
        if config.ppu:
            m.d.comb += [requantizes.eq(legal & command.requantize), result.raw.eq(~command.illegal)]
            self._post_process(m, requantizes, command, end)
        return m

    def _post_process(self, m: Module, requantizes: Value, command: data.View, end: Value) -> None:
        """Wire post-processing, whose vectors go first: no other beat is offered while it holds any."""
        size = self.config.mac.vector_size
        lane, vector, result = self.process.payload, self.processed.payload, self.result.payload
        vector_end = reduce(or_, (self.lane == number for number in range(size - 1, self.config.lanes, size)))
        m.d.comb += [
            self.process.valid.eq(requantizes & self.lanes.valid),
            lane.acc.eq(self.lanes.payload.acc),
            *(lane[name].eq(self.params[name]) for name in params_layout(self.config).members),
            lane.relu.eq(command.relu),
            *(lane[name].eq(command.scale_base) for name in base_shape(self.config)),
            lane.last.eq(vector_end),
            lane.end.eq(end),
            self.processed.ready.eq(self.result.ready),
            self.params_taken.eq(self.command.valid & self.command.ready & self.command.payload.load_params),
            *(result[name].eq(vector.vector[name]) for name in activation_layout(self.config).members),
        ]
        with m.If(requantizes):
            m.d.comb += self.lanes.ready.eq(self.process.ready)
        with m.If(self.processed.valid):
            m.d.comb += [self.result.valid.eq(1), result.raw.eq(0), result.illegal.eq(0), result.last.eq(vector.end)]
        with m.If(self.params_taken):
            m.d.sync += self.params_bank.eq(~self.params_bank)
