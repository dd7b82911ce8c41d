"""Exact rounded division of z by the output scale."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.stage import Stage
from vsq.hw.pe.streams import code_layout, scaled_layout

STEPS_PER_STAGE = 3  # quotient bits between registers


class Divider(wiring.Component):
    """``code = round_half_up(z / scale)``, 0 if the scale is 0, by digit recurrence: exact for every input.

    With n = |z| + floor((scale - (z < 0)) / 2), the code's magnitude is floor(n / scale), because half up of a negative
    number is half down of its magnitude. |z| <= qmax * scale, hence n < 2^b * scale with b bits of qmax, and b steps of
    comparing with the scale and subtracting it give the quotient's bits, the highest first.

    Latency: ceil(b / STEPS_PER_STAGE) - 1 cycles. Throughput: one code per cycle.

    Members:
        i: In(stream of scaled_layout)
        o: Out(stream of code_layout)
    """

    def __init__(self, config: PeConfig):
        self.config = config
        super().__init__(
            {"i": In(stream.Signature(scaled_layout(config))), "o": Out(stream.Signature(code_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        element, z, scale = self.config.mac.activation, self.i.payload.z, self.i.payload.scale
        bits = element.qmax.bit_length()
        rest = Signal(len(scale) + bits, name="numerator")
        digits: list[Value] = []
        side = {"scale": scale, "end": self.i.payload.end}
        if element.signed:
            side["negative"] = z.negative
            m.d.comb += rest.eq(z.magnitude + scale[1:] - (z.negative & ~scale[0]))
        else:
            m.d.comb += rest.eq(z.magnitude + scale[1:])

        valid, ready = self.i.valid, self.i.ready
        for step in reversed(range(bits)):
            rest, digit = _step(m, rest, side["scale"], step)
            digits.insert(0, digit)
            if step and len(digits) % STEPS_PER_STAGE == 0:
                values = {**side, "rest": rest, "digits": Cat(digits)}
                stage = Stage(data.StructLayout({name: len(value) for name, value in values.items()}))
                m.submodules[f"stage{step}"] = stage
                m.d.comb += [
                    stage.i.valid.eq(valid),
                    ready.eq(stage.i.ready),
                    *(stage.i.payload[name].eq(value) for name, value in values.items()),
                ]
                valid, ready = stage.o.valid, stage.o.ready
                side = {name: stage.o.payload[name] for name in side}
                rest, digits = stage.o.payload.rest, list(stage.o.payload.digits)

        m.d.comb += [
            self.o.valid.eq(valid),
            ready.eq(self.o.ready),
            self.o.payload.magnitude.eq(Cat(digits)),
            *(self.o.payload[name].eq(value) for name, value in side.items()),
        ]
        return m


def _step(m: Module, rest: Value, scale: Value, step: int) -> tuple[Value, Value]:
    """Return the rest below scale * 2^step, and the quotient's digit of that weight.

    rest < scale * 2^(step+1), so its bits from ``step`` up are one more than the scale's, and after it as many.
    """
    top = rest[step:]
    difference, digit = Signal(len(scale) + 2, name=f"difference{step}"), Signal(name=f"digit{step}")
    remaining = Signal(len(scale), name=f"remaining{step}")
    m.d.comb += [
        difference.eq(top - scale),
        digit.eq(~difference[-1] & scale.any()),
        remaining.eq(Mux(digit, difference, top)),
    ]
    return Cat(rest[:step], remaining), digit
