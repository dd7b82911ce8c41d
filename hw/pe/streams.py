"""Payloads of the processing element's five streams and of those between its parts, and registers on streams."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Format
from vsq.hw.mac.scales import scale_decoder
from vsq.hw.mac.shapes import pattern, result_layout, scale_shapes


def _vector(config: PeConfig, element: Format, scale: Format | None) -> data.StructLayout:
    codes = data.ArrayLayout(pattern(element), config.mac.vector_size)
    return data.StructLayout({"codes": codes, "scale": scale_decoder(scale).shape()} if scale else {"codes": codes})


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
    numbers = {"rows": unsigned(config.rows_bits), "vectors": unsigned(config.vectors_bits), **offset_shape(config)}
    numbers |= base_shape(config, "scale_base")
    return data.StructLayout({**numbers, **dict.fromkeys(config.command_marks, unsigned(1))})


def offset_shape(config: PeConfig) -> dict[str, Shape]:
    """A window's offset by its name; nothing without a window."""
    return {name: shape for name, shape in scale_shapes(config.mac).items() if name == "offset"}


def base_shape(config: PeConfig, name: str = "base") -> dict[str, Shape]:
    """The base of output scales by a name; nothing unless they are powers of two."""
    return {name: unsigned(8)} if config.ppu and config.powers else {}


def output_layout(config: PeConfig) -> data.StructLayout:
    """One result beat: a requantized vector, or one lane's accumulator (always, without post-processing).

    ``raw`` tells which; ``illegal`` marks the answer to an illegal command; ``last`` the last beat of a command.
    """
    processed = {**activation_layout(config).members, "raw": 1} if config.ppu else {}
    return data.StructLayout({**processed, **result_layout(config.mac).members, "illegal": 1, "last": 1})


def operand_layout(config: PeConfig) -> data.StructLayout:
    """The operands of all lanes in one cycle: their weight vectors, the shared activation vector, and its marks.

    ``slot`` is the accumulator that it goes to, if a lane has several; ``offset`` that of a window.
    """
    weights = data.ArrayLayout(weight_layout(config), config.lanes)
    marks = {"first": 1, "last": 1, **({"slot": range(config.reuse)} if config.reuse > 1 else {})}
    marks |= offset_shape(config)
    return data.StructLayout({"weights": weights, "activation": activation_layout(config), **marks})


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
    return data.StructLayout({"acc": acc, **params, "relu": 1, **base_shape(config), "last": 1, "end": 1})


def _sign_magnitude(config: PeConfig, bits: int) -> dict[str, Any]:
    """Return the members of a number of so many bits, with a sign unless the output format is unsigned."""
    return {"magnitude": bits} | ({"negative": 1} if config.mac.activation.signed else {})


def magnitude_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of z."""
    return data.StructLayout(_sign_magnitude(config, config.z_range[1].bit_length()))


def rescaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z; ``last`` ends its output vector, ``end`` its command."""
    return data.StructLayout({"z": magnitude_layout(config), **base_shape(config), "last": 1, "end": 1})


def scaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z beside its vector's scale; ``end`` is that of the vector.

    Of a power of two with ``exponent``, floor(log2) of the largest |z|: the scale less its base.
    """
    assert config.mac.activation_scale
    members: dict[str, Any] = {"scale": scale_decoder(config.mac.activation_scale).shape()}
    if config.powers:
        members["exponent"] = range(config.z_range[1].bit_length())
    return data.StructLayout({"z": magnitude_layout(config), **members, "end": 1})


def code_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of one lane's output code, its vector's scale, if there are scales, and the vector's end.

    The magnitude of a float is its pattern without the sign.
    """
    element = config.mac.activation
    members = {**_sign_magnitude(config, element.bits - element.signed), "end": 1}
    if config.mac.activation_scale:
        members["scale"] = scale_decoder(config.mac.activation_scale).shape()
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
