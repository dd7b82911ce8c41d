"""The post-processing unit: from accumulators to the next layer's vectors."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.pe.encode import FloatDivider, PowerDivider
from vsq.hw.pe.requantize import Divider, OutputScale, Packer
from vsq.hw.pe.streams import Stage, feed, lane_layout, packed_layout, pipe, rescaled_layout, staged


def divider_type(config: PeConfig) -> type[Divider | FloatDivider | PowerDivider]:
    """Return what divides by the output scales of an element."""
    if config.powers:
        return PowerDivider
    return FloatDivider if config.floats else Divider


class PostProcessing(wiring.Component):
    """Rescaling, ReLU and requantization, one lane per cycle.

    :mod:`vsq.golden.model.ppu` has the formulas. Without an output scale the codes are z, and there is neither maximum
    nor division. Small floats and powers of two have dividers of their own.

    Throughput: one lane per cycle, without a pause between vectors if they are taken at once.

    Members:
        i: V lanes for each output vector
        empty: Out(1), all vectors that were begun have been taken
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(lane_layout(config), packed_layout(config)) | {"empty": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rescale = rescale = Rescale(self.config)
        m.submodules.packer = packer = Packer(self.config)
        connect(m, flipped(self.i), rescale.i)
        connect(m, packer.o, flipped(self.o))
        if self.config.mac.activation_scale:
            m.submodules.scale = scale = OutputScale(self.config)
            m.submodules.divider = divider = divider_type(self.config)(self.config)
            connect(m, rescale.o, scale.i)
            connect(m, scale.o, divider.i)
            connect(m, divider.o, packer.i)
        else:
            z = rescale.o.payload.z
            fields = {name: z[name] for name in z.shape().members}
            feed(m, rescale.o, packer.i, {"end": rescale.o.payload.end, **fields})
        self._count(m)
        return m

    def _count(self, m: Module) -> None:
        """Count the vectors inside.

        Proof of the width: registers hold 2 lanes before the maximum, V + 2 that wait, some in the division (of
        integers less than 6: at most 15 steps, 3 a stage; by powers of two 1) and V in the packer.
        """
        division = FloatDivider.latency(self.config) if self.config.floats else 6
        most = 2 + (4 + division) // self.config.mac.vector_size
        inside = Signal(max(4, most.bit_length()))
        enters = Signal()
        leaves = Signal()
        m.d.comb += [
            enters.eq(self.i.valid & self.i.ready & self.i.payload.last),
            leaves.eq(self.o.valid & self.o.ready),
            self.empty.eq(inside == 0),
        ]
        with m.If(enters & ~leaves):
            m.d.sync += inside.eq(inside + 1)
        with m.If(leaves & ~enters):
            m.d.sync += inside.eq(inside - 1)


class Rescale(wiring.Component):
    """``z = sat(round_half_up(acc * multiplier / 2^shift) + bias)``, with ReLU ``max(z, 0)``, as sign and magnitude.

    The limits are those of :attr:`vsq.golden.contract.pe_config.PeConfig.z_range`.

    Latency: 2 cycles, after the product and after z. Throughput: one lane per cycle.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(pipe(lane_layout(config), rescaled_layout(config)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, lane = self.config, self.i.payload
        # |acc| <= 2^(P-1) and multiplier < 2^bits: the product is below 2^(P-1+bits) in magnitude.
        shape = signed(config.mac.acc_bits + config.multiplier_bits)
        product = style_of(config.mac).multiply(m, lane.acc, lane.multiplier, 0, shape, "product")
        others = {name: lane[name] for name in lane.shape().members if name not in ("acc", "multiplier")}
        multiplied = staged(m, "multiplied", self.i, {"product": product, **others})
        held = multiplied.payload
        m.submodules.rescaled = rescaled = Stage(rescaled_layout(config))
        passed = [name for name in rescaled_layout(config).members if name != "z"]
        feed(m, multiplied, rescaled.i, {name: held[name] for name in passed})
        m.d.comb += [
            self.o.valid.eq(rescaled.o.valid),
            rescaled.o.ready.eq(self.o.ready),
            self.o.payload.eq(rescaled.o.payload),
        ]
        self._saturate(m, self._rounded(m, held), held.relu, rescaled.i.payload.z)
        return m

    def _rounded(self, m: Module, lane: data.View) -> Signal:
        """Return round_half_up(product / 2^shift) + bias, exact or beyond the limits of z on the right side.

        Twice the product shifted, plus 1, without its last bit: this is the rounding, for a shift of 0 too. Before the
        sum the shifted value is clamped to bias_bits + 2 bits. Proof that no z changes: a clamped value stands for
        +-2^bias_bits, a bias takes back half of it, and the other half is twice the limit of z.
        """
        style, bits = style_of(self.config.mac), self.config.bias_bits + 2
        rounded = Signal(signed(bits))
        shifted = Signal(signed(max(len(lane.product) + 1, bits)))
        high, sign = shifted[bits - 1 :], shifted[-1]
        clamped = Signal(signed(bits))
        total = Signal(signed(bits + 1), name="total_low_bit_unused")
        m.d.comb += [
            shifted.eq(Cat(Const(0, 1), lane.product).as_signed() >> lane.shift),
            clamped.eq(Mux(high.any() & ~high.all(), Cat((~sign).replicate(bits - 1), sign), shifted[:bits])),
            total.eq(style.add(m, clamped, Cat(Const(1, 1), lane.bias).as_signed(), total.shape(), "sum")),
            rounded.eq(total[1:]),
        ]
        return rounded

    def _saturate(self, m: Module, value: Signal, relu: Value, z: data.View) -> None:
        """Describe z."""
        limit = self.config.z_range[1]
        negative = Signal()
        magnitude = Signal(len(value))  # |value| <= 2^(bits-1)
        clipped = Signal(len(z.magnitude))
        m.d.comb += [
            negative.eq(value[-1]),
            magnitude.eq((value ^ negative.replicate(len(value))) + negative),
            clipped.eq(Mux(magnitude > limit, limit, magnitude[: len(clipped)])),
        ]
        if self.config.mac.activation.signed:
            cleared = negative & relu
            m.d.comb += z.negative.eq(negative & ~relu)
        else:
            cleared = negative
        m.d.comb += z.magnitude.eq(Mux(cleared, 0, clipped))
