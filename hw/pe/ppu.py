"""The post-processing unit: from accumulators to the next layer's vectors."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.pe.requantize import Divider, OutputScale, Packer
from vsq.hw.pe.streams import Stage, lane_layout, packed_layout, rescaled_layout


class PostProcessing(wiring.Component):
    """Rescaling, ReLU and requantization, one lane per cycle; see :mod:`vsq.golden.model.ppu` for the formulas.

    Without an output scale the codes are z, and there is neither maximum nor division.

    Throughput: one lane per cycle, without a pause between vectors if they are taken at once.

    Members:
        i: In(stream of lane_layout), V lanes for each output vector
        o: Out(stream of packed_layout)
        empty: Out(1), all vectors that were begun have been taken
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(lane_layout(config))),
                "o": Out(stream.Signature(packed_layout(config))),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the parts."""
        m = Module()
        m.submodules.rescale = rescale = Rescale(self.config)
        m.submodules.packer = packer = Packer(self.config)
        wiring.connect(m, wiring.flipped(self.i), rescale.i)
        wiring.connect(m, packer.o, wiring.flipped(self.o))
        if self.config.mac.activation_scale:
            m.submodules.scale = scale = OutputScale(self.config)
            m.submodules.divider = divider = Divider(self.config)
            wiring.connect(m, rescale.o, scale.i)
            wiring.connect(m, scale.o, divider.i)
            wiring.connect(m, divider.o, packer.i)
        else:
            z = rescale.o.payload.z
            m.d.comb += [
                packer.i.valid.eq(rescale.o.valid),
                rescale.o.ready.eq(packer.i.ready),
                packer.i.payload.end.eq(rescale.o.payload.end),
                *(packer.i.payload[name].eq(z[name]) for name in z.shape().members),
            ]
        self._count(m)
        return m

    def _count(self, m: Module) -> None:
        """Count the vectors inside.

        Proof of the width: registers hold 2 lanes before the maximum, V + 2 that wait, less than 6 in the division (at
        most 15 steps, 3 a stage) and V in the packer; that is no more than 2 + 10/V vectors, 12 at most.
        """
        inside = Signal(4)
        enters, leaves = Signal(), Signal()
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

    The limits are +-qmax * sq_max; an unsigned output format has 0 for the lower one.

    Latency: 2 cycles, after the product and after z. Throughput: one lane per cycle.

    Members:
        i: In(stream of lane_layout)
        o: Out(stream of rescaled_layout)
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {"i": In(stream.Signature(lane_layout(config))), "o": Out(stream.Signature(rescaled_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        config, style = self.config, style_of(self.config.mac)
        # |acc| <= 2^(P-1) and multiplier < 2^bits: the product is below 2^(P-1+bits) in magnitude.
        shape = signed(config.mac.acc_bits + config.multiplier_bits)
        layout = {
            name: field for name, field in lane_layout(config).members.items() if name not in ("acc", "multiplier")
        }
        m.submodules.multiplied = multiplied = Stage(data.StructLayout({"product": shape, **layout}))
        m.submodules.rescaled = rescaled = Stage(rescaled_layout(config))
        lane, held, out = self.i.payload, multiplied.o.payload, rescaled.i.payload
        m.d.comb += [
            multiplied.i.valid.eq(self.i.valid),
            self.i.ready.eq(multiplied.i.ready),
            multiplied.i.payload.product.eq(style.multiply(m, lane.acc, lane.multiplier, 0, shape, "product")),
            *(multiplied.i.payload[name].eq(lane[name]) for name in layout),
            rescaled.i.valid.eq(multiplied.o.valid),
            multiplied.o.ready.eq(rescaled.i.ready),
            out.last.eq(held.last),
            out.end.eq(held.end),
            self.o.valid.eq(rescaled.o.valid),
            rescaled.o.ready.eq(self.o.ready),
            self.o.payload.eq(rescaled.o.payload),
        ]
        self._saturate(m, self._rounded(m, held), held.relu, out.z)
        return m

    def _rounded(self, m: Module, lane: data.View) -> Signal:
        """Return round_half_up(product / 2^shift) + bias, exact or beyond the limits of z on the right side.

        Twice the product shifted, plus 1, without its last bit: this is the rounding, for a shift of 0 too. Before the
        sum the shifted value is clamped to bias_bits + 2 bits. Proof that no z changes: a clamped value stands for
        +-2^bias_bits, a bias takes back half of it, and the other half is twice the limit of z.
        """
        bits = self.config.bias_bits + 2
        shifted = Signal(signed(max(len(lane.product) + 1, bits)))
        high, sign = shifted[bits - 1 :], shifted[-1]
        clamped = Signal(signed(bits))
        total = Signal(signed(bits + 1), name="total_low_bit_unused")
        m.d.comb += [
            shifted.eq(Cat(Const(0, 1), lane.product).as_signed() >> lane.shift),
            clamped.eq(Mux(high.any() & ~high.all(), Cat((~sign).replicate(bits - 1), sign), shifted[:bits])),
            total.eq(
                style_of(self.config.mac).add(m, clamped, Cat(Const(1, 1), lane.bias).as_signed(), total.shape(), "sum")
            ),
        ]
        rounded = Signal(signed(bits))
        m.d.comb += rounded.eq(total[1:])
        return rounded

    def _saturate(self, m: Module, value: Signal, relu: Value, z: data.View) -> None:
        """Describe z."""
        limit = self.config.z_range[1]
        negative, magnitude = Signal(), Signal(len(value))  # |value| <= 2^(bits-1)
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
