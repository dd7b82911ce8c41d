"""Payloads of the MAC's two streams."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.golden.formats.base import Format
from vsq.hw.arithmetic.decode import decoder


def pattern(fmt: Format) -> Shape:
    """Return the shape of a number's bit pattern."""
    return decoder(fmt).shape()


def vector_layout(config: MacConfig) -> dict[str, object]:
    """Return shapes by name of what one vector brings: codes and scales; a side without scale has no member."""
    members: dict[str, object] = {
        "weights": data.ArrayLayout(pattern(config.weight), config.vector_size),
        "activations": data.ArrayLayout(pattern(config.activation), config.vector_size),
    }
    if config.weight_scale:
        members["weight_scale"] = pattern(config.weight_scale)
    if config.activation_scale:
        members["activation_scale"] = pattern(config.activation_scale)
    return members


def beat_layout(config: MacConfig) -> data.StructLayout:
    """One vector of the accumulation, and its marks: ``first`` starts a new one, ``last`` asks for its result."""
    return data.StructLayout({**vector_layout(config), "first": unsigned(1), "last": unsigned(1)})


def result_layout(config: MacConfig) -> data.StructLayout:
    """One result: the accumulator, and with a saturating one the sticky overflow flag."""
    members: dict[str, object] = {"acc": signed(config.acc_bits)}
    if config.overflow == Overflow.SATURATE:
        members["overflow"] = unsigned(1)
    return data.StructLayout(members)
