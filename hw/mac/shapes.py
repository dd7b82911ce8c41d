"""Exact value ranges inside the MAC, each with its proof, the least shapes that hold them, and its streams' payloads.

``golden`` derives its own bounds from its lists of values; these come from the formats' definitions, so that a mistake
in one does not hide in the other.
"""

from math import prod

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.elements import Format
from vsq.hw.arithmetic.decode import decoder


def least_shape(low: int, high: int) -> Shape:
    """Return the least shape that holds low .. high: n signed bits hold -2^(n-1) .. 2^(n-1) - 1."""
    if low >= 0:
        return unsigned(high.bit_length())
    return signed(1 + max((-low - 1).bit_length(), max(high, 0).bit_length()))


def dot_range(config: MacConfig) -> tuple[int, int]:
    """Return the range of d = sum of V products.

    Proof: a product is linear in either factor, so it is extreme where both are; V of them reach V times that.
    """
    weights, activations = (decoder(fmt).range() for fmt in (config.weight, config.activation))
    products = [w * a for w in weights for a in activations]
    return min(products) * config.vector_size, max(products) * config.vector_size


def rounding_addend(config: MacConfig) -> int:
    """Return what is added to p before its low bits are dropped: half of the new unit, or nothing to truncate."""
    s = config.scale_shift
    return 1 << (s - 1) if s and config.rounding != Rounding.TRUNCATE else 0


def product_max(config: MacConfig) -> int:
    """Return the largest scale product plus rounding addend: scales are at most 2^ws - 1 and 2^as - 1."""
    scales = (config.weight_scale, config.activation_scale)
    return prod((1 << scale.bits) - 1 for scale in scales if scale) + rounding_addend(config)


def rounded_max(config: MacConfig) -> int:
    """Return the largest round(p / 2^s) before the clamp to 2^R - 1.

    Proof: all modes are monotonic. half_up adds one half and floors; half_even differs from it only at a tie, where
    the sum's dropped bits are 0, by clearing the LSB.
    """
    total, s = product_max(config), config.scale_shift
    tie = config.rounding == Rounding.HALF_EVEN and s > 0 and total % (1 << s) == 0
    return (total >> s) & ~1 if tie else total >> s


def factor_max(config: MacConfig) -> int:
    """Return the largest scale factor r, after the clamp to R bits; 1 without scales."""
    bits = config.scale_product_bits
    return rounded_max(config) if bits is None else min(rounded_max(config), (1 << bits) - 1)


def dot_shape(config: MacConfig) -> Shape:
    """Return the shape of d: the least that holds its range, or P bits if the accumulator wraps at fewer."""
    return _wrapped(config, least_shape(*dot_range(config)))


def term_shape(config: MacConfig) -> Shape:
    """Return the shape of t = d*r: r >= 0, so the extremes of d times the largest r bound it; P bits as for d."""
    low, high = dot_range(config)
    return _wrapped(config, least_shape(low * factor_max(config), high * factor_max(config)))


def _wrapped(config: MacConfig, shape: Shape) -> Shape:
    """Cut a shape to the accumulator's bits if it wraps: sums and products modulo 2^P need no higher bits."""
    return Shape(min(shape.width, config.acc_bits), shape.signed) if config.overflow == Overflow.WRAP else shape


def pattern(fmt: Format) -> Shape:
    """Return the shape of a number's bit pattern."""
    return decoder(fmt).shape()


def scale_shapes(config: MacConfig) -> dict[str, Shape]:
    """Return shapes by name of a vector's scales; a side without scale has none."""
    scales = {"weight_scale": config.weight_scale, "activation_scale": config.activation_scale}
    return {name: pattern(fmt) for name, fmt in scales.items() if fmt}


def vector_layout(config: MacConfig) -> dict[str, object]:
    """Return shapes by name of what one vector brings: codes and scales."""
    return {
        "weights": data.ArrayLayout(pattern(config.weight), config.vector_size),
        "activations": data.ArrayLayout(pattern(config.activation), config.vector_size),
        **scale_shapes(config),
    }


def beat_layout(config: MacConfig) -> data.StructLayout:
    """One vector of the accumulation, and its marks: ``first`` starts a new one, ``last`` asks for its result."""
    return data.StructLayout({**vector_layout(config), "first": unsigned(1), "last": unsigned(1)})


def result_layout(config: MacConfig) -> data.StructLayout:
    """One result: the accumulator, and with a saturating one the sticky overflow flag."""
    members: dict[str, object] = {"acc": signed(config.acc_bits)}
    if config.overflow == Overflow.SATURATE:
        members["overflow"] = unsigned(1)
    return data.StructLayout(members)
