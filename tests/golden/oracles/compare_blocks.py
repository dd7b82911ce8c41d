"""Compare NVFP4 and OCP MX with torchao, modelopt, compressed-tensors and gfloat: half a million codes a comparison.

    make check-oracles              # of a fresh seed, which is printed
    PYTHONPATH=. .venv-peers/bin/python tests/golden/oracles/compare_blocks.py SEED

OCP MX must be equal, scales and codes. So must NVFP4 be, but where the exact quotient lies within a few float32
roundings of the middle of two values: the others multiply by a reciprocal, or divide in another order. Those are
counted, as are the codes of a vector whose scale is one of them; everything else ends in exit code 1.
"""

import secrets
import sys

import blocks
import numpy as np
from freeze_blocks import ELEMENTS, NVFP4, RULES

from vsq.golden.formats.elements import element_format
from vsq.golden.formats.scales import scale_format
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.second_level import fraction_bits

SHAPE = (512, 1024)
ROUNDINGS = 6  # of float32, between the exact quotient and any of the quantizers'


def inputs(seed, index):
    """Return Gaussian float32 rows of different spread."""
    rng = np.random.default_rng([seed, index])
    return (rng.standard_normal(SHAPE) * rng.uniform(0.5, 4, (SHAPE[0], 1))).astype(np.float32)


def ours(x, element, scale, size, rule="floor"):
    """Return scales and elements as real values, and NVFP4's scale of the tensor."""
    form, kind = element_format(element), scale_format(scale)
    quantizer = Quantizer(element=form, scale=kind, vector_size=size, granularity="tensor", scale_rule=rule)
    result = quantizer.quantize(x)
    unit = 2.0 ** -fraction_bits(form)
    scales = kind.reals(result.scales).astype(np.float64) * 2.0**-kind.fraction_bits
    s2 = result.gamma.item() / unit * 2.0**kind.fraction_bits
    return scales, result.codes.reshape(x.shape) * unit, s2


def unexplained(mine, theirs, quotients):
    """Return how many values differ though their exact quotient is not near the middle of both, and how many are."""
    different = mine != theirs
    middle = np.abs((mine + theirs) / 2)
    near = np.abs(np.abs(quotients) - middle) <= ROUNDINGS * 2.0**-24 * np.abs(quotients)
    return np.count_nonzero(different & ~near), np.count_nonzero(different & near)


def nvfp4(tool, x):
    """Compare one tool's NVFP4; return whether it holds."""
    scales, elements, s2 = ours(x, "e2m1", "ue4m3", blocks.NV)
    their_scales, their_elements = NVFP4[tool](x)
    peaks = np.abs(x.astype(np.float64)).reshape(len(x), -1, blocks.NV).max(axis=2)
    wrong_scales, near_scales = unexplained(scales, their_scales, peaks / 6 / s2)
    same = np.repeat(scales == their_scales, blocks.NV, axis=1)
    quotients = x / (np.repeat(scales, blocks.NV, axis=1) * s2)
    wrong, near = unexplained(elements[same], their_elements[same], quotients[same])
    print(f"{tool} nvfp4: {x.size} codes, {wrong} wrong, {near} near-ties; {scales.size} scales, ", end="")
    print(f"{wrong_scales} wrong, {near_scales} near-ties, whose {np.count_nonzero(~same)} codes are left out")
    return not wrong and not wrong_scales


def mx(title, x, element, rule, theirs):
    """Compare one tool's format of OCP MX; return whether it is equal."""
    scales, elements, _ = ours(x, element, "e8m0", blocks.MX, rule)
    wrong_scales, wrong = (np.count_nonzero(a != b) for a, b in zip((scales, elements), theirs, strict=True))
    print(f"{title}: {x.size} codes, {wrong} different; {scales.size} scales, {wrong_scales} different")
    return not wrong and not wrong_scales


def main():
    """Run all comparisons; return the exit code."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else secrets.randbits(32)
    print(f"seed {seed}")
    good = [nvfp4(tool, inputs(seed, index)) for index, tool in enumerate(NVFP4)]
    for index, element in enumerate((*ELEMENTS, "8")):
        x = inputs(seed, 10 + index)
        x[::7, 32:96] = 0
        x[::5, 96:128] *= 1e-30
        for rule in RULES if element != "8" else ():  # torchao has no MXINT8
            good.append(mx(f"torchao {element} {rule}", x, element, rule, blocks.torchao_mx(x, element, rule)))
        scales, elements = blocks.gfloat_mx(x, element)
        elements = np.maximum(elements, -127 / 64) if element == "8" else elements  # -128 is left unused here
        good.append(mx(f"gfloat {element} floor", x, element, "floor", (scales, elements)))
    print(f"{sum(good)} of {len(good)} comparisons hold")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
