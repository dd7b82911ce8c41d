"""Terms of a window: by how many places a product is shifted into its P bits, and what does not fit.

A product x with a magnitude of W bits stands ``places = k - offset`` above the window's bit 0, from far below it to far
above. Hardware shifts it left by u = places + W, from W columns below the window:

    u < 0            x is below the window as a whole, as it is with u = 0: what remains is its sign, and all bits of x
                     are lost, which are not all 0 unless x is (if x can be -2^(n-1), W is n)
    u >= W + P       x leaves the window whatever its size, unless it is 0, as it does with the largest u

so that n bits hold u if 2^n > W + P, or if 2^n > u for the largest exponents.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from vsq.golden.contract.config import MacConfig
from vsq.hw.arithmetic.shift import shift_once
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac import shapes


def window_places(m: Module, config: MacConfig, exponents: list[Value], offset: Value) -> Signal:
    """Return u of exponents, biases included, and an offset."""
    below = shapes.unshifted_bits(config) - shapes.exponent_bias(config)
    most = below + shapes.exponent_max(config)
    bits = min(shapes.unshifted_bits(config) + config.acc_bits, most).bit_length()
    ones = (1 << len(offset)) - 1  # -offset = ~offset - ones
    shape = shapes.least_shape(min(-1, below - ones), most)
    shape = signed(max(shape.width, bits + 1))
    negated = Signal(len(offset), name="offset_negated")
    m.d.comb += negated.eq(~offset)
    total = style_of(config).sum(m, [*exponents, negated, Const(below - ones)], shape, "places_sum")
    places = Signal(bits, name="places_clipped")
    clipped = total[:bits] & ~total[-1].replicate(bits)
    if len(total) > bits + 1:
        over = total[bits:-1].any() & ~total[-1]
        clipped |= over.replicate(bits)
    m.d.comb += places.eq(clipped)
    return places


def window_term(m: Module, config: MacConfig, x: Value, places: Value) -> tuple[Value, Value, Value]:
    """Return the term of a product, whether it is beyond the window, and whether bits below it were lost.

    The term has the shape vsq.hw.mac.shapes.term_shape; of one that is beyond the window only the sign is right.
    """
    low = shapes.unshifted_bits(config)
    top = low + config.acc_bits
    *early, last = places
    size = 1 << len(early)
    near = x
    for index, moves in enumerate(early):
        near = shift_once(m, near, moves, 1 << index, 0, None, f"shifted_{1 << index}")
    term = shift_once(m, near, last, size, low, top, f"shifted_{size}")
    beyond, lost = Signal(name="term_beyond"), Signal(name="term_lost")
    m.d.comb += [
        beyond.eq(Mux(last, _differ(near[top - size :], x), _differ(near[top:], x))),
        lost.eq(Mux(last, near[: max(0, low - size)].any(), near[:low].any())),
    ]
    return Cat(term, x[-1]) if x.shape().signed else term, beyond, lost


def _differ(bits: Value, x: Value) -> Value:
    """Whether bits are not all equal, or not all 0 if ``x`` is unsigned."""
    if not len(bits):
        return Const(0, 1)
    return bits.any() & ~bits.all() if x.shape().signed else bits.any()
