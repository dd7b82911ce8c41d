"""Weights in dual precision in hardware: integers of 4 bits times a scale ue4m3, rounded to E4M3.

All of this follows from the formats' definitions and not from the values that the golden side lists, so that a mistake
in one does not hide in the other.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.hw.arithmetic.decode import UNPACKED, decoder
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac.scales import scale_decoder

_SIGNIFICAND = 4  # bits of E4M3's, and of the scale's
_LARGEST = (14, 14)  # significand and exponent of 224


class WeightDecoder(wiring.Component):
    """``numbers[j] = E4M3(clip(weights[j] * weight_scale, -224, 224))``, to nearest, ties to even.

    The magnitude of a product is ``p * 2^(e - 1)``: p of 7 bits, that of a 4-bit integer times the scale's
    significand, and e the scale's exponent. Where p has more than 4 bits, the lower ones are rounded away; where it has
    less, it stays as it is, since no multiplier asks for a leading one.

    Latency: 0. Throughput: one vector per cycle.

    Members:
        weights: In(V codes)
        weight_scale: In(ue4m3)
        numbers: Out(V patterns of vsq.hw.arithmetic.decode.UNPACKED)

    Source: Gafni et al., Dual Precision Quantization (arXiv 2505.14638).
    """

    def __init__(self, config: MacConfig):
        assert config.weight_scale is not None
        self.config, self.scale = config, scale_decoder(config.weight_scale)
        size, number = config.vector_size, decoder(UNPACKED).shape()
        members = {"weights": In(data.ArrayLayout(decoder(config.weight).shape(), size))}
        members |= {"weight_scale": In(self.scale.shape()), "numbers": Out(data.ArrayLayout(number, size))}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        significand, exponent = self.scale.parts(m, self.weight_scale, "scale")
        assert exponent is not None
        for j, (weight, number) in enumerate(zip(self.weights, self.numbers, strict=True)):
            m.d.comb += number.eq(self._number(m, Value.cast(weight).as_signed(), significand, exponent, f"weight{j}"))
        return m

    def _number(self, m: Module, weight: Value, significand: Value, exponent: Value, name: str) -> Value:
        """Return the pattern of one weight."""
        negative, magnitude = weight[-1], Signal(len(weight), name=f"{name}_magnitude")
        m.d.comb += magnitude.eq(Mux(negative, -weight, weight))
        most = (1 << (len(weight) - 1)) * self.scale.significand_max
        p = style_of(self.config).multiply(m, magnitude, significand, 0, unsigned(most.bit_length()), f"{name}_product")
        drops = len(p) - _SIGNIFICAND
        kept, places = p[:_SIGNIFICAND], Const(0, drops.bit_length())
        up = Const(0, 1)
        for drop in range(1, drops + 1):
            reached = p[_SIGNIFICAND + drop - 1 :].any()
            part, tie = p[drop : drop + _SIGNIFICAND], p[: drop - 1].any() if drop > 1 else Const(0, 1)
            kept = Mux(reached, part, kept)
            up = Mux(reached, p[drop - 1] & (part[0] | tie), up)
            places = Mux(reached, Const(drop, len(places)), places)
        rounded = Signal(_SIGNIFICAND + 1, name=f"{name}_rounded")
        carried = rounded[-1]  # then all other bits are 0
        e = Signal(len(exponent) + 1, name=f"{name}_exponent")
        m.d.comb += [rounded.eq(kept + up), e.eq(exponent + places + carried)]
        significand_out = Cat(rounded[: _SIGNIFICAND - 1], rounded[_SIGNIFICAND - 1] | carried)
        top_significand, top = _LARGEST
        above = Signal(name=f"{name}_above")
        low = e[: len(exponent)]
        m.d.comb += above.eq(
            e[-1] | ((low == top + 1) & significand_out[-1]) | ((low == top) & (significand_out > top_significand))
        )
        return Cat(Mux(above, top_significand, significand_out)[:4], Mux(above, top, low)[: len(exponent)], negative)
