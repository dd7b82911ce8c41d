"""The processing element: its parts, wired."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.control import LoadControl, OutputControl
from vsq.hw.pe.double_buffer import BufferShape, DoubleBuffer
from vsq.hw.pe.issue import IssueControl
from vsq.hw.pe.lanes import Collector, Lanes
from vsq.hw.pe.ppu import PostProcessing
from vsq.hw.pe.reuse import SharedIssueControl
from vsq.hw.pe.streams import (
    activation_layout,
    command_layout,
    offset_shape,
    output_layout,
    params_layout,
    weight_layout,
)


def pe_signature(config: PeConfig) -> wiring.Signature:
    """Return the element's streams; without post-processing it takes no lane parameters."""
    params = {"lane_params": In(stream.Signature(params_layout(config)))} if config.ppu else {}
    return wiring.Signature(
        {
            "command": In(stream.Signature(command_layout(config))),
            "weights": In(stream.Signature(weight_layout(config))),
            "activations": In(stream.Signature(activation_layout(config))),
            **params,
            "result": Out(stream.Signature(output_layout(config))),
        }
    )


def buffers(config: PeConfig) -> dict[str, BufferShape]:
    """Return the shapes of the element's buffers by name."""
    params = {"params_buffer": BufferShape(params_layout(config), config.lanes, registered=False)}
    return {
        "weight_buffer": BufferShape(weight_layout(config), config.weight_depth, ways=config.lanes),
        "activation_buffer": BufferShape(activation_layout(config), config.activation_depth),
        **(params if config.ppu else {}),
    }


class ProcessingElement(wiring.Component):
    """L vector MACs that share the activation vector, with double-buffered operands and post-processing.

    What a command does is stated in :mod:`vsq.golden.model.pe`. Three commands are inside: one loads its buffers, one
    reads them, one hands out its results.

    Throughput, in cycles for a command of R rows of G vectors, in steady state and with streams that keep up: the
    largest of R*G (reading, and loading activations), L*G if it loads weights, and R*L (post-processing, or L raw
    beats a row). Hence the lanes work without a pause if G >= L and R >= L. Only commands of less than about L + D + 9
    cycles are held up by their way through the stages, and take up to that. Where b rows share reads of weights, all
    of this holds if b divides G or G >= L + b.

    Latency of a lone command, in cycles from its acceptance to the first accumulator: the loads, then G reads, then
    D + 3; where rows share reads of weights, the reads of other rows among those of the first come on top.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.

    Members are those of :func:`pe_signature`.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pe_signature(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.load_control = load = LoadControl(config)
        m.submodules.issue_control = issue = (SharedIssueControl if config.reuse > 1 else IssueControl)(config)
        m.submodules.output_control = output = OutputControl(config)
        shapes = buffers(config)
        m.submodules.weight_buffer = weights = DoubleBuffer(shapes["weight_buffer"])
        m.submodules.activation_buffer = activations = DoubleBuffer(shapes["activation_buffer"])
        m.submodules.lanes = lanes = Lanes(config)
        m.submodules.collector = collector = Collector(config)

        connect(m, flipped(self.command), load.command)
        connect(m, load.loaded, issue.command)
        connect(m, issue.issued, output.command)
        connect(m, lanes.o, collector.i)
        connect(m, collector.o, output.lanes)
        connect(m, output.result, flipped(self.result))
        read_weights = issue.read_weights if config.reuse > 1 else issue.read
        for buffer, source, loads, complete, count, read in (
            (weights, self.weights, load.load_weights, load.weights_complete, load.vectors, read_weights),
            (activations, self.activations, load.load_activations, load.activations_complete, load.entries, issue.read),
        ):
            connect(m, flipped(source), buffer.i)
            m.d.comb += [
                buffer.load.eq(loads),
                buffer.count.eq(count),
                buffer.restart.eq(load.restart),
                buffer.read.eq(read),
                complete.eq(buffer.complete),
            ]
        m.d.comb += [
            weights.bank.eq(issue.weight_bank),
            weights.address.eq(issue.weight_address),
            activations.bank.eq(issue.activation_bank),
            activations.address.eq(issue.activation_address),
            lanes.i.valid.eq(issue.valid),
            issue.ready.eq(lanes.i.ready),
            lanes.i.payload.weights.eq(weights.o),
            lanes.i.payload.activation.eq(activations.o[0]),
            lanes.i.payload.first.eq(issue.first),
            lanes.i.payload.last.eq(issue.last),
            *([lanes.i.payload.slot.eq(issue.slot)] if config.reuse > 1 else []),
            *(lanes.i.payload[name].eq(getattr(issue, name)) for name in offset_shape(config)),
            output.lane.eq(collector.lane),
            output.row_end.eq(collector.last),
        ]
        if config.ppu:
            m.submodules.ppu = ppu = PostProcessing(config)
            m.submodules.params_buffer = params = DoubleBuffer(shapes["params_buffer"])
            connect(m, flipped(self.lane_params), params.i)
            connect(m, output.process, ppu.i)
            connect(m, ppu.o, output.processed)
            m.d.comb += [
                params.load.eq(load.load_params),
                params.count.eq(config.lanes),
                params.restart.eq(load.restart),
                params.bank.eq(output.params_bank),
                params.address.eq(output.lane),
                load.params_complete.eq(params.complete),
                load.params_taken.eq(output.params_taken),
                output.params.eq(params.o[0]),
                output.empty.eq(ppu.empty),
            ]
        return m
