"""Compare the quantizer with brevitas, torchao and modelopt on half a million Gaussian codes a configuration.

    make check-oracles              # of a fresh seed, which is printed
    PYTHONPATH=. .venv-peers/bin/python tests/golden/oracles/compare.py SEED

Scales must be equal. Codes must be equal but where the exact quotient lies within a few float32 roundings of a tie: the
others multiply by a reciprocal, or divide in another order. Each such case is listed, and everything else ends in exit
code 1. What is not installed is named and not compared.
"""

import importlib
import secrets
import sys

import numpy as np
import torch

from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Quantizer

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else secrets.randbits(32)
SHAPE = (512, 1024)
ROUNDINGS = 6  # of float32, between the exact quotient and any of the quantizers'
LISTED = 5

# element, scale bits, V, granularity
TWO_LEVELS = [
    ("4", 4, 16, "channel"),
    ("3", 6, 16, "channel"),
    ("6", 4, 24, "channel"),
    ("8", 8, 64, "channel"),
    ("4U", 6, 16, "tensor"),
    ("8", 10, 16, "tensor"),
]
# element, granularity
ONE_LEVEL = [("4", "channel"), ("8", "channel"), ("8", "tensor"), ("4U", "tensor")]


def inputs(element, seed):
    """Return Gaussian float32 rows of different spread; magnitudes where the format is unsigned."""
    rng = np.random.default_rng([SEED, seed])
    x = (rng.standard_normal(SHAPE) * rng.uniform(0.5, 4, (SHAPE[0], 1))).astype(np.float32)
    return x if element.signed else np.abs(x)


def near_ties(x, step, codes, others):
    """Return indices where codes differ, parted into near-ties of the exact quotient and all others."""
    different = np.argwhere(codes != others)
    places = tuple(different.T)
    quotient = np.abs(x[places].astype(np.float64) / step[places])
    from_tie = np.abs(quotient - np.floor(quotient) - 0.5)
    near = (from_tie <= ROUNDINGS * 2.0**-24 * quotient) & (np.abs(codes[places] - others[places]) == 1)
    return different[near], different[~near], quotient[near]


def report(title, x, step, ours, others, scales_equal=None):
    """Print one comparison; return whether it holds."""
    ties, wrong, quotients = near_ties(x, step, ours, others)
    scales = {None: "", True: "scales equal, ", False: "scales DIFFER, "}[scales_equal]
    print(f"{title}: {ours.size} codes, {scales}{len(wrong)} codes wrong, {len(ties)} near-ties")
    for place, quotient in zip(ties.tolist(), quotients.tolist(), strict=True):
        row, column = place
        print(
            f"    near-tie at {place}: quotient {quotient:.9f}, {ours[row, column]} here, {others[row, column]} there"
        )
    for row, column in wrong[:LISTED].tolist():
        print(f"    WRONG at {[row, column]}: {ours[row, column]} here, {others[row, column]} there")
    return scales_equal is not False and not len(wrong)


def flat(result):
    """Return codes [R, K] and the exact step of each in float64."""
    scales = np.ones(result.codes.shape[:-1]) if result.scales is None else result.scales.astype(np.float64)
    step = scales * result.gamma.astype(np.float64)
    size = result.format.vector_size
    return tuple(part.reshape(len(part), -1)[:, : result.length] for part in (result.codes, np.repeat(step, size, 1)))


def against_brevitas():
    """Compare both levels."""
    two_levels = importlib.import_module("freeze").two_levels
    good = []
    for seed, (name, scale_bits, size, granularity) in enumerate(TWO_LEVELS):
        element = element_format(name)
        scale = IntFormat(bits=scale_bits, signed=False)
        quantizer = Quantizer(element=element, scale=scale, vector_size=size, granularity=granularity)
        x = inputs(element, seed)
        result = quantizer.quantize(x)
        theirs, their_scales = two_levels(x, name, scale_bits, size, granularity)
        codes, step = flat(result)
        others = theirs.reshape(len(x), -1)[:, : x.shape[1]].astype(np.int64)
        title = f"brevitas {name} scales {scale_bits} V={size} {granularity}"
        good.append(report(title, x, step, codes, others, np.array_equal(result.scales, their_scales)))
    return good


def one_level(title, codes_of):
    """Compare the single level with ``codes_of(x, element name, granularity)``; None is what it does not offer."""
    good = []
    for seed, (name, granularity) in enumerate(ONE_LEVEL):
        element = element_format(name)
        x = inputs(element, 100 + seed)
        others = codes_of(x, name, granularity)
        if others is None:
            continue
        quantizer = Quantizer(element=element, scale=None, vector_size=16, granularity=granularity)
        result = quantizer.quantize(x)
        codes = result.codes.reshape(len(x), -1)[:, : x.shape[1]]
        step = np.broadcast_to(result.gamma.astype(np.float64), x.shape)
        good.append(report(f"{title} {name} {granularity}", x, step, codes, others.astype(np.int64)))
    return good


def against_torchao():
    """Compare the single level."""
    theirs = importlib.import_module("freeze").one_level
    return one_level("torchao", theirs)


def against_modelopt():
    """Compare the single level; modelopt returns values, which its own scale turns into codes again."""
    attributes = importlib.import_module("modelopt.torch.quantization.config").QuantizerAttributeConfig
    quantizer = importlib.import_module("modelopt.torch.quantization.nn").TensorQuantizer

    def codes_of(x, name, granularity):
        if name.endswith("U"):
            return None
        bits, tensor = int(name), torch.from_numpy(x)
        work = quantizer(attributes(num_bits=bits, axis=0 if granularity == "channel" else None, narrow_range=True))
        values = work(tensor).double().numpy()
        largest = np.abs(x).max(axis=1 if granularity == "channel" else None, keepdims=True)
        codes = values / (largest.astype(np.float64) / (2 ** (bits - 1) - 1))
        assert np.abs(codes - np.rint(codes)).max() < 1e-3
        return np.rint(codes)

    return one_level("modelopt", codes_of)


def main():
    """Run all comparisons; return the exit code."""
    print(f"seed {SEED}")
    good = []
    for compare in (against_brevitas, against_torchao, against_modelopt):
        try:
            good += compare()
        except ImportError as error:
            print(f"{compare.__name__}: not compared ({error})")
    print(f"{sum(good)} of {len(good)} comparisons hold")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
