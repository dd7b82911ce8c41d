"""Exact value ranges inside the MAC, each with its proof, the least shapes that hold them, and its streams' payloads.

``golden`` derives its own bounds from its lists of values; these come from the formats' definitions, so that a mistake
in one does not hide in the other.
"""

from collections.abc import Iterable
from functools import reduce
from math import prod
from operator import or_

from amaranth.hdl import Shape, Value, ValueLike, signed, unsigned
from amaranth.lib import data

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.elements import Format
from vsq.hw.arithmetic.decode import decoder
from vsq.hw.mac.scales import ScaleDecoder, scale_decoder


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


def scale_decoders(config: MacConfig) -> dict[str, ScaleDecoder]:
    """Return the decoders by name of a vector's scales; a side without scale has none."""
    scales = {"weight_scale": config.weight_scale, "activation_scale": config.activation_scale}
    return {name: scale_decoder(fmt) for name, fmt in scales.items() if fmt}


def product_max(config: MacConfig) -> int:
    """Return the largest product of the scales' significands plus rounding addend."""
    significands = (scale.significand_max for scale in scale_decoders(config).values())
    return prod(significands) + rounding_addend(config)


def rounded_max(config: MacConfig) -> int:
    """Return the largest round(p / 2^s) before the clamp to 2^R - 1, p being the product of significands."""
    return _rounded(config, product_max(config))


def significand_max(config: MacConfig) -> int:
    """Return the largest significand of the scale factor, after the clamp to R bits; 1 without scales."""
    return _clamped(config, rounded_max(config))


def exponent_max(config: MacConfig) -> int:
    """Return the largest sum of the scales' exponents, biases included; 0 if no scale has one."""
    return sum(scale.exponent_max for scale in scale_decoders(config).values())


def exponent_bias(config: MacConfig) -> int:
    """Return by how much that sum is larger than the exponent of the scale factor."""
    return sum(scale.bias for scale in scale_decoders(config).values())


def factor_max(config: MacConfig) -> int:
    """Return the largest scale factor r, that of the largest scales; 1 without scales.

    Proof: rounding is monotonic, and the largest significand is less than twice that of the largest scale, whose
    exponent is larger by 1.
    """
    top = prod(scale.top for scale in scale_decoders(config).values())
    significand = _clamped(config, _rounded(config, top + rounding_addend(config)))
    return significand << (exponent_max(config) - exponent_bias(config))


def _rounded(config: MacConfig, total: int) -> int:
    """Return the sum of a product and the rounding addend without its low bits.

    Proof: all modes are monotonic. half_up adds one half and floors; half_even differs from it only at a tie, where
    the sum's dropped bits are 0, by clearing the LSB.
    """
    s = config.scale_shift
    tie = config.rounding == Rounding.HALF_EVEN and s > 0 and total % (1 << s) == 0
    return (total >> s) & ~1 if tie else total >> s


def _clamped(config: MacConfig, rounded: int) -> int:
    bits = config.scale_product_bits
    return rounded if bits is None else min(rounded, (1 << bits) - 1)


def dot_shape(config: MacConfig) -> Shape:
    """Return the shape of d: the least that holds its range, or P bits if the accumulator wraps at fewer."""
    return wrapped(config, least_shape(*dot_range(config)))


def term_shape(config: MacConfig) -> Shape:
    """Return the shape of t = d*r: r >= 0, so the extremes of d times the largest r bound it; P bits as for d.

    A window's terms have P bits and, if there are negative ones, a sign; what they do not hold leaves the window.
    """
    if config.window:
        negative = unshifted_shape(config).signed
        return Shape(config.acc_bits + negative, negative)
    return _times(config, factor_max(config))


def unshifted_shape(config: MacConfig) -> Shape:
    """Return the shape of d times the significand of r, likewise."""
    return _times(config, significand_max(config))


def unshifted_bits(config: MacConfig) -> int:
    """Return the bits of its largest magnitude."""
    return max(abs(end) * significand_max(config) for end in dot_range(config)).bit_length()


def wrapped(config: MacConfig, shape: Shape) -> Shape:
    """Cut a shape to the accumulator's bits if it wraps: sums and products modulo 2^P need no higher bits."""
    return Shape(min(shape.width, config.acc_bits), shape.signed) if config.overflow == Overflow.WRAP else shape


def _times(config: MacConfig, factor: int) -> Shape:
    low, high = dot_range(config)
    return wrapped(config, least_shape(low * factor, high * factor))


def may_overflow(config: MacConfig, vectors: int) -> bool:
    """Whether the accumulator's P bits cannot hold every sum of so many terms; a window never holds all."""
    if config.window:
        return True
    most, half = factor_max(config) * vectors, 1 << (config.acc_bits - 1)
    return any(not -half <= end * most < half for end in dot_range(config))


def pattern(fmt: Format) -> Shape:
    """Return the shape of an element's bit pattern."""
    return decoder(fmt).shape()


def scale_shapes(config: MacConfig) -> dict[str, Shape]:
    """Return shapes by name of a vector's scales, and of a window's offset; a side without scale has none."""
    shapes = {name: scale.shape() for name, scale in scale_decoders(config).items()}
    return shapes | ({"offset": unsigned(exponents.bit_length())} if (exponents := window_exponents(config)) else {})


def window_exponents(config: MacConfig) -> int:
    """Return the largest exponent of a factor that a window meets, which its offset reaches; 0 without a window."""
    return exponent_max(config) - exponent_bias(config) if config.window else 0


def term_flags(config: MacConfig) -> dict[str, Shape]:
    """Return shapes by name of what the scale path knows of a window's term: it is beyond, or has lost bits below."""
    return dict.fromkeys(("beyond", "lost"), unsigned(1)) if config.window else {}


def vector_layout(config: MacConfig) -> dict[str, object]:
    """Return shapes by name of what one vector brings: codes, scales, and a window's offset."""
    return {
        "weights": data.ArrayLayout(pattern(config.weight), config.vector_size),
        "activations": data.ArrayLayout(pattern(config.activation), config.vector_size),
        **scale_shapes(config),
    }


def sums_layout(config: MacConfig) -> data.ArrayLayout:
    """Sums of two neighbouring activations, integers: one bit longer, since both ends of their range double."""
    activation = pattern(config.activation)
    return data.ArrayLayout(Shape(activation.width + 1, activation.signed), config.vector_size // 2)


def beat_layout(config: MacConfig) -> data.StructLayout:
    """One vector of the accumulation, and its marks: ``first`` starts a new one, ``last`` asks for its result."""
    return data.StructLayout({**vector_layout(config), "first": unsigned(1), "last": unsigned(1)})


def result_layout(config: MacConfig) -> data.StructLayout:
    """One result: the accumulator, and its sticky flags."""
    return data.StructLayout({"acc": signed(config.acc_bits), **dict.fromkeys(config.flags, unsigned(1))})


def accumulator_marks(slots: int) -> dict[str, int]:
    """Return widths by name of what says to the accumulators of a lane what to do with a term.

    One alone has ``keep``, 0 to start from 0. Several, *slots*, have a bit for each: ``write_slot``, the one that
    loads; ``base_slot``, the one that the term is added to, or none to start from 0; ``result_slot``, the one on offer,
    or none.
    """
    return {"keep": 1} if slots == 1 else dict.fromkeys(("write_slot", "base_slot", "result_slot"), slots)


def chosen(select: Value, values: Iterable[ValueLike]) -> Value:
    """Return the value whose bit of ``select`` is 1; 0 if none is. At most one may be."""
    cast = [Value.cast(value) for value in values]
    return reduce(or_, (value & bit.replicate(len(value)) for bit, value in zip(select, cast, strict=True)))
