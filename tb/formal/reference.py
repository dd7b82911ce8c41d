"""The vector MAC in plain Verilog, as its formula reads: what the emitted design is proved equal to.

Vectors travel through the promised pipeline as they came, and all arithmetic (``*``, ``+``, comparisons) happens at its
end, in words that hold every intermediate value.
"""

from pathlib import Path

import numpy as np

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.elements import Format
from vsq.tb.mutation.pins import Pins
from vsq.tb.templates import filled

_FOLDER = Path(__file__).parent


def reference(config: MacConfig, module: str) -> str:
    """Return the MAC as a module with the emitted design's ports."""
    pins, limit = Pins(config), 1 << (config.acc_bits - 1)
    bits = max(config.acc_bits, *(abs(end).bit_length() + 1 for end in config.term_range)) + 2
    layout = pins.interface.inputs["in"]
    *beat, _, _ = layout.fields  # without the marks
    low, factors = layout.low, [f"beat[{layout.low[name]}+:{layout.widths[name]}]" for name in beat[2:]]
    products = (
        f"{_code(low['weights'] + i * config.weight.bits, config.weight)} * "
        f"{_code(low['activations'] + i * config.activation.bits, config.activation)}"
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
        ),
        high=bits - 1,
        beat_high=high,
        dot=" + ".join(products),
        product=" * ".join(factors) or "1",
        shift=s,
        carry=_carry(s, config.rounding),
        clamped=f"p > {largest} ? {largest} : p" if largest else "p",
        beat=", ".join(f"in_{name}" for name in reversed(beat)),
        active="first0 | factor(beat0) != 0" if factors else "1",
        stages="".join(stages),
        depth=config.pipeline,
        acc_bits=config.acc_bits,
        most=most,
        least=least,
        policy=f"total > {most} ? {most} : total < {least} ? {least} : total" if saturates else "total",
        flag=", out_overflow = overflow" if saturates else "",
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
