"""Second stage of a command: reading the buffers, row by row and vector by vector."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import bits_for, job_layout


class IssueControl(wiring.Component):
    """Reads one operand per cycle: the rows of the activation buffer, each with all vectors of the weight buffer.

    The operand is on the buffers' outputs one cycle after its read, beside ``valid`` and its marks. The next command
    starts in the cycle after the last read, if the third stage has taken this one by then.

    Members
    -------
    job : In(stream of job_layout), commands with their loads done
    issued : Out(stream of job_layout), the same commands for the third stage
    read : Out(1), read both buffers
    weight_bank, activation_bank : Out(1)
    weight_address, activation_address : Out
    valid, ready, first, last : the operand stream's handshake and marks
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "issued": Out(stream.Signature(job_layout(config))),
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
        job = Signal(job_layout(self.config), reset_less=True)
        to_read, to_tell = Signal(), Signal()
        weight_bank, activation_bank = Signal(), Signal()
        vector, row, entry = Signal.like(job.vectors), Signal.like(job.rows), Signal.like(self.activation_address)
        next_vector, next_row = Signal.like(vector), Signal.like(row)
        last_vector, final = Signal(), Signal()
        valid, first, last = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        advance, accepts = Signal(), Signal()
        m.d.comb += [
            next_vector.eq(vector + 1),
            next_row.eq(row + 1),
            last_vector.eq(next_vector == job.vectors),
            final.eq(last_vector & (next_row == job.rows)),
            advance.eq(~valid | self.ready),
            self.read.eq(to_read & advance),
            self.weight_bank.eq(weight_bank),
            self.activation_bank.eq(activation_bank),
            self.weight_address.eq(vector),
            self.activation_address.eq(entry),
            self.valid.eq(valid),
            self.first.eq(first),
            self.last.eq(last),
            self.issued.valid.eq(to_tell),
            self.issued.payload.eq(job),
            self.job.ready.eq((~to_read | (self.read & final)) & (~to_tell | self.issued.ready)),
            accepts.eq(self.job.valid & self.job.ready),
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
            m.d.sync += to_tell.eq(0)
        with m.If(accepts):
            m.d.sync += [
                job.eq(self.job.payload),
                to_read.eq(~self.job.payload.illegal),
                to_tell.eq(1),
                weight_bank.eq(weight_bank ^ self.job.payload.load_weights),
                activation_bank.eq(activation_bank ^ self.job.payload.load_activations),
            ]
        return m
