"""Second stage of a command: reading the buffers, row by row and vector by vector."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import bits_for, loaded_layout


class IssueControl(wiring.Component):
    """Reads one operand per cycle: the rows of the activation buffer, each with all vectors of the weight buffer.

    The operand is on the buffers' outputs one cycle after its read, beside ``valid`` and its marks. The next command
    starts in the cycle after the last read, if the third stage has taken this one by then.

    Members:
        command: In(stream of loaded_layout), commands with their loads done
        issued: Out(stream of loaded_layout), the same commands for the third stage
        read: Out(1), read both buffers
        weight_bank, activation_bank: Out(1)
        weight_address, activation_address: Out
        valid, ready, first, last: the operand stream's handshake and marks
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(loaded_layout(config))),
                "issued": Out(stream.Signature(loaded_layout(config))),
                "read": Out(1),
                "weight_bank": Out(1),
                "activation_bank": Out(1),
                "weight_address": Out(bits_for(config.weight_depth)),
                "activation_address": Out(bits_for(config.activation_depth)),
                "valid": Out(1),
                "ready": In(1),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        command = Signal(loaded_layout(self.config), reset_less=True)
        to_read, to_issue = Signal(), Signal()
        weight_bank, activation_bank = Signal(), Signal()
        vector, row = Signal.like(command.vectors), Signal.like(command.rows)
        entry = Signal.like(self.activation_address)
        next_vector, next_row = Signal.like(vector), Signal.like(row)
        last_vector, final = Signal(), Signal()
        valid, first, last = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        advance, accepts = Signal(), Signal()
        m.d.comb += [
            next_vector.eq(vector + 1),
            next_row.eq(row + 1),
            last_vector.eq(next_vector == command.vectors),
            final.eq(last_vector & (next_row == command.rows)),
            advance.eq(~valid | self.ready),
            self.read.eq(to_read & advance),
            self.weight_bank.eq(weight_bank),
            self.activation_bank.eq(activation_bank),
            self.weight_address.eq(vector),
            self.activation_address.eq(entry),
            self.valid.eq(valid),
            self.first.eq(first),
            self.last.eq(last),
            self.issued.valid.eq(to_issue),
            self.issued.payload.eq(command),
            self.command.ready.eq((~to_read | (self.read & final)) & (~to_issue | self.issued.ready)),
            accepts.eq(self.command.valid & self.command.ready),
        ]
        with m.If(advance):
            m.d.sync += valid.eq(self.read)
        with m.If(self.read):
            m.d.sync += [
                first.eq(vector == 0),
                last.eq(last_vector),
                vector.eq(next_vector),
                entry.eq(entry + 1),
            ]
            with m.If(last_vector):
                m.d.sync += [vector.eq(0), row.eq(next_row)]
            with m.If(final):
                m.d.sync += [row.eq(0), entry.eq(0), to_read.eq(0)]
        with m.If(self.issued.ready):
            m.d.sync += to_issue.eq(0)
        with m.If(accepts):
            m.d.sync += [
                command.eq(self.command.payload),
                to_read.eq(~self.command.payload.illegal),
                to_issue.eq(1),
                weight_bank.eq(weight_bank ^ self.command.payload.load_weights),
                activation_bank.eq(activation_bank ^ self.command.payload.load_activations),
            ]
        return m
