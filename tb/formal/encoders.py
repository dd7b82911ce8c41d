"""Proof of the encoders of outputs in small floats and powers of two (:mod:`vsq.hw.pe.encode`), for every input.

A pattern p is proved to stand for the nearest value v to number / divisor, with ties to the even pattern, by

    2 * number >= (v[p-1] + v[p]) * divisor        > where p is odd; always for the first p
    2 * number <= (v[p] + v[p+1]) * divisor        < likewise; always for the last p

where the v are those that the golden side lists: scales of the largest magnitude over qmax, and codes of a number over
its scale, which is that of a magnitude at least as large. Of a power of two the exponent is proved to be floor(log2).

Registers are wires here: this is about what they hold, while streams are always valid and ready. Handshakes are proved
of whole designs (:mod:`vsq.tb.formal.prove`).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import Format, Minifloat
from vsq.hw.emit.yosys import run_yosys
from vsq.hw.pe.encode import floor_log2, nearest_scale
from vsq.hw.pe.ppu import divider_type
from vsq.hw.pe.streams import code_layout, scaled_layout
from vsq.tb.formal.equivalence import Verdict, decide
from vsq.tb.regression.job import TOP

CONFIGS = (
    "nvfp4@",
    "nvint4@",
    "e2m1/e2m1/ue5m3/ue5m3@",
    "mxfp4@",
    "mxfp6-e2m3@",
    "mxfp6-e3m2@",
    "mxfp8-e4m3@",
    "mxfp8-e5m2@",
    "mxint8@",
)
_WIRES = r"module \$_DFF_P_ (input D, C, output Q); assign Q = D; endmodule"


class Scale(wiring.Component):
    """The scale, or the exponent of a power of two, of a vector whose largest magnitude is ``most``."""

    def __init__(self, config: PeConfig) -> None:
        self.config = config
        members = scaled_layout(config).members
        bits = members["exponent" if config.powers else "scale"]
        super().__init__({"most": In(config.z_range[1].bit_length()), "found": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """Return the logic."""
        m, mac = Module(), self.config.mac
        if isinstance(mac.activation_scale, Minifloat):
            found = nearest_scale(m, self.most, mac.activation_scale, mac.activation.qmax)
        else:
            found = floor_log2(m, self.most)
        m.d.comb += self.found.eq(found)
        return m


class Codes(wiring.Component):
    """The divider of an element, to which a number is always offered, and whose code is always taken."""

    def __init__(self, config: PeConfig) -> None:
        self.config = config
        members: dict[str, Any] = {"scale": In(scaled_layout(config).members["scale"])}
        if config.powers:
            members["exponent"] = In(scaled_layout(config).members["exponent"])
        members |= {"z": In(scaled_layout(config).members["z"]), "code": Out(code_layout(config))}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Return the divider with its registers."""
        m = Module()
        m.submodules.divider = divider = divider_type(self.config)(self.config)
        m.d.comb += [
            divider.i.valid.eq(1),
            divider.o.ready.eq(1),
            divider.i.payload.z.eq(self.z),
            divider.i.payload.scale.eq(self.scale),
            self.code.eq(divider.o.payload),
        ]
        if self.config.powers:
            m.d.comb += divider.i.payload.exponent.eq(self.exponent)
        return m


def check_scale(config: PeConfig) -> Verdict:
    """Decide whether the scale of any largest magnitude is another than the nearest, or floor(log2)."""
    most, fmt = config.z_range[1], config.mac.activation_scale
    if config.powers:
        wrong = "most != 0 ? (most >> found) != 1 : found != 0"
    else:
        assert fmt is not None
        wrong = _wrong(fmt, "found", "most", str(config.mac.activation.qmax))
    return _decide(Scale(config), {"most": most.bit_length()}, {"found": 8}, f"most <= {most} & ({wrong})")


def check_codes(config: PeConfig) -> Verdict:
    """Decide whether the code of any number beside its vector's scale is another than the nearest."""
    element, scale, most = config.mac.activation, config.mac.activation_scale, config.z_range[1]
    bits, signed = most.bit_length(), int(element.signed)
    assert scale is not None
    inputs = {"z": bits + signed, "scale": 8 if config.powers else scale.bits}
    size = f"z[{bits - 1}:0]"
    if config.powers:
        inputs["exponent"] = (bits - 1).bit_length()
        possible = f"({size} >> exponent) <= 1"
        wrong = _wrong(element, "pattern", f"({size} << {element.qmax.bit_length() - 1})", "(64'd1 << exponent)")
    else:
        steps = _values(scale)
        divisor = _table("scale", steps)
        limit = _table("scale", [(low + high) * element.qmax for low, high in zip(steps, [*steps[1:], 0], strict=True)])
        possible = f"(scale == {len(steps) - 1} ? {size} <= {most} : scale < {len(steps)} & 64'd2 * {size} <= {limit})"
        wrong = f"(scale == 0 ? pattern != 0 : {_wrong(element, 'pattern', size, divisor)})"
    high = element.bits - signed
    sign = f" | code[{high}] != (z[{bits}] & pattern != 0)" if signed else ""
    widths = {"code": code_layout(config).size}
    wrong = f"{possible} & ({wrong}{sign})".replace("pattern", f"code[{high - 1}:0]")
    return _decide(Codes(config), inputs, widths, wrong)


CHECKS = {"scale": check_scale, "codes": check_codes}


def _values(fmt: Format) -> list[int]:
    """Return the values of the patterns without sign that stand for numbers."""
    if fmt.contiguous:
        return list(range(fmt.qmax + 1))
    count = sum(value >= 0 for value in fmt.values)
    return [int(value) for value in fmt.decode(np.arange(count))]


def _wrong(fmt: Format, pattern: str, number: str, divisor: str) -> str:
    """Return that a pattern does not stand for the value that is nearest to a quotient."""
    values = _values(fmt)
    last = len(values) - 1
    ties = [low + high for low, high in pairwise(values)]
    below, above = _table(pattern, [0, *ties]), _table(pattern, [*ties, 0])
    odd = f"({pattern} & 1)"
    return (
        f"({pattern} > {last} | ({pattern} != 0 & 64'd2 * {number} < {below} * {divisor} + {odd})"
        f" | ({pattern} != {last} & 64'd2 * {number} + {odd} > {above} * {divisor}))"
    )


def _table(index: str, values: list[int]) -> str:
    """Return the value at an index, 0 beyond the last one."""
    return "(" + "".join(f"{index} == {i} ? {value} : " for i, value in enumerate(values)) + "0)"


def _decide(component: Any, inputs: Mapping[str, int], outputs: Mapping[str, int], wrong: str) -> Verdict:
    """Decide whether an expression of a component's pins is ever true."""
    ports = ", ".join(f"input [{bits - 1}:0] {name}" for name, bits in inputs.items())
    pins = ", ".join(f".{name}({name})" for name in (*inputs, *outputs))
    clock = ", .clk(clk), .rst(1'b0)" if isinstance(component, Codes) else ""
    wires = "".join(f"  wire [{bits - 1}:0] {name};\n" for name, bits in outputs.items())
    bench = f"module bench({ports}, input clk, output wrong);\n{wires}  {TOP} encoder({pins}{clock});\n"
    script = [
        "read_rtlil design.il",
        "read_verilog bench.v",
        "hierarchy -top bench",
        "proc",
        "flatten",
        "setattr -unset init w:*",
        "opt -full",
        "wreduce",
        "opt_clean",
        "dffunmap",
        "simplemap",
        "techmap -map wires.v",
        "opt -full",
        "techmap",
        "opt",
        "write_blif bench.blif",
    ]
    files = {
        "design.il": rtlil.convert(component, name=TOP),
        "bench.v": f"{bench}  assign wrong = {wrong};\nendmodule\n",
        "wires.v": _WIRES,
    }
    return decide(run_yosys(script, files, ["bench.blif"])["bench.blif"], "iprove")
