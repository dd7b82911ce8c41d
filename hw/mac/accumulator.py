"""Accumulator with its overflow policy."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac.ranges import term_shape


class Accumulator(wiring.Component):
    """``acc' = policy((0 if first else acc) + t)`` when ``enable``, P bits.

    ``saturate`` clamps to -2^(P-1) .. 2^(P-1)-1 and sets ``overflow``, which stays until the next ``first``; ``wrap``
    keeps the low P bits. The register is the result's register too. It has no reset: control marks the first vector
    after a reset as ``first``.

    Latency: 1 cycle. Throughput: one term per cycle.

    Members:
        t: In(term_shape(config))
        first: In(1), start from 0
        enable: In(1), register enable
        acc: Out(signed(P))
        overflow: Out(1), sticky; absent if the policy is wrap
    """

    def __init__(self, config: MacConfig):
        self.config = config
        members = {
            "t": In(term_shape(config)),
            "first": In(1),
            "enable": In(1),
            "acc": Out(signed(config.acc_bits)),
        }
        if config.overflow == Overflow.SATURATE:
            members["overflow"] = Out(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
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
