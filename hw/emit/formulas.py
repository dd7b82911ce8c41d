"""The formulas of a design, with the numbers of its configuration, one a line."""

from collections import defaultdict
from collections.abc import Iterator

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import IntFormat
from vsq.hw.mac.shapes import exponent_max, rounded_max, significand_max

_RESCALED = "z = saturate(round_half_up(acc * multiplier / 2^shift) + bias)"
_REQUANTIZED = [
    "scale = ceil(max_l |z[l]| / qmax), of the V lanes of an output vector",
    "code[l] = round_half_up(z[l] / scale)",
]
_ENCODED = [
    "scale = nearest(max_l |z[l]| / qmax), of the V lanes of an output vector; ties to the even pattern",
    "code[l] = nearest(z[l] / scale), clipped to qmax; 0 if the scale is 0",
]
_ALIGNED = [
    "e = floor(log2(max_l |z[l]|)), of the V lanes of an output vector",
    "scale = scale_base + e; 0 if all z are 0",
]


def function(config: MacConfig) -> list[str]:
    """Return what a vector MAC computes; p, r and k are as wide as its manifest says."""
    formats = config.multiplied.scales
    scales = [name for name, fmt in zip(("weight_scale", "activation_scale"), formats, strict=True) if fmt]
    product, s, bits = " * ".join(scales), config.scale_shift, config.scale_product_bits
    binary = bool(scales) and exponent_max(config) > 0
    clipped = bool(bits) and rounded_max(config) > significand_max(config)
    name = "p" if s or clipped else "r"
    r = "p" if binary else product
    if s:
        r = f"round_{config.rounding}({r} / 2^{s})"
    if bits and clipped:
        r = f"min({(1 << bits) - 1}, {r})"
    lines = [f"{name} * 2^k = {product}, {name} the product of their significands"] if binary else []
    lines += [f"r = {r}"] if scales and (name == "p" or not binary) else []
    term = f"d{' * r' * bool(scales)}{' * 2^k' * binary}"
    if config.window:
        term = f"floor({term} / 2^offset)"
    return [
        *_formats(config),
        *(["weights[j] = e4m3(clip(weights[j] * weight_scale, -224, 224))"] if config.dual_precision else []),
        "d = sum_j weights[j] * activations[j]",
        *lines,
        f"acc = {config.overflow}((0 if first else acc) + {term})",
    ]


def _formats(config: MacConfig) -> Iterator[str]:
    """Yield what the codes of floats stand for, if there are any."""
    sides = ("weight", "activation", "weight_scale", "activation_scale")
    of_format: defaultdict[str, list[str]] = defaultdict(list)
    for side in sides:
        fmt = getattr(config, side)
        if fmt and not isinstance(fmt, IntFormat):
            unit = f" in units of 2^-{fmt.fraction_bits}" * bool(fmt.fraction_bits)
            of_format[f"{fmt}{unit}"].append(side if "scale" in side else f"{side}s[j]")
    if of_format:
        yield "; ".join(f"{', '.join(named)}: {fmt}" for fmt, named in of_format.items())


def post_processing(config: PeConfig) -> list[str]:
    """Return the formulas of what follows the accumulator."""
    if config.mac.activation_scale is None:
        return [_RESCALED, "code = z"]
    if config.powers:
        return [
            _RESCALED,
            *_ALIGNED,
            f"code[l] = nearest(z[l] * 2^({config.mac.activation.qmax.bit_length() - 1} - e)), clipped to qmax",
        ]
    return [_RESCALED, *(_ENCODED if config.floats else _REQUANTIZED)]
