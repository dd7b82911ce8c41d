"""Scale path: the rounded product of the two vector scales, and the dot product scaled by it."""

from amaranth.hdl import Cat, Const, Module, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig, Rounding
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac.ranges import dot_shape, factor_max, product_max, rounded_max, rounding_addend, term_shape
from vsq.hw.mac.stages import dot_stages, drive_whole, register, term_stages
from vsq.hw.mac.streams import vector_layout


class ScaleProduct(wiring.Component):
    """``r = min(2^R - 1, round(weight_scale * activation_scale / 2^s))``; a side without scale contributes 1.

    Latency: one cycle per register stage (as many as the dot product's). Throughput: one per cycle.

    Members:
        weight_scale, activation_scale: In, absent on a side without scale
        enable: In(stages), register enables; absent without stages
        nonzero: Out(1), r is not 0; combinational, before the registers
        r: Out(unsigned)

    Source: VS-Quant (Dai et al., MLSys 2021), section 5: rounding of the scale product before the wide multiplier.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        self.stages = dot_stages(config)
        members = {"nonzero": Out(1), "r": Out(factor_max(config).bit_length())}
        self.scales = {name: In(shape) for name, shape in vector_layout(config).items() if name.endswith("_scale")}
        members |= self.scales
        if self.stages:
            members["enable"] = In(self.stages)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        r = self._rounded(m)
        m.d.comb += self.nonzero.eq(r.any())
        for stage in range(self.stages):
            r = register(m, r, self.enable[stage], f"r_reg{stage}")
        m.d.comb += self.r.eq(r)
        return m

    def _rounded(self, m: Module) -> Value:
        """Round by adding one half and dropping the low bits; a tie (all of them 0 then) clears the LSB if to even."""
        config, s = self.config, self.config.scale_shift
        style, addend = style_of(config), rounding_addend(config)
        # Linters accept that low bits are dropped if the name says so.
        name = "product" if s == 0 or config.rounding == Rounding.HALF_EVEN else "product_low_bits_unused"
        shape = unsigned(product_max(config).bit_length())
        if config.weight_scale and config.activation_scale:
            total = style.multiply(m, self.weight_scale, self.activation_scale, addend, shape, name)
        else:
            scale = self.weight_scale if config.weight_scale else self.activation_scale
            total = style.add(m, scale, Const(addend), shape, name)
        rounded = total[s:]
        if addend and config.rounding == Rounding.HALF_EVEN:
            rounded = Cat(rounded[0] & total[:s].any(), rounded[1:])
        if rounded_max(config) > factor_max(config):
            # p < 2^(ws+as), so only 2^R itself occurs beyond 2^R - 1, and its low bits are 0.
            bits = len(self.r)
            rounded = rounded[:bits] | rounded[bits].replicate(bits)
        return rounded[: len(self.r)]


class ScaledSum(wiring.Component):
    """``t = d * r``, exact.

    Latency: one cycle if ``enable`` is there (``vsq.hw.mac.stages.term_stages``), else combinational. Throughput: one
    per cycle.

    Members:
        d: In, the dot product
        r: In(unsigned), the scale factor
        enable: In(1), register enable of t; absent if t is combinational
        t: Out(term_shape(config))

    Source: VS-Quant (Dai et al., MLSys 2021), section 5, the wide multiplication of the partial sum.
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {
            "d": In(dot_shape(config)),
            "r": In(factor_max(config).bit_length()),
            "t": Out(term_shape(config)),
        }
        self.stages = term_stages(config)
        if self.stages:
            members["enable"] = In(self.stages)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        t = style_of(self.config).multiply(m, self.d, self.r, 0, self.t.shape(), "term")
        if self.stages:
            t = register(m, t, self.enable, "t_reg")
        drive_whole(m, self.t, t)
        return m


class ScalePath(wiring.Component):
    """``t = d * min(2^R - 1, round(weight_scale * activation_scale / 2^s))``: scale product and scaled sum.

    Members:
        weight_scale, activation_scale: In, absent on a side without scale
        d: In, the dot product, registered like r
        enables: In(D), register enables: those of r, then that of t; absent if D = 0
        nonzero: Out(1), r is not 0; combinational from the scales
        t: Out(term_shape(config))
    """

    def __init__(self, config: MacConfig):
        self.product = ScaleProduct(config)
        self.scaled = ScaledSum(config)
        parts = (self.product, self.scaled)
        inner = ("r", "enable")
        members = {
            name: member for part in parts for name, member in part.signature.members.items() if name not in inner
        }
        if config.pipeline:
            members["enables"] = In(config.pipeline)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Wire the two parts."""
        m = Module()
        m.submodules.product = product = self.product
        m.submodules.scaled = scaled = self.scaled
        m.d.comb += [scaled.d.eq(self.d), scaled.r.eq(product.r), self.nonzero.eq(product.nonzero), self.t.eq(scaled.t)]
        m.d.comb += [getattr(product, name).eq(getattr(self, name)) for name in product.scales]
        if product.stages:
            m.d.comb += product.enable.eq(self.enables[: product.stages])
        if scaled.stages:
            m.d.comb += scaled.enable.eq(self.enables[-1])
        return m
