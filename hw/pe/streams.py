"""Payloads of the processing element's five streams and of those between its parts, and registers on streams."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Format
from vsq.hw.mac.shapes import pattern, result_layout


def _vector(config: PeConfig, element: Format, scale: Format | None) -> data.StructLayout:
    codes = data.ArrayLayout(pattern(element), config.mac.vector_size)
    return data.StructLayout({"codes": codes, "scale": pattern(scale)} if scale else {"codes": codes})


def weight_layout(config: PeConfig) -> data.StructLayout:
    """One lane's weight vector: V codes, and their scale if the side has one."""
    return _vector(config, config.mac.weight, config.mac.weight_scale)


def activation_layout(config: PeConfig) -> data.StructLayout:
    """One activation vector: V codes, and their scale if the side has one. Requantized outputs have this layout too."""
    return _vector(config, config.mac.activation, config.mac.activation_scale)


def params_layout(config: PeConfig) -> data.StructLayout:
    """One lane's output parameters."""
    return data.StructLayout(
        {"multiplier": config.multiplier_bits, "shift": config.shift_bits, "bias": signed(config.bias_bits)}
    )


def command_layout(config: PeConfig) -> data.StructLayout:
    """One command; what concerns post-processing is absent from an element without it."""
    members = {"rows": config.rows_bits, "vectors": config.vectors_bits, "load_weights": 1, "load_activations": 1}
    return data.StructLayout(members | ({"load_params": 1, "requantize": 1, "relu": 1} if config.ppu else {}))


def output_layout(config: PeConfig) -> data.StructLayout:
    """One result beat: a requantized vector, or one lane's accumulator (always, without post-processing).

    ``raw`` tells which; ``illegal`` marks the answer to an illegal command; ``last`` the last beat of a command.
    """
    processed = {**activation_layout(config).members, "raw": 1} if config.ppu else {}
    return data.StructLayout({**processed, **result_layout(config.mac).members, "illegal": 1, "last": 1})


def operand_layout(config: PeConfig) -> data.StructLayout:
    """The operands of all lanes in one cycle: their weight vectors, the shared activation vector, and its marks."""
    weights = data.ArrayLayout(weight_layout(config), config.lanes)
    return data.StructLayout({"weights": weights, "activation": activation_layout(config), "first": 1, "last": 1})


def group_layout(config: PeConfig) -> data.ArrayLayout:
    """The results of all lanes for one row."""
    return data.ArrayLayout(result_layout(config.mac), config.lanes)


def loaded_layout(config: PeConfig) -> data.StructLayout:
    """A command whose loads are done; an illegal one has loaded nothing."""
    return data.StructLayout({**command_layout(config).members, "illegal": 1})


def lane_layout(config: PeConfig) -> data.StructLayout:
    """One lane's result on its way to post-processing: accumulator, what to do with it, and marks.

    ``last`` ends an output vector, ``end`` a command.
    """
    acc, params = signed(config.mac.acc_bits), params_layout(config).members
    return data.StructLayout({"acc": acc, **params, "relu": 1, "last": 1, "end": 1})


def _sign_magnitude(config: PeConfig, most: int) -> dict[str, Any]:
    """Return the members of a number 0 .. ``most``, with a sign unless the output format is unsigned."""
    return {"magnitude": most.bit_length()} | ({"negative": 1} if config.mac.activation.signed else {})


def magnitude_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of z: |z| <= qmax * sq_max."""
    return data.StructLayout(_sign_magnitude(config, config.z_range[1]))


def rescaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z; ``last`` ends its output vector, ``end`` its command."""
    return data.StructLayout({"z": magnitude_layout(config), "last": 1, "end": 1})


def scaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z beside its vector's scale; ``end`` is that of the vector."""
    return data.StructLayout({"z": magnitude_layout(config), "scale": config.scale_max.bit_length(), "end": 1})


def code_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of one lane's output code, its vector's scale, if there are scales, and the vector's end."""
    members = {**_sign_magnitude(config, config.mac.activation.qmax), "end": 1}
    if config.mac.activation_scale:
        members["scale"] = pattern(config.mac.activation_scale)
    return data.StructLayout(members)


def packed_layout(config: PeConfig) -> data.StructLayout:
    """One output vector, and whether it ends a command."""
    return data.StructLayout({"vector": activation_layout(config), "end": 1})


def pipe(i: data.Layout, o: data.Layout) -> dict[str, wiring.Member]:
    """Return the members of a component that takes a stream ``i`` and gives a stream ``o`` of these payloads."""
    return {"i": In(stream.Signature(i)), "o": Out(stream.Signature(o))}


def hold(m: Module, source: Any, valid: Signal, held: Any) -> None:
    """Register a stream's beats: whenever ``source`` is ready, the next one is taken. Only validity is reset."""
    with m.If(source.ready):
        m.d.sync += valid.eq(source.valid)
        with m.If(source.valid):
            m.d.sync += held.eq(source.payload)


class Stage(wiring.Component):
    """A stream, one register later: it loads when it is empty or moves on in the same cycle, so bubbles close.

    Latency: 1 cycle. Throughput: 1 beat per cycle.
    """

    def __init__(self, layout: data.Layout):
        self.layout = layout
        super().__init__(pipe(layout, layout))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(self.layout, reset_less=True)
        m.d.comb += [self.i.ready.eq(~self.o.valid | self.o.ready), self.o.payload.eq(held)]
        hold(m, self.i, self.o.valid, held)
        return m


def feed(m: Module, source: Any, sink: Any, values: Mapping[str, Value]) -> None:
    """Give the stream ``sink`` these payload fields, with the handshake of the stream ``source``."""
    m.d.comb += [
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
        *(sink.payload[name].eq(value) for name, value in values.items()),
    ]


def staged(m: Module, name: str, source: Any, values: Mapping[str, Value]) -> Any:
    """Return a stream of these payload fields, one register after the stream ``source``."""
    m.submodules[name] = stage = Stage(data.StructLayout({field: value.shape() for field, value in values.items()}))
    feed(m, source, stage.i, values)
    return stage.o
