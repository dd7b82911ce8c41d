"""Payloads of the processing element's five streams and of those between its parts, and a register on a stream."""

from typing import Any

from amaranth.hdl import Module, Shape, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.base import Format
from vsq.hw.mac.shapes import pattern, result_layout


def _vector(config: PeConfig, element: Format, scale: Format | None) -> data.StructLayout:
    members: dict[str, object] = {"codes": data.ArrayLayout(pattern(element), config.mac.vector_size)}
    if scale:
        members["scale"] = pattern(scale)
    return data.StructLayout(members)


def weight_layout(config: PeConfig) -> data.StructLayout:
    """One lane's weight vector: V codes, and their scale if the side has one."""
    return _vector(config, config.mac.weight, config.mac.weight_scale)


def activation_layout(config: PeConfig) -> data.StructLayout:
    """One activation vector: V codes, and their scale if the side has one. Requantized outputs have this layout too."""
    return _vector(config, config.mac.activation, config.mac.activation_scale)


def params_layout(config: PeConfig) -> data.StructLayout:
    """One lane's output parameters."""
    return data.StructLayout(
        {
            "multiplier": unsigned(config.multiplier_bits),
            "shift": unsigned(config.shift_bits),
            "bias": signed(config.bias_bits),
        }
    )


def command_layout(config: PeConfig) -> data.StructLayout:
    """One command; what concerns post-processing is absent from an element without it."""
    members: dict[str, object] = {
        "rows": unsigned(config.rows_bits),
        "vectors": unsigned(config.vectors_bits),
        "load_weights": unsigned(1),
        "load_activations": unsigned(1),
    }
    if config.ppu:
        members |= {"load_params": unsigned(1), "requantize": unsigned(1), "relu": unsigned(1)}
    return data.StructLayout(members)


def output_layout(config: PeConfig) -> data.StructLayout:
    """One result beat: a requantized vector, or one lane's accumulator (always, without post-processing).

    ``raw`` tells which; ``illegal`` marks the answer to an illegal command; ``last`` the last beat of a command.
    """
    members: dict[str, object] = {}
    if config.ppu:
        members |= {**activation_layout(config).members, "raw": unsigned(1)}
    members |= {**result_layout(config.mac).members, "illegal": unsigned(1), "last": unsigned(1)}
    return data.StructLayout(members)


def operand_layout(config: PeConfig) -> data.StructLayout:
    """The operands of all lanes in one cycle: their weight vectors, the shared activation vector, and its marks."""
    return data.StructLayout(
        {
            "weights": data.ArrayLayout(weight_layout(config), config.lane_count),
            "activation": activation_layout(config),
            "first": unsigned(1),
            "last": unsigned(1),
        }
    )


def group_layout(config: PeConfig) -> data.ArrayLayout:
    """The results of all lanes for one row."""
    return data.ArrayLayout(result_layout(config.mac), config.lane_count)


def loaded_layout(config: PeConfig) -> data.StructLayout:
    """A command whose loads are done; an illegal one has loaded nothing."""
    return data.StructLayout({**command_layout(config).members, "illegal": unsigned(1)})


def lane_layout(config: PeConfig) -> data.StructLayout:
    """One lane's result on its way to post-processing: accumulator, what to do with it, and marks.

    ``last`` ends an output vector, ``end`` a command.
    """
    return data.StructLayout(
        {
            "acc": signed(config.mac.acc_bits),
            **params_layout(config).members,
            "relu": unsigned(1),
            "last": unsigned(1),
            "end": unsigned(1),
        }
    )


def _sign_magnitude(config: PeConfig, most: int) -> dict[str, object]:
    """Members of a number 0 .. ``most``, with a sign unless the output format is unsigned."""
    members: dict[str, object] = {"magnitude": unsigned(most.bit_length())}
    if config.mac.activation.signed:
        members["negative"] = unsigned(1)
    return members


def magnitude_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of z: |z| <= qmax * sq_max."""
    return data.StructLayout(_sign_magnitude(config, config.z_range[1]))


def rescaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z; ``last`` ends its output vector, ``end`` its command."""
    return data.StructLayout({"z": magnitude_layout(config), "last": unsigned(1), "end": unsigned(1)})


def scaled_layout(config: PeConfig) -> data.StructLayout:
    """One lane's z beside its vector's scale; ``end`` is that of the vector."""
    return data.StructLayout(
        {"z": magnitude_layout(config), "scale": config.scale_max.bit_length(), "end": unsigned(1)}
    )


def code_layout(config: PeConfig) -> data.StructLayout:
    """Sign and magnitude of one lane's output code, its vector's scale, if there are scales, and the vector's end."""
    members = {**_sign_magnitude(config, config.mac.activation.qmax), "end": unsigned(1)}
    if config.mac.activation_scale:
        members["scale"] = pattern(config.mac.activation_scale)
    return data.StructLayout(members)


def packed_layout(config: PeConfig) -> data.StructLayout:
    """One output vector, and whether it ends a command."""
    return data.StructLayout({"vector": activation_layout(config), "end": unsigned(1)})


def bits_for(count: int) -> Shape:
    """Return the shape of an index 0 .. count-1."""
    return unsigned((count - 1).bit_length())


class Stage(wiring.Component):
    """A stream, one register later: it loads when it is empty or moves on in the same cycle, so bubbles close.

    Only validity is reset. Latency: 1 cycle. Throughput: 1 beat per cycle.

    Members:
        i, o: streams of ``layout``
    """

    def __init__(self, layout: Any):
        self.layout = layout
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        valid = Signal()
        held = Signal(self.layout, reset_less=True)
        m.d.comb += [self.i.ready.eq(~valid | self.o.ready), self.o.valid.eq(valid), self.o.payload.eq(held)]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += held.eq(self.i.payload)
        return m
