"""The datapath of one vector MAC: dot product, scale path and accumulator."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.hw.arithmetic.decode import decoder
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac import shapes
from vsq.hw.mac.pipeline import dot_stages, register, scaled, term_stages


class DotProduct(wiring.Component):
    """``d = sum_j weights[j] * activations[j]``, exact.

    Latency: one cycle per register stage (``vsq.hw.mac.pipeline.dot_stages``), the last on d itself and the others
    inside the sum. Throughput: one vector per cycle.

    Members:
        weights, activations: In(V codes)
        enable: In(stages), register enables; absent without stages
        d: Out(shapes.dot_shape(config)); modulo 2^P if the accumulator wraps at P bits

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the vector MAC's product array and adder tree.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        self.stages = dot_stages(config)
        vectors = shapes.vector_layout(config)
        members = {"weights": In(vectors["weights"]), "activations": In(vectors["activations"])}
        members["d"] = Out(shapes.dot_shape(config))
        if self.stages:
            members["enable"] = In(self.stages)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, enables = self.config, list(self.enable) if self.stages else []
        weights = map(decoder(config.weight).operand, self.weights)
        factors = list(zip(weights, map(decoder(config.activation).operand, self.activations), strict=True))
        d = style_of(config).dot(m, factors, enables[:-1], config.narrow, self.d.shape(), "dot")
        if self.stages:
            d = register(m, d, enables[-1], "d_reg")
        drive_whole(m, self.d, d)
        return m


class ScalePath(wiring.Component):
    """``t = d * r``, exact, with ``r = min(2^R - 1, round(weight_scale * activation_scale / 2^s))``.

    A side without scale contributes 1.

    Latency: one cycle per register stage, of r as many as of d. Throughput: one vector per cycle.

    Members:
        weight_scale, activation_scale: In, absent on a side without scale
        d: In(shapes.dot_shape(config)), registered like r
        enables: In(D), register enables: those of r, then that of t; absent if D = 0
        nonzero: Out(1), r is not 0; combinational from the scales
        t: Out(shapes.term_shape(config))

    Source: VS-Quant (Dai et al., MLSys 2021), section 5: rounding of the scale product before the wide multiplication
    of the partial sum.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {name: In(shape) for name, shape in shapes.scale_shapes(config).items()}
        members |= {"nonzero": Out(1), "d": In(shapes.dot_shape(config)), "t": Out(shapes.term_shape(config))}
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
        rounded = self._rounded(product)
        r = Signal(len(rounded))
        factor = Signal(len(rounded), name="r")
        product.d.comb += self.nonzero.eq(rounded.any())
        for stage in range(stages):
            rounded = register(product, rounded, enable[stage], f"r_reg{stage}")
        product.d.comb += r.eq(rounded)
        m.d.comb += factor.eq(r)
        t = style_of(self.config).multiply(scaled, self.d, factor, 0, self.t.shape(), "term")
        if term_stages(self.config):
            t = register(scaled, t, self.enables[-1], "t_reg")
        drive_whole(scaled, self.t, t)
        return m

    def _rounded(self, m: Module) -> Value:
        """Round by adding one half and dropping the low bits; a tie (all of them 0 then) clears the LSB if to even."""
        config, s = self.config, self.config.scale_shift
        style, addend = style_of(config), shapes.rounding_addend(config)
        # Linters accept that low bits are dropped if the name says so.
        name = "product" if s == 0 or config.rounding == Rounding.HALF_EVEN else "product_low_bits_unused"
        shape, bits = unsigned(shapes.product_max(config).bit_length()), shapes.factor_max(config).bit_length()
        if config.weight_scale and config.activation_scale:
            total = style.multiply(m, self.weight_scale, self.activation_scale, addend, shape, name)
        else:
            scale = self.weight_scale if config.weight_scale else self.activation_scale
            total = style.add(m, scale, Const(addend), shape, name)
        rounded = total[s:]
        if addend and config.rounding == Rounding.HALF_EVEN:
            rounded = Cat(rounded[0] & total[:s].any(), rounded[1:])
        if shapes.rounded_max(config) > shapes.factor_max(config):
            # p < 2^(ws+as), so only 2^R itself occurs beyond 2^R - 1, and its low bits are 0.
            rounded = rounded[:bits] | rounded[bits].replicate(bits)
        return rounded[:bits]


class Accumulator(wiring.Component):
    """``acc' = policy((0 if first else acc) + t)`` when ``enable``, P bits.

    ``saturate`` clamps to -2^(P-1) .. 2^(P-1)-1 and sets ``overflow``, which stays until the next ``first``; ``wrap``
    keeps the low P bits. The register is the result's register too. It has no reset: control marks the first vector
    after a reset as ``first``.

    Latency: 1 cycle. Throughput: one term per cycle.

    Members:
        t: In(shapes.term_shape(config))
        first: In(1), start from 0
        enable: In(1), register enable
        acc: Out(signed(P))
        overflow: Out(1), sticky; absent if the policy is wrap
    """

    def __init__(self, config: MacConfig):
        self.config = config
        results = {name: Out(shape) for name, shape in shapes.result_layout(config).members.items()}
        super().__init__({"t": In(shapes.term_shape(config)), "first": In(1), "enable": In(1), **results})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.config.acc_bits
        acc = Signal(signed(p), reset_less=True)
        base = Signal(signed(p))
        m.d.comb += [self.acc.eq(acc), base.eq(Mux(self.first, 0, acc))]
        if self.config.overflow == Overflow.WRAP:
            total = style_of(self.config).add(m, base, self.t, signed(p), "total")
            with m.If(self.enable):
                m.d.sync += acc.eq(total)
            return m

        # One bit more than the wider operand holds every sum.
        shape = signed(max(p, len(self.t) + (not self.t.shape().signed)) + 1)
        total = style_of(self.config).add(m, base, self.t, shape, "total")
        # The sum fits iff the bits from P-1 up all equal the sign.
        high, sign = total[p - 1 :], total[-1]
        exceeds = Signal()
        overflow = Signal(reset_less=True)
        limit = Signal()
        m.d.comb += [limit.eq(~sign), exceeds.eq(high.any() & ~high.all()), self.overflow.eq(overflow)]
        with m.If(self.enable):
            m.d.sync += [
                acc.eq(Mux(exceeds, Cat(limit.replicate(p - 1), sign), total[:p])),
                overflow.eq(exceeds | (overflow & ~self.first)),
            ]
        return m


class Datapath(wiring.Component):
    """Dot product, scale path and accumulator, wired; :class:`vsq.hw.mac.pipeline.Control` gives the enables.

    Latency: one cycle per register enable, D + 1. Throughput: one vector per cycle.

    Members:
        weights, activations, weight_scale, activation_scale: In, one vector as in vsq.hw.mac.shapes.vector_layout
        first: In(1), the vector at the accumulator starts from 0
        enables: In(D + 1), register enables of the pipeline stages
        nonzero: Out(1), r of the input vector is not 0; absent without a scale path
        acc, overflow: Out, as in vsq.hw.mac.shapes.result_layout
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {name: In(shape) for name, shape in shapes.vector_layout(config).items()}
        members |= {"first": In(1), "enables": In(config.pipeline + 1)}
        if scaled(config):
            members["nonzero"] = Out(1)
        super().__init__(members | {name: Out(shape) for name, shape in shapes.result_layout(config).members.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.dot_product = dot = DotProduct(config)
        m.submodules.accumulator = accumulator = Accumulator(config)
        m.d.comb += [
            dot.weights.eq(self.weights),
            dot.activations.eq(self.activations),
            accumulator.first.eq(self.first),
            accumulator.enable.eq(self.enables[-1]),
            *(getattr(self, name).eq(getattr(accumulator, name)) for name in shapes.result_layout(config).members),
        ]
        if dot_stages(config):
            m.d.comb += dot.enable.eq(self.enables[: dot_stages(config)])
        if not scaled(config):
            m.d.comb += accumulator.t.eq(dot.d)
            return m
        m.submodules.scale = scale = ScalePath(config)
        m.d.comb += [
            scale.d.eq(dot.d),
            accumulator.t.eq(scale.t),
            self.nonzero.eq(scale.nonzero),
            *(getattr(scale, name).eq(getattr(self, name)) for name in shapes.scale_shapes(config)),
        ]
        if config.pipeline:
            m.d.comb += scale.enables.eq(self.enables[:-1])
        return m


def drive_whole(m: Module, port: Value, value: Value) -> None:
    """Drive a component's output of the same width by two assignments.

    Amaranth would make a port of its own for each cell that bits of the value come from; this keeps it one port.
    """
    assert len(port) == len(value)
    m.d.comb += [port[:1].eq(value[:1]), port[1:].eq(value[1:])]
