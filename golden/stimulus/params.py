"""Random output parameters of a processing element's lanes."""

import numpy as np

from vsq.golden.contract.config import Rounding, round_shift
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.accumulator import largest
from vsq.golden.model.datapath import Integers
from vsq.golden.model.ppu import LaneParams

_SMALL_SHARE = 0.05  # loads that give the least outputs
_LOWERED_SHARE = 0.75  # loads that give outputs of any magnitude, where these have many
_DRAWN = 64  # multipliers of a lane


def spread(rng: np.random.Generator, config: PeConfig, count: int) -> LaneParams:
    """Return parameters that bring accumulators of a few vectors near the range of z; some are at their limits.

    Some let z be the bias alone, in the range of a code, so that the output's scale is 1 at most. Where scales are
    floats, whose exponents are many, most bring all z of a load down by the same random number of binades.
    """
    if rng.random() < _SMALL_SHARE:
        shift, element = np.full(count, (1 << config.shift_bits) - 1), config.mac.activation
        return LaneParams(np.ones_like(shift), shift, rng.integers(element.qmin, element.qmax, count, endpoint=True))
    most = 1 << config.mac.acc_bits if config.mac.window else 4 * largest(config.mac.term_range)
    middle = most.bit_length() + config.multiplier_bits - config.z_range[1].bit_length()
    half = 1 << (config.bias_bits - 1)
    lowered = (config.floats or config.powers) and rng.random() < _LOWERED_SHARE
    binades = int(rng.integers(config.z_range[1].bit_length())) if lowered else 0
    shift = np.clip(middle + binades - rng.integers(0, 12, count), 0, (1 << config.shift_bits) - 1)
    bias = rng.integers(-half // 8, half // 8, count, endpoint=True) >> binades
    if lowered:
        return LaneParams(rng.integers(0, 1 << config.multiplier_bits, count), shift, bias)
    extreme = rng.random(count) < 0.1
    return LaneParams(
        np.where(extreme, (1 << config.multiplier_bits) - 1, rng.integers(0, 1 << config.multiplier_bits, count)),
        np.where(extreme, rng.integers(0, 1 << config.shift_bits, count), shift),
        np.where(rng.random(count) < 0.1, rng.choice([-half, half - 1], count), bias),
    )


def balanced(rng: np.random.Generator, config: PeConfig, acc: Integers) -> LaneParams:
    """Return parameters that bring accumulators [C] into the range of a code, so that every bit of z shows.

    Products are shifted no further than it takes for a bias to balance them. Multipliers have any width; of some that
    are drawn, each lane has the one whose product is the least above a tie, so that lower bits show too.
    """
    count, element, bits = len(acc), config.mac.activation, config.multiplier_bits
    drawn = rng.integers(1 << bits, size=(_DRAWN, count)) >> rng.integers(bits, size=count)
    products = acc.astype(object) * drawn
    most = np.abs(products).max(axis=0)
    shift = np.array([max(0, each.bit_length() - config.bias_bits + 2) for each in most], object)
    chosen = np.argmin((products + (1 << shift >> 1)) % (1 << shift), axis=0), np.arange(count)
    sums = [round_shift(each, places, Rounding.HALF_UP) for each, places in zip(products[chosen], shift, strict=True)]
    limit = element.qmax >> int(rng.integers(element.qmax.bit_length()))
    z = rng.integers(max(element.qmin, -limit), limit, count, endpoint=True)
    return LaneParams(drawn[chosen], shift.astype(np.int64), np.array(z - sums, np.int64))
