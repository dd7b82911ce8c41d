"""The vector MAC in plain Verilog, as its formula reads: what the emitted design is proved equal to.

Vectors travel through the promised pipeline as they came, and all arithmetic (``*``, ``+``, comparisons) happens at its
end, in words that hold every intermediate value.
"""

from pathlib import Path

import numpy as np

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.base import Format
from vsq.tb.mutation.pins import Pins
from vsq.tb.templates import filled

_FOLDER = Path(__file__).parent


def reference(config: MacConfig, module: str) -> str:
    """Return the MAC as a module with the emitted design's ports."""
    pins, limit = Pins(config), 1 << (config.acc_bits - 1)
    bits = max(config.acc_bits, *(abs(end).bit_length() + 1 for end in config.term_range)) + 2
    scales = {"in_weight_scale": config.weight_scale, "in_activation_scale": config.activation_scale}
    low = {"in_weights": 0, "in_activations": pins.inputs["in_weights"]}
    end = low["in_activations"] + pins.inputs["in_activations"]
    products = []
    for element in range(config.vector_size):
        pair = (("in_weights", config.weight), ("in_activations", config.activation))
        products.append(" * ".join(_code(low[pin] + element * fmt.bits, fmt) for pin, fmt in pair))
    factors = []
    for pin, fmt in scales.items():
        if fmt:
            factors.append(f"beat[{end}+:{fmt.bits}]")
            low[pin], end = end, end + fmt.bits
    s, most, least = config.scale_shift, f"{bits}'sd{limit - 1}", f"-{bits}'sd{limit}"
    largest = None if config.scale_product_bits is None else f"{bits}'d{(1 << config.scale_product_bits) - 1}"
    stages = [filled(_FOLDER / "stage.v", i=i, h=i - 1, beat_high=end - 1) for i in range(1, config.pipeline + 1)]
    saturated = f"total > {most} ? {most} : total < {least} ? {least} : total"
    return filled(
        _FOLDER / "reference.v",
        module=module,
        ports=", ".join(
            f"{way} [{width - 1}:0] {pin}"
            for way, pins_of in (("input", pins.inputs), ("output", pins.outputs))
            for pin, width in pins_of.items()
        ),
        high=bits - 1,
        beat_high=end - 1,
        dot=" + ".join(products),
        product=" * ".join(factors) or "1",
        shift=s,
        carry=_carry(s, config.rounding),
        clamped=f"p > {largest} ? {largest} : p" if largest else "p",
        beat=", ".join(reversed(low)),
        active="first0 | factor(beat0) != 0" if factors else "1",
        stages="".join(stages),
        depth=config.pipeline,
        acc_bits=config.acc_bits,
        most=most,
        least=least,
        policy=saturated if config.overflow == Overflow.SATURATE else "total",
        flag=", out_overflow = overflow" if config.overflow == Overflow.SATURATE else "",
    )


def _code(low: int, fmt: Format) -> str:
    """Return one element of a beat as a signed number."""
    code = f"beat[{low}+:{fmt.bits}]"
    if fmt.contiguous:
        return f"$signed({code})" if fmt.signed else f"$signed({{1'b0, {code}}})"
    table = enumerate(fmt.decode(np.arange(1 << fmt.bits)).tolist())
    return "(" + "".join(f"{code} == {pattern} ? {value} : " for pattern, value in table) + "0)"


def _carry(shift: int, rounding: Rounding) -> str:
    """Return what rounding adds to the product p without its low bits."""
    if shift == 0 or rounding == Rounding.TRUNCATE:
        return "0"
    half, odd = f"p[{shift - 1}]", f"p[{shift}]"
    if rounding == Rounding.HALF_UP:
        return half
    return f"{half} & {odd}" if shift == 1 else f"{half} & ({odd} | |p[{shift - 2}:0])"
