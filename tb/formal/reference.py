"""The vector MAC in plain Verilog, as its formula reads: what proofs compare designs with, and what defects go into."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Format, Minifloat
from vsq.golden.model.dual_precision import decoded
from vsq.tb.mutation.pins import Pins
from vsq.tb.templates import filled

_FOLDER = Path(__file__).parent


def reference(config: MacConfig, module: str) -> str:
    """Return the MAC in plain Verilog, as its formula reads, as a module with the emitted design's ports.

    Vectors travel through the promised pipeline as they came, and all arithmetic (``*``, ``+``, comparisons) happens at
    its end, in words that hold every intermediate value.
    """
    pins, limit = Pins(config), 1 << (config.acc_bits - 1)
    bits = max(config.acc_bits, *(abs(end).bit_length() + 1 for end in config.term_range)) + 2
    layout = pins.interface.inputs["in"]
    *beat, _, _ = layout.fields  # without the marks
    low = layout.low
    factors = zip(pins.interface.factors, config.multiplied.scales, strict=True)
    scales = [_parts(low[name], fmt) for name, fmt in factors if fmt]
    products = (
        f"{_weight(config, low, i)} * {_code(low['activations'] + i * config.activation.bits, config.activation)}"
        for i in range(config.vector_size)
    )
    s, most, least = config.scale_shift, f"{bits}'sd{limit - 1}", f"-{bits}'sd{limit}"
    largest = None if config.scale_product_bits is None else f"{bits}'d{(1 << config.scale_product_bits) - 1}"
    high = low["first"] - 1
    stages = [filled(_FOLDER / "stage.v", i=i, h=i - 1, beat_high=high) for i in range(1, config.pipeline + 1)]
    saturates = config.overflow == Overflow.SATURATE
    return filled(
        _FOLDER / "reference.v",
        module=module,
        ports=", ".join(
            f"{way} [{width - 1}:0] {pin}"
            for way, pins_of in (("input", pins.inputs), ("output", pins.outputs))
            for pin, width in pins_of.items()
            if pins.resets or pin != "rst"
        ),
        no_reset="" if pins.resets else "  wire rst = 0;",
        high=bits - 1,
        beat_high=high,
        dot=" + ".join(products),
        product=" * ".join(significand for significand, _ in scales) or "1",
        shift=s,
        carry=_carry(s, config.rounding),
        clamped=f"p > {largest} ? {largest} : p" if largest else "p",
        exponent=" + ".join(exponent for _, exponent in scales) or "0",
        entrance=filled(
            _FOLDER / ("skid.v" if config.registered_ready else "direct.v"),
            beat_high=high,
            beat=", ".join(f"in_{name}" for name in reversed(beat)),
        ),
        active="first0 | factor(beat0) != 0" if scales else "1",
        stages="".join(stages),
        depth=config.pipeline,
        acc_bits=config.acc_bits,
        most=most,
        least=least,
        policy=f"total > {most} ? {most} : total < {least} ? {least} : total" if saturates else "total",
        flags="".join(f", out_{flag} = {flag}" for flag in config.flags),
        offset=f"beat{config.pipeline}[{low['offset']}+:{config.offset_bits}]" if config.window else "0",
    )


def _weight(config: MacConfig, low: Mapping[str, int], element: int) -> str:
    """Return the weight of an element as a signed number; in dual precision from a table of codes and scales."""
    place, scale = low["weights"] + element * config.weight.bits, config.weight_scale
    if not config.dual_precision or scale is None:
        return _code(place, config.weight)
    pattern = f"{{beat[{low['weight_scale']}+:{scale.bits}], beat[{place}+:{config.weight.bits}]}}"
    codes = np.array(config.weight.values)
    values = decoded(np.broadcast_to(codes, (len(scale.values), len(codes))), np.array(scale.values))
    patterns = product(scale.encode(np.array(scale.values)).tolist(), config.weight.encode(codes).tolist())
    table = zip(((high << config.weight.bits) + code for high, code in patterns), values.ravel().tolist(), strict=True)
    return "(" + "".join(f"{pattern} == {number} ? {value} : " for number, value in table) + "0)"


def _code(low: int, fmt: Format) -> str:
    """Return one element of a beat as a signed number."""
    code = f"beat[{low}+:{fmt.bits}]"
    if fmt.contiguous:
        return f"$signed({code})" if fmt.signed else f"$signed({{1'b0, {code}}})"
    table = enumerate(fmt.decode(np.arange(1 << fmt.bits)).tolist())
    return "(" + "".join(f"{code} == {pattern} ? {value} : " for pattern, value in table) + "0)"


def _parts(low: int, fmt: Format) -> tuple[str, str]:
    """Return a scale of a beat as significand and exponent."""
    if isinstance(fmt, E8M0):
        return "1", f"{{1'b0, beat[{low}+:{fmt.bits}]}}"
    if not isinstance(fmt, Minifloat):
        return f"beat[{low}+:{fmt.bits}]", "0"
    mantissa = f"beat[{low}+:{fmt.mantissa_bits}]"
    e = f"beat[{low + fmt.mantissa_bits}+:{fmt.exponent_bits}]"
    return f"({e} == 0 ? {mantissa} : {mantissa} + {1 << fmt.mantissa_bits})", f"({e} == 0 ? 0 : {e} - 1)"


def _carry(shift: int, rounding: Rounding) -> str:
    """Return what rounding adds to the product p without its low bits."""
    if shift == 0 or rounding == Rounding.TRUNCATE:
        return "0"
    half, odd = f"p[{shift - 1}]", f"p[{shift}]"
    if rounding == Rounding.HALF_UP:
        return half
    return f"{half} & {odd}" if shift == 1 else f"{half} & ({odd} | |p[{shift - 2}:0])"
