"""The datapath of one vector MAC: dot product and scale path, and their sum in the accumulator."""

from dataclasses import replace

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import Arithmetic, MacConfig, Rounding
from vsq.hw.arithmetic.decode import UNPACKED, decoder
from vsq.hw.arithmetic.dual_precision import WeightDecoder
from vsq.hw.arithmetic.shift import shift_left
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac import shapes
from vsq.hw.mac.accumulator import Accumulator, SharedAccumulator
from vsq.hw.mac.pipeline import dot_stages, gated, register, scaled, term_stages
from vsq.hw.mac.window import window_places, window_term


class DotProduct(wiring.Component):
    """``d = sum_j weights[j] * activations[j]``, exact.

    Latency: one cycle per register stage (``vsq.hw.mac.pipeline.dot_stages``), the last on d itself and the others
    inside the sum. Throughput: one vector per cycle.

    Members:
        weights, activations: In(V codes)
        sums: In(floor(V/2)), activations[2j] + activations[2j+1]; absent unless given (:mod:`vsq.hw.pe.pair_sums`)
        enable: In(stages), register enables; absent without stages
        d: Out(shapes.dot_shape(config)); modulo 2^P if the accumulator wraps at P bits

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the vector MAC's product array and adder tree.
    """

    def __init__(self, config: MacConfig, with_sums: bool = False):
        self.config = config
        self.stages = dot_stages(config)
        vectors = shapes.vector_layout(config)
        members = {"weights": In(vectors["weights"]), "activations": In(vectors["activations"])}
        if with_sums:
            members["sums"] = In(shapes.sums_layout(config))
        members["d"] = Out(shapes.dot_shape(config))
        if self.stages:
            members["enable"] = In(self.stages)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, enables = self.config, list(self.enable) if self.stages else []
        weights = map(decoder(config.weight).operand, self.weights)
        factors = list(zip(weights, map(decoder(config.activation).operand, self.activations), strict=True))
        sums = list(getattr(self, "sums", ()))
        d = style_of(config).dot(m, factors, sums, enables[:-1], config.narrow, self.d.shape(), "dot")
        if self.stages:
            d = register(m, d, enables[-1], "d_reg")
        drive_whole(m, self.d, d)
        return m


class ScalePath(wiring.Component):
    """``t = d * r * 2^k``, exact, with ``r = min(2^R - 1, round(p / 2^s))`` of the scales' product ``p * 2^k``.

    Integers have no exponent k. A side without scale contributes 1. Of scales with exponents the product p of
    significands is rounded, and d times that is shifted by the sum k of exponents, of a window less the offset
    (:mod:`vsq.hw.mac.window`).

    Latency: one cycle per register stage, of r as many as of d. Throughput: one vector per cycle.

    Members:
        weight_scale, activation_scale: In, absent on a side without scale
        offset: In, absent without a window
        d: In(shapes.dot_shape(config)), registered like r
        enables: In(D), register enables: those of r, then that of t; absent if D = 0
        nonzero: Out(1), r is not 0; combinational from the scales; absent where r never is 0
        t: Out(shapes.term_shape(config))
        beyond, lost: Out(1), as in vsq.hw.mac.shapes.term_flags; absent without a window

    Source: VS-Quant (Dai et al., MLSys 2021), section 5: rounding of the scale product before the wide multiplication
    of the partial sum.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {name: In(shape) for name, shape in shapes.scale_shapes(config).items()}
        if gated(config):
            members["nonzero"] = Out(1)
        members |= {"d": In(shapes.dot_shape(config)), "t": Out(shapes.term_shape(config))}
        members |= {name: Out(shape) for name, shape in shapes.term_flags(config).items()}
        if config.pipeline:
            members["enables"] = In(config.pipeline)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.product = product = Module()
        m.submodules.scaled = scaled = Module()
        stages = dot_stages(self.config)
        enable = Signal(stages)
        if stages:
            m.d.comb += enable.eq(self.enables[:stages])
        significands, exponents = self._parts(product)
        factor: Signal | None = None
        if significands:
            rounded = self._rounded(product, *significands)
            product.d.comb += self.nonzero.eq(self._any(rounded, significands))
            rounded = rounded[: shapes.wrapped(self.config, rounded.shape()).width]
            for stage in range(stages - 1):
                rounded = register(product, rounded, enable[stage], f"r_reg{stage}")
            rounded = style_of(self.config).recode(product, rounded, "r_recoded")
            if stages:
                rounded = register(product, rounded, enable[-1], f"r_reg{stages - 1}")
            r = Signal(len(rounded))
            factor = Signal(len(rounded), name="r")
            product.d.comb += r.eq(rounded)
            m.d.comb += factor.eq(r)
        if exponents:
            k = self._exponent(product, *exponents)
            for stage in range(stages):
                k = register(product, k, enable[stage], f"k_reg{stage}")
            exponent = Signal(len(k), name="k")
            m.d.comb += exponent.eq(k)
            t, *flags = self._shifted(scaled, factor, exponent)
        else:
            t, flags = self._multiplied(scaled, factor, self.t.shape(), "term"), []
        names = [*shapes.term_flags(self.config)]
        if term_stages(self.config):
            t = register(scaled, t, self.enables[-1], "t_reg")
            flags = [
                register(scaled, flag, self.enables[-1], f"{name}_reg") for name, flag in zip(names, flags, strict=True)
            ]
        drive_whole(scaled, self.t, t)
        scaled.d.comb += [getattr(self, name).eq(flag) for name, flag in zip(names, flags, strict=True)]
        return m

    def _parts(self, m: Module) -> tuple[list[Value], list[Value]]:
        """Return the significands and the exponents of the scales that have one."""
        scales = shapes.scale_decoders(self.config).items()
        parts = [scale.parts(m, getattr(self, name), name) for name, scale in scales]
        significands, exponents = zip(*parts, strict=True)
        return [part for part in significands if part is not None], [part for part in exponents if part is not None]

    def _any(self, rounded: Value, significands: list[Value]) -> Value:
        """Return whether the rounded product is not 0; for lookup tables, whose chains are long, by exact factors."""
        if self.config.style == Arithmetic.LUT and not self.config.scale_shift:
            return Cat(factor.any() for factor in significands).all()
        return rounded.any()

    def _exponent(self, m: Module, *exponents: Value) -> Value:
        """Return the sum of the exponents, biases included; of a window, the places of vsq.hw.mac.window."""
        if self.config.window:
            return window_places(m, self.config, list(exponents), self.offset)
        first, *rest = exponents
        if not rest:
            return first
        shape = unsigned(shapes.exponent_max(self.config).bit_length())
        return style_of(self.config).add(m, first, rest[0], shape, "exponent")

    def _shifted(self, m: Module, factor: Value | None, exponent: Value) -> tuple[Value, ...]:
        """Return d times the significand, shifted by the exponent without its biases: that many low bits are 0.

        Of a window, with its flags.
        """
        config = self.config
        unshifted = self._multiplied(m, factor, shapes.unshifted_shape(config), "unshifted")
        if config.window:
            return window_term(m, config, unshifted, exponent)
        return (shift_left(m, unshifted, exponent, shapes.exponent_bias(config), self.t.shape(), "shifted"),)

    def _multiplied(self, m: Module, factor: Value | None, shape: Shape, name: str) -> Value:
        """Return d times the factor, as the style recodes it, which is 1 if it is None."""
        return self.d if factor is None else style_of(self.config).scale(m, self.d, factor, shape, name)

    def _rounded(self, m: Module, *significands: Value) -> Value:
        """Round by adding one half and dropping the low bits; a tie (all of them 0 then) clears the LSB if to even."""
        config, s = self.config, self.config.scale_shift
        style, addend = style_of(config), shapes.rounding_addend(config)
        # Linters accept that low bits are dropped if the name says so.
        name = "product" if s == 0 or config.rounding == Rounding.HALF_EVEN else "product_low_bits_unused"
        shape, bits = unsigned(shapes.product_max(config).bit_length()), shapes.significand_max(config).bit_length()
        first, *rest = significands
        if rest:
            total = style.multiply(m, first, rest[0], addend, shape, name)
        else:
            total = style.add(m, first, Const(addend), shape, name)
        rounded = total[s:]
        if addend and config.rounding == Rounding.HALF_EVEN:
            rounded = Cat(rounded[0] & total[:s].any(), rounded[1:])
        if shapes.rounded_max(config) > shapes.significand_max(config):
            # p < 2^(ws+as), so only 2^R itself occurs beyond 2^R - 1, and its low bits are 0.
            rounded = rounded[:bits] | rounded[bits].replicate(bits)
        return rounded[:bits]


class Datapath(wiring.Component):
    """Dot product, scale path and accumulator, wired, with enables of their registers from outside.

    Of weights in dual precision a decoder stands in front of the dot product, in the place of the scale path.

    Latency: one cycle per register enable, D + 1. Throughput: one vector per cycle.

    Members:
        weights, activations, weight_scale, activation_scale: In, one vector as in vsq.hw.mac.shapes.vector_layout
        sums: In, as in :class:`DotProduct`
        keep, or write_slot, base_slot, result_slot: In, as in vsq.hw.mac.shapes.accumulator_marks, for the vector at
            the accumulator
        enables: In(D + 1), register enables of the pipeline stages
        nonzero: Out(1), r of the input vector is not 0, or the vector has NaN; absent where r never is 0
        acc, overflow, inexact, invalid: Out, as in vsq.hw.mac.shapes.result_layout
    """

    def __init__(self, config: MacConfig, slots: int = 1, with_sums: bool = False):
        self.config, self.slots, self.with_sums = config, slots, with_sums
        members = {name: In(shape) for name, shape in shapes.vector_layout(config).items()}
        if with_sums:
            members["sums"] = In(shapes.sums_layout(config))
        members |= {name: In(width) for name, width in shapes.accumulator_marks(slots).items()}
        members["enables"] = In(config.pipeline + 1)
        if gated(config):
            members["nonzero"] = Out(1)
        super().__init__(members | {name: Out(shape) for name, shape in shapes.result_layout(config).members.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, weights = self.config, self.weights
        if config.dual_precision:
            m.submodules.decoder = decoder = WeightDecoder(config)
            m.d.comb += [decoder.weights.eq(weights), decoder.weight_scale.eq(self.weight_scale)]
            config, weights = replace(config.multiplied, weight=UNPACKED), decoder.numbers
        m.submodules.dot_product = dot = DotProduct(config, self.with_sums)
        accumulator = Accumulator(config) if self.slots == 1 else SharedAccumulator(config, self.slots)
        m.submodules.accumulator = accumulator
        m.d.comb += [
            dot.weights.eq(weights),
            dot.activations.eq(self.activations),
            *(getattr(accumulator, name).eq(getattr(self, name)) for name in shapes.accumulator_marks(self.slots)),
            accumulator.enable.eq(self.enables[-1]),
            *(getattr(self, name).eq(getattr(accumulator, name)) for name in shapes.result_layout(config).members),
        ]
        if self.with_sums:
            m.d.comb += dot.sums.eq(self.sums)
        if dot_stages(config):
            m.d.comb += dot.enable.eq(self.enables[: dot_stages(config)])
        nan = None if config.finite else self._nan(m)
        if nan is not None:
            staged = nan
            for stage in range(config.pipeline):
                staged = register(m, staged, self.enables[stage], f"nan{stage}")
            m.d.comb += accumulator.nan.eq(staged)
        if not scaled(config):
            m.d.comb += accumulator.t.eq(dot.d)
            return m
        m.submodules.scale = scale = ScalePath(config)
        m.d.comb += [
            scale.d.eq(dot.d),
            accumulator.t.eq(scale.t),
            *([self.nonzero.eq(scale.nonzero if nan is None else scale.nonzero | nan)] if gated(config) else []),
            *(getattr(accumulator, name).eq(getattr(scale, name)) for name in shapes.term_flags(config)),
            *(getattr(scale, name).eq(getattr(self, name)) for name in shapes.scale_shapes(config)),
        ]
        if config.pipeline:
            m.d.comb += scale.enables.eq(self.enables[:-1])
        return m

    def _nan(self, m: Module) -> Signal:
        """Return whether an element or a scale of the input vector is no number."""
        sides = ((self.config.weight, self.weights), (self.config.activation, self.activations))
        found = [decoder(fmt).nan(pattern) for fmt, patterns in sides for pattern in patterns]
        found += [scale.nan(getattr(self, name)) for name, scale in shapes.scale_decoders(self.config).items()]
        nan = Signal(name="nan_in")
        m.d.comb += nan.eq(Cat(flag for flag in found if flag is not None).any())
        return nan


def drive_whole(m: Module, port: Value, value: Value) -> None:
    """Drive a component's output of the same width by two assignments.

    Amaranth would make a port of its own for each cell that bits of the value come from; this keeps it one port.
    """
    assert len(port) == len(value)
    m.d.comb += [port[:1].eq(value[:1]), port[1:].eq(value[1:])]
