"""The accumulator of a vector MAC, and several that share one adder.

Registers behind a clamp hold complements where full adders end the sum: the clamp is then one and-or-invert gate a bit,
and flip-flops of cell libraries give either polarity.
"""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import Arithmetic, MacConfig, Overflow
from vsq.hw.arithmetic.blocks import add_in_blocks
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.mac import shapes
from vsq.hw.mac.pipeline import term_stages

_BLOCK = 16  # bits through which a carry ripples, about as many as in a dot product


class Accumulator(wiring.Component):
    """``acc' = policy((acc if keep else 0) + t)`` when ``enable``, P bits.

    ``saturate`` clamps to -2^(P-1) .. 2^(P-1)-1 and sets ``overflow``, which stays until the next ``first``; ``wrap``
    keeps the low P bits. A term that is ``beyond`` a window leaves the range to the side of its sign, and one that has
    ``lost`` bits sets ``inexact``, which stays as ``overflow`` does. The register is the result's register too. It has
    no reset: control marks the first vector after a reset as ``first``.

    Latency: 1 cycle. Throughput: one term per cycle.

    Members:
        t: In(shapes.term_shape(config))
        beyond, lost: In(1), as in vsq.hw.mac.shapes.term_flags; absent without a window
        nan: In(1), an operand of the term is no number; absent if that never happens
        keep: In(1), 0 to start from 0
        enable: In(1), register enable
        acc: Out(signed(P))
        overflow: Out(1), sticky; absent if the policy is wrap
        inexact, invalid: Out(1), sticky; absent without a window, or without ``nan``
    """

    def __init__(self, config: MacConfig):
        self.config = config
        results = {name: Out(shape) for name, shape in shapes.result_layout(config).members.items()}
        super().__init__({**_term_members(config), "keep": In(1), "enable": In(1), **results})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(self.config.acc_bits, name="acc_held", reset_less=True)
        base = Signal(signed(self.config.acc_bits))
        acc = _held(self.config, held)
        m.d.comb += [self.acc.eq(acc), base.eq(acc & self.keep.replicate(len(held)))]
        following, exceeds = constrained_sum(m, self.config, base, self.t, getattr(self, "beyond", None))
        with m.If(self.enable):
            m.d.sync += held.eq(_held(self.config, following))
        for name, raised in _raised(self, exceeds).items():
            flag = Signal(name=name, reset_less=True)
            m.d.comb += getattr(self, name).eq(flag)
            with m.If(self.enable):
                m.d.sync += flag.eq(raised | (flag & self.keep))
        return m


class SharedAccumulator(wiring.Component):
    """``acc[write] = policy((acc[base] or 0) + t)`` when ``enable``: an :class:`Accumulator` with several registers.

    Members:
        t, beyond, lost, enable, acc, overflow, inexact: As in :class:`Accumulator`; ``acc`` and the flags are 0 without
            a result
        write_slot, base_slot, result_slot: In(slots), as in vsq.hw.mac.shapes.accumulator_marks
    """

    def __init__(self, config: MacConfig, slots: int):
        self.config, self.slots = config, slots
        members = {name: Out(shape) for name, shape in shapes.result_layout(config).members.items()}
        members |= {name: In(width) for name, width in shapes.accumulator_marks(slots).items()}
        super().__init__({**_term_members(config), "enable": In(1), **members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = [Signal(self.config.acc_bits, name=f"acc_held{i}", reset_less=True) for i in range(self.slots)]
        accs = [_held(self.config, each) for each in held]
        base = Signal(signed(self.config.acc_bits))
        loads = Signal(self.slots)
        m.d.comb += [
            loads.eq(self.write_slot & self.enable.replicate(self.slots)),
            base.eq(shapes.chosen(self.base_slot, accs)),
            self.acc.eq(shapes.chosen(self.result_slot, accs)),
        ]
        following, exceeds = constrained_sum(m, self.config, base, self.t, getattr(self, "beyond", None))
        for load, register in zip(loads, held, strict=True):
            with m.If(load):
                m.d.sync += register.eq(_held(self.config, following))
        for name, raised in _raised(self, exceeds).items():
            flags = Signal(self.slots, name=f"{name}s", reset_less=True)
            m.d.comb += getattr(self, name).eq((self.result_slot & flags).any())
            for load, flag in zip(loads, flags, strict=True):
                with m.If(load):
                    m.d.sync += flag.eq(raised | (self.base_slot & flags).any())
        return m


def _held(config: MacConfig, value: Value) -> Value:
    """Return what a register holds for a value, or a value for what a register holds."""
    return ~value if config.overflow == Overflow.SATURATE and config.style == Arithmetic.BITHEAP else value


def _term_members(config: MacConfig) -> dict[str, wiring.Member]:
    """Return the members that bring a term."""
    flags = [*shapes.term_flags(config), *([] if config.finite else ["nan"])]
    return {"t": In(shapes.term_shape(config)), **{name: In(1) for name in flags}}


def _raised(accumulator: Any, exceeds: Signal | None) -> dict[str, Value]:
    """Return by name of a flag what raises it."""
    flags = {"overflow": exceeds}
    flags |= {"inexact": getattr(accumulator, "lost", None), "invalid": getattr(accumulator, "nan", None)}
    return {name: raised for name, raised in flags.items() if raised is not None}


def constrained_sum(
    m: Module, config: MacConfig, base: Signal, t: Value, beyond: Value | None = None
) -> tuple[Value, Signal | None]:
    """Return ``policy(base + t)`` in P bits, and whether it was clamped, which is None if the policy is wrap.

    A term that is ``beyond`` all that its bits hold counts as one as large as its sign permits.
    """
    p = config.acc_bits
    if config.overflow == Overflow.WRAP:
        return _total(m, config, base, t, signed(p)), None
    # One bit more than the wider operand holds every sum.
    shape = signed(max(p, len(t) + (not t.shape().signed)) + 1)
    total = _total(m, config, base, t, shape)
    # The sum fits iff the bits from P-1 up all equal the sign.
    high, sign = total[p - 1 :], total[-1]
    exceeds = Signal()
    limit = Signal()
    outside = high.any() & ~high.all()
    if beyond is not None:
        sign = Mux(beyond, t[-1], sign) if t.shape().signed else sign & ~beyond
        outside |= beyond
    m.d.comb += [limit.eq(~sign), exceeds.eq(outside)]
    return Mux(exceeds, Cat(limit.replicate(p - 1), ~limit if beyond is not None else sign), total[:p]), exceeds


def _total(m: Module, config: MacConfig, base: Signal, t: Value, shape: Shape) -> Value:
    """Return ``base + t``: with exponents, which make it wide, in blocks if it ripples and has a stage of its own."""
    style = style_of(config)
    if not (shapes.exponent_max(config) and term_stages(config) and config.style == Arithmetic.BITHEAP):
        if t.shape().signed and len(t) < len(base):  # adders of a sign take no inverters, those of its complement do
            t = Cat(t, t[-1].replicate(len(base) - len(t))).as_signed()
        return style.add(m, base, t, shape, "total")
    term = t if t.shape().signed else Cat(t, Const(0, 1))
    longer, shorter = (base, term.as_signed()) if len(base) >= len(term) else (term.as_signed(), base)
    return add_in_blocks(m, style, longer, shorter, shape.width, _BLOCK, "total")
