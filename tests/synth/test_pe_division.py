"""What digit recurrence saves against the textbook's alternative, a table of reciprocals and a multiplier."""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.arithmetic.styles import style_of
from vsq.hw.emit.yosys import run_yosys
from vsq.hw.pe.requantize import Divider
from vsq.hw.pe.streams import code_layout, scaled_layout
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library


def numerators(config, scale):
    """The largest n = |z| + scale/2 beside a scale."""
    return config.mac.activation.qmax * scale + scale // 2


def exact_bits(config):
    """The least k for which (n * ceil(2^k / scale)) >> k = n // scale, for every n and scale.

    With e = ceil(2^k / scale) * scale - 2^k, the product exceeds n / scale by n*e / (scale * 2^k). This must not carry
    the largest rest, scale - 1, into the next quotient: n*e < 2^k for the largest n of that rest.
    """
    for k in range(64):
        for scale in range(1, config.scale_max + 1):
            excess = -(-(1 << k) // scale) * scale - (1 << k)
            largest = numerators(config, scale)
            if (largest - (largest + 1) % scale) * excess >= 1 << k:
                break
        else:
            return k
    raise AssertionError


class Reciprocal(wiring.Component):
    """The same function as the divider's, in one cycle."""

    def __init__(self, config):
        self.config = config
        self.bits = exact_bits(config)
        super().__init__(
            {"i": In(stream.Signature(scaled_layout(config))), "o": Out(stream.Signature(code_layout(config)))}
        )

    def elaborate(self, platform):
        m = Module()
        z, scale, code = self.i.payload.z, self.i.payload.scale, self.o.payload
        n = Signal(range(numerators(self.config, self.config.scale_max) + 1))
        reciprocal = Signal(self.bits + 1)
        with m.Switch(scale):
            for number in range(1, self.config.scale_max + 1):
                with m.Case(number):
                    m.d.comb += reciprocal.eq(-(-(1 << self.bits) // number))
        product = style_of(self.config.mac).multiply(m, n, reciprocal, 0, unsigned(len(n) + len(reciprocal)), "product")
        m.d.comb += [
            n.eq(z.magnitude + scale[1:] - (z.negative & ~scale[0])),
            code.magnitude.eq(product[self.bits :]),
            code.negative.eq(z.negative),
            code.scale.eq(scale),
            code.end.eq(self.i.payload.end),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
        ]
        return m


def area(component, library):
    clean = ["read_rtlil in.il", "proc", "flatten", "setattr -unset init */w:*", "opt", "write_rtlil out.il"]
    design = run_yosys(clean, {"in.il": rtlil.convert(component, name="top")}, ["out.il"])["out.il"]
    netlist = synthesize(design, "top", Flow(library=library))
    return sum(library.cells[name].area * count for name, count in netlist.modules["top"].items())


@pytest.mark.parametrize(("text", "bits"), [("4/4/4/4", 11), ("4/4/4/6", 15)])
def test_the_table_would_be_larger(text, bits):
    config, library = PeConfig.parse(text), Library.load()
    table = Reciprocal(config)
    assert table.bits == bits
    for scale in range(1, config.scale_max + 1):
        factor = -(-(1 << bits) // scale)
        assert all(n * factor >> bits == n // scale for n in range(numerators(config, scale) + 1))
    assert area(table, library) > 3 * area(Divider(config), library)
