"""The control's second stage: which operands the lanes get, and when."""

from collections.abc import Iterator

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import loaded_layout, offset_shape


class IssueControl(wiring.Component):
    """Reads one operand per cycle: the rows of the activation buffer, each with all vectors of the weight buffer.

    The operand is on the buffers' outputs one cycle after its read, beside ``valid`` and its marks. The next command
    starts in the cycle after the last read, if the third stage has taken this one by then.

    Members:
        command: In(stream of loaded_layout), commands with their loads done
        issued: Out(stream of loaded_layout), the same commands for the third stage
        read: Out(1), read the activation buffer, and the weight buffer unless there is ``read_weights``
        read_weights: Out(1), read the weight buffer too; absent unless rows share weights, as ``slot``
        weight_bank, activation_bank: Out(1)
        weight_address, activation_address: Out
        valid, ready, first, last, slot, offset: the operand stream's handshake and marks
    """

    def __init__(self, config: PeConfig):
        self.config = config
        shared = {"read_weights": Out(1), "slot": Out(range(config.reuse))} if config.reuse > 1 else {}
        super().__init__(
            {
                "command": In(stream.Signature(loaded_layout(config))),
                "issued": Out(stream.Signature(loaded_layout(config))),
                "read": Out(1),
                "weight_bank": Out(1),
                "activation_bank": Out(1),
                "weight_address": Out(range(config.weight_depth)),
                "activation_address": Out(range(config.activation_depth)),
                "valid": Out(1),
                "ready": In(1),
                "first": Out(1),
                "last": Out(1),
                **shared,
                **{name: Out(shape) for name, shape in offset_shape(config).items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command = Signal(loaded_layout(self.config), reset_less=True)
        to_read = Signal()
        to_issue = Signal()
        vector = Signal.like(command.vectors)
        first = Signal(reset_less=True)
        last = Signal(reset_less=True)
        walk = self.walk(m, command, vector, first, last)
        final = next(walk)
        advance = Signal()
        accepts = Signal()
        m.d.comb += [
            advance.eq(~self.valid | self.ready),
            self.read.eq(to_read & advance),
            self.weight_address.eq(vector),
            self.first.eq(first),
            self.last.eq(last),
            self.issued.valid.eq(to_issue),
            self.issued.payload.eq(command),
            self.command.ready.eq((~to_read | (self.read & final)) & (~to_issue | self.issued.ready)),
            accepts.eq(self.command.valid & self.command.ready),
        ]
        with m.If(advance):
            m.d.sync += self.valid.eq(self.read)
        with m.If(self.read):
            next(walk, None)
            with m.If(final):
                m.d.sync += to_read.eq(0)
        for name in offset_shape(self.config):
            offset = Signal.like(command[name], name=f"{name}_read", reset_less=True)
            m.d.comb += getattr(self, name).eq(offset)
            with m.If(self.read):
                m.d.sync += offset.eq(command[name])
        with m.If(self.issued.ready):
            m.d.sync += to_issue.eq(0)
        with m.If(accepts):
            m.d.sync += [
                command.eq(self.command.payload),
                to_read.eq(~self.command.payload.illegal),
                to_issue.eq(1),
                self.weight_bank.eq(self.weight_bank ^ self.command.payload.load_weights),
                self.activation_bank.eq(self.activation_bank ^ self.command.payload.load_activations),
            ]
        return m

    def walk(self, m: Module, command: data.View, vector: Signal, first: Signal, last: Signal) -> Iterator[Value]:
        """Describe the order of reads: yield whether this one is the command's last, then describe what a read does.

        ``vector`` is the weight buffer's entry of this read; ``first`` and ``last`` are registers for its marks.
        """
        row = Signal.like(command.rows)
        next_vector = Signal.like(vector)
        next_row = Signal.like(row)
        last_vector = Signal()
        final = Signal()
        m.d.comb += [
            next_vector.eq(vector + 1),
            next_row.eq(row + 1),
            last_vector.eq(next_vector == command.vectors),
            final.eq(last_vector & (next_row == command.rows)),
        ]
        yield final
        m.d.sync += [
            first.eq(vector == 0),
            last.eq(last_vector),
            vector.eq(next_vector),
            self.activation_address.eq(self.activation_address + 1),
        ]
        with m.If(last_vector):
            m.d.sync += [vector.eq(0), row.eq(next_row)]
        with m.If(final):
            m.d.sync += [row.eq(0), self.activation_address.eq(0)]
