"""Compare exact sums, rounded once to float32, with what Blackwell's tensor cores give according to mmasim 2.1.1.

    make check-oracles              # of a fresh seed, which is printed
    PYTHONPATH=. .venv-peers/bin/python tests/golden/oracles/compare_mmasim.py SEED [--freeze]

A tensor core aligns its terms to the largest exponent, truncates each to F fraction bits, adds them, and rounds to
float32 toward zero; of FP4 a term is a sum of 16 products with its scales, of FP8 a product. Where no term loses bits,
the exact sum must give the same float32. Where one does, *beyond*, the sum of the truncated terms must. Everything else
is unexplained and ends in exit code 1. ``--freeze`` writes some results of either kind to mmasim.json.

Source: mmasim (MIT); arXiv 2511.10909.
"""

import json
import secrets
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import BlockOperand, scale_parts
from vsq.golden.model.readout import FloatRounding, exact_sums, to_float32

# Configuration and shape of a block, mmasim's name, elements in a result, those of a term, fraction bits F, and the
# exponent of a term that is 0.
CASES = {
    "nvfp4": ("e2m1/e2m1/ue4m3/ue4m3", "m16n8k64.kind::mxf4nvf4.block16.f32.e2m1.e2m1.f32.ue4m3", 64, 16, 35, -139),
    "mxfp4": ("e2m1/e2m1/e8m0/e8m0:V=32", "m16n8k64.kind::mxf4.block32.f32.e2m1.e2m1.f32.ue8m0", 64, 16, 35, -139),
    "mxfp8-e4m3": (
        "e4m3/e4m3/e8m0/e8m0:V=32",
        "m16n8k32.kind::mxf8f6f4.block32.f32.e4m3.e4m3.f32.ue8m0",
        32,
        1,
        25,
        -133,
    ),
    "mxfp8-e5m2": (
        "e5m2/e5m2/e8m0/e8m0:V=32",
        "m16n8k32.kind::mxf8f6f4.block32.f32.e5m2.e5m2.f32.ue8m0",
        32,
        1,
        25,
        -133,
    ),
}
ROUNDS = 8  # matrices of 16 x 8 results for each spread
SPREADS = (0.02, 0.3, 1)  # of the patterns' magnitudes, down from a random one
FROZEN = 4  # results of either kind
FILE = Path(__file__).with_name("mmasim.json")


def drawn(rng, fmt, shape, spread):
    """Return random codes whose patterns, without sign, span a share of all."""
    positive = [value for value in fmt.values if value >= 0]
    count = max(2, round(spread * len(positive)))
    start = rng.integers(len(positive) - count + 1)
    codes = np.array(positive, np.int64)[start + rng.integers(count, size=shape)]
    return codes * rng.choice([-1, 1], shape) if fmt.signed else codes


def operands(rng, name, spread):
    """Return weights [8, G, V] and activations [16, G, V]; scales stay where float32 holds sums."""
    text, _, length, *_ = CASES[name]
    config, sides = MacConfig.parse(text), []
    for count, element, scale in zip((8, 16), (config.weight, config.activation), config.scales, strict=True):
        groups = length // config.vector_size
        codes = drawn(rng, element, (count, groups, config.vector_size), spread)
        if str(scale) == "e8m0":
            most = max(1, round(40 * spread))
            scales = 100 + rng.integers(40 - most + 1) + rng.integers(most, size=(count, groups))
        else:
            scales = drawn(rng, scale, (count, groups), spread)
        sides.append(BlockOperand(codes, scales))
    return sides


def exact(name, weights, activations):
    """Return the exact sums in float32, towards zero, [M, N]."""
    config = MacConfig.parse(CASES[name][0])
    sums, unit = exact_sums(config, weights, activations)
    return to_float32(sums, unit - _fraction(config), FloatRounding.RZ)


def _fraction(config):
    """Return the bits of the unit that all formats have in common."""
    return sum(fmt.fraction_bits for fmt in (config.weight, config.activation, *config.scales))


def truncated(name, weights, activations):
    """Return the sums of terms truncated as a tensor core does, in float32, and whether a term lost bits, [M, N]."""
    text, _, _, together, bits, zero = CASES[name]
    config = MacConfig.parse(text)
    unit = _fraction(config) + sum(scale.origin for scale in config.scales)
    found = np.zeros((len(activations.codes), len(weights.codes)), object)
    lost = np.zeros(found.shape, bool)
    for m, n in np.ndindex(found.shape):
        w, a = weights.codes[n].astype(object), activations.codes[m].astype(object)
        _, g, k = scale_parts(config, weights.scales[n], activations.scales[m])
        per = config.vector_size // together
        g, k = (np.repeat(np.broadcast_to(part, len(w)), per) for part in (g, k))
        products = (w * a).reshape(-1, together)
        exponents = k.astype(object) - sum(_exponent_origin(scale) for scale in config.scales)
        if together == 1:
            exponents = exponents + _exponent(config.weight, w.ravel()) + _exponent(config.activation, a.ravel())
        empty = (products == 0).all(axis=1) | (g == 0)
        top = max([zero, *exponents[~empty]])
        terms = products.sum(axis=1) * g << k.astype(object)
        step = unit + top - bits  # the least bit kept
        kept = (
            terms if step <= 0 else np.array([(abs(t) >> step << step) * (1 if t > 0 else -1) for t in terms], object)
        )
        found[m, n], lost[m, n] = kept.sum(), bool((kept != terms).any())
    return to_float32(found, -unit, FloatRounding.RZ), lost


def _exponent_origin(scale):
    """Return what the exponent of ``split`` is more than that of the number's leading bit, if it is not subnormal."""
    return scale.origin or scale.bias - 1


def _exponent(fmt, codes):
    """Return the exponents of elements as IEEE 754 has them: those of subnormal numbers are the least."""
    exponents = fmt.split(np.abs(codes.astype(np.int64)))[1]
    return np.asarray(exponents).astype(object) - (fmt.bias - 1)


def theirs(name, weights, activations):
    """Return what mmasim's RTX Blackwell gives, [M, N]."""
    import torch
    from mmasim.nv_ptx import MMABlockScale

    config = MacConfig.parse(CASES[name][0])
    types = {"e2m1": torch.uint8, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
    types |= {"ue4m3": torch.float8_e4m3fn, "e8m0": torch.float8_e8m0fnu}

    def tensor(fmt, codes):
        patterns = fmt.encode(codes).astype(np.uint8).reshape(len(codes), -1)
        if str(fmt) == "e2m1":
            patterns = patterns[:, ::2] << 4 | patterns[:, 1::2]
        return torch.from_numpy(patterns).view(types[str(fmt)])

    a, b = tensor(config.activation, activations.codes), tensor(config.weight, weights.codes)
    alpha, beta = tensor(config.scales[1], activations.scales), tensor(config.scales[0], weights.scales)
    zeros = torch.zeros(len(a), len(b))
    return MMABlockScale("RTX Blackwell", CASES[name][1])(a, b.T, zeros, alpha, beta.T).numpy()


def shown(name, weights, activations, m, n, found):
    """Print a result beyond a tensor core's bits."""
    sums, unit = exact_sums(MacConfig.parse(CASES[name][0]), weights, activations)
    mine = exact(name, weights, activations)[m, n]
    total = float(int(sums[m, n]) * Fraction(2) ** (unit - _fraction(MacConfig.parse(CASES[name][0]))))
    rival = f"{found[m, n]:.9g} of terms with {CASES[name][4]} fraction bits"
    print(f"  {name}: exactly {total:.17g} is {mine:.9g} toward zero, and {rival}")


def compare(name, seed, frozen):
    """Compare one format on random operands; return how many results are not explained."""
    counts, kept = (
        dict.fromkeys(("equal", "beyond, equal", "beyond, different", "unexplained"), 0),
        {False: [], True: []},
    )
    rng = np.random.default_rng([seed, list(CASES).index(name)])
    for spread in SPREADS * ROUNDS:
        weights, activations = operands(rng, name, spread)
        mine, found = exact(name, weights, activations), theirs(name, weights, activations)
        explained, lost = truncated(name, weights, activations)
        same = mine == found
        wrong = np.where(lost, explained != found, ~same)
        counts["unexplained"] += int(wrong.sum())
        counts["equal"] += int((same & ~lost & ~wrong).sum())
        counts["beyond, equal"] += int((same & lost & ~wrong).sum())
        counts["beyond, different"] += int((~same & lost & ~wrong).sum())
        for m, n in np.argwhere(~wrong & (lost != same)):
            if len(kept[bool(lost[m, n])]) < FROZEN and rng.random() < 0.05:
                row = [part.tolist() for part in (*(p[n] for p in weights), *(p[m] for p in activations))]
                kept[bool(lost[m, n])].append([*row, bool(lost[m, n]), int(found[m, n].view(np.int32))])
                if lost[m, n]:
                    shown(name, weights, activations, m, n, found)
    frozen[name] = kept[False] + kept[True]
    print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return counts["unexplained"] + (not counts["equal"])


def main(arguments):
    """Compare all formats; return 0 if every result is explained."""
    seed = next((int(text) for text in arguments if text.isdigit()), None)
    seed = secrets.randbits(32) if seed is None else seed
    print(f"seed {seed}")
    frozen = {}
    left = [compare(name, seed, frozen) for name in CASES]
    if "--freeze" in arguments:
        FILE.write_text(json.dumps({"seed": seed, "mmasim": "2.1.1", "cases": frozen}) + "\n")
    return int(any(left))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
