"""Coverage points of the datapath: operands, dot product, scale factor, accumulator, marks.

A beat is a hit only if a compared result depends on it, and on what the bin is about: an element counts only beside a
nonzero one, a dot product or a scale only beside a nonzero factor.
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig, Overflow, Reset, round_shift
from vsq.golden.contract.mac_options import DEFAULT_MAX_VECTORS
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Minifloat
from vsq.golden.stimulus.directed import LONGEST
from vsq.tb.coverage.flags import invalid, window
from vsq.tb.coverage.points import Bins, Point
from vsq.tb.coverage.traffic import Traffic, previous

SIGNIFICAND_BITS = 4  # of E4M3
LONG = 32  # beats of an accumulation that counts as long
_VALUES = 16  # a scale with at most as many values has a bin for each, a wider one as many ranges


def _corners(side: str, other: str, traffic: Traffic) -> Bins:
    """Return the bins of every element and every corner code of one side."""
    fmt, codes = getattr(traffic.config, side), getattr(traffic.beats, f"{side}s")
    exposed = (getattr(traffic.beats, f"{other}s") != 0) & traffic.live[:, None]
    hits = {code: ((codes == code) & exposed).sum(axis=0).tolist() for code in fmt.corners}
    return {
        f"element {element} = {code}": hits[code][element] for element in range(codes.shape[1]) for code in fmt.corners
    }


def _extremes(config: MacConfig) -> Iterator[tuple[int, int]]:
    """Return the pairs of extreme operands."""
    return product((config.weight.min, config.weight.max), (config.activation.min, config.activation.max))


def _operand_extremes(traffic: Traffic) -> Bins:
    beats, live = traffic.beats, traffic.live[:, None]
    bins: dict[str, int] = {}
    for w, a in _extremes(traffic.config):
        hits = ((beats.weights == w) & (beats.activations == a) & live).sum(axis=0)
        bins |= {f"element {element}: {w} * {a}": count for element, count in enumerate(hits.tolist())}
    return bins


def _one_hot(traffic: Traffic) -> Bins:
    products = (traffic.beats.weights != 0) & (traffic.beats.activations != 0)
    alone = products & ((products.sum(axis=1) == 1) & traffic.live)[:, None]
    return {f"element {element}": count for element, count in enumerate(alone.sum(axis=0).tolist())}


def _dot_product(traffic: Traffic) -> Bins:
    config, d, live = traffic.config, traffic.trace.d, traffic.live
    nonzero = ((traffic.beats.weights != 0) & (traffic.beats.activations != 0)).any(axis=1)
    ends = [config.vector_size * w * a for w, a in _extremes(config.multiplied)]
    low, high = min(ends), max(ends)
    bins = {"largest": live & (d == high), "zero, no product": live & ~nonzero}
    if low < 0:
        bins["smallest"] = live & (d == low)
        if config.vector_size > 1:
            bins["zero, products cancel"] = live & nonzero & (d == 0)
    return bins


def _scale_values(side: str, traffic: Traffic) -> Bins:
    """Return the bins of one side's scale: each value, or 0, 1, the largest and equal ranges, or each exponent."""
    fmt, scales = getattr(traffic.config, f"{side}_scale"), getattr(traffic.beats, f"{side}_scales")
    if fmt is None:
        return {}
    if isinstance(fmt, Minifloat):
        return {name: traffic.scaled & hits for name, hits in binades(fmt, scales).items()}
    if isinstance(fmt, E8M0):
        return {f"exponent {code}": traffic.scaled & (scales == code) for code in fmt.values}
    step = max(1, (fmt.max + 1) // _VALUES)
    ranges = [(low, low + step - 1) for low in range(0, fmt.max + 1, step)]
    ranges += [(value, value) for value in (0, 1, fmt.max) if step > 1]
    return {
        f"{low}" if low == high else f"{low} to {high}": traffic.scaled & (scales >= low) & (scales <= high)
        for low, high in ranges
    }


def binades(fmt: Minifloat, scales: Any) -> Bins:
    """Return what hits each exponent e, and the corners of e = 0 and of the format."""
    fields = fmt.encode(scales) >> np.uint64(fmt.mantissa_bits)
    bins = {f"e = {e}": fields == e for e in range(1, 1 << fmt.exponent_bits)}
    corners = {str(value): scales == value for value in (0, 1, fmt.max)}
    return {**corners, "subnormal": (scales > 1) & (fields == 0), **bins}


def _scale_corners(traffic: Traffic) -> Bins:
    config, beats = traffic.config, traffic.beats
    if config.weight_scale is None or config.activation_scale is None:
        return {}
    return {
        f"{sw} * {sa}": traffic.scaled & (beats.weight_scales == sw) & (beats.activation_scales == sa)
        for sw in sorted({0, 1, config.weight_scale.max})
        for sa in sorted({0, 1, config.activation_scale.max})
    }


def _significands(traffic: Traffic) -> Any:
    """Return the products of the scales' significands, which of integers are the scale products."""
    sides = zip(traffic.config.scales, (traffic.beats.weight_scales, traffic.beats.activation_scales), strict=True)
    return prod(fmt.split(scales)[0] for fmt, scales in sides if fmt)


def _scale_rounding(traffic: Traffic) -> Bins:
    """The part of the significands' product that the rounding drops, in units of the last bit that remains.

    With b = ws + as (1 bit for a side without scale), products 2^s and ties of an odd quotient, 3 * 2^(s-1), need
    factors of s and s+1 bits in all: b - 2 >= s. Rests other than 0 and 1/2 need s >= 2.
    """
    config, shift = traffic.config, traffic.config.scale_shift
    if not shift:
        return {}
    p = _significands(traffic)
    exposed, bits = traffic.scaled, sum(fmt.significand_bits if fmt else 1 for fmt in config.scales)
    rest, half, odd = p & ((1 << shift) - 1), 1 << (shift - 1), (p >> shift & 1).astype(np.bool_)
    bins = {"tie, even quotient": exposed & (rest == half) & ~odd}
    if bits - 2 >= shift:
        bins |= {"tie, odd quotient": exposed & (rest == half) & odd, "exact": exposed & (rest == 0) & (p > 0)}
    if shift >= 2:
        bins |= {"below a tie": exposed & (rest > 0) & (rest < half), "above a tie": exposed & (rest > half)}
    return bins


def _rounding_overflow(traffic: Traffic) -> Bins:
    """Products that round up to 2^R; the largest significands show whether there are any."""
    config, shift = traffic.config, traffic.config.scale_shift
    if not shift:
        return {}
    top = (1 << (config.scale_product_bits or 0)) - 1
    largest = prod(np.max(fmt.split(np.array(fmt.values))[0]) for fmt in config.scales if fmt)
    if round_shift(largest, shift, config.rounding) <= top:
        return {}
    return {"r = 2^R - 1": traffic.scaled & (round_shift(_significands(traffic), shift, config.rounding) > top)}


def _zero_factor(traffic: Traffic) -> Bins:
    """Vectors that r = 0 gates, by its cause; the register they clear (first) or keep (not first) is not 0."""
    config, beats, p = traffic.config, traffic.beats, traffic.trace.p
    exposed = traffic.scaled & (traffic.trace.r == 0) & (previous(traffic.trace.acc) != 0)
    sides = zip(("sw", "sa"), (beats.weight_scales, beats.activation_scales), config.multiplied.scales, strict=True)
    causes = {f"{name} = 0": scales == 0 for name, scales, fmt in sides if fmt and not isinstance(fmt, E8M0)}
    if config.scale_shift and round_shift(1, config.scale_shift, config.rounding) == 0:
        causes["p > 0"] = p > 0
    marks = {"first": beats.first, "not first": ~beats.first}
    return {f"{cause}, {mark}": exposed & causes[cause] & marks[mark] for cause in causes for mark in marks}


def _dual_precision(traffic: Traffic) -> Bins:
    """Products of a weight and its scale by what E4M3 makes of them: those of 2 bits are exact."""
    config, beats = traffic.config, traffic.beats
    if not config.dual_precision or beats.weight_scales is None:
        return {}
    exposed = (beats.activations != 0) & traffic.live[:, None]
    products, most = np.abs(beats.weights * beats.weight_scales[:, None]), config.multiplied.weight.max
    dropped = np.maximum(np.frexp(products)[1] - SIGNIFICAND_BITS, 0)  # bits
    rest, half, odd = products & ((1 << dropped) - 1), 1 << dropped >> 1, products >> dropped & 1 == 1
    kept = exposed & (products <= most)
    bins = {
        "exact, bits dropped": kept & (dropped > 0) & (rest == 0),
        "below a tie": kept & (rest > 0) & (rest < half),
        "above a tie": kept & (rest > half),
        "tie, even": kept & (rest > 0) & (rest == half) & ~odd,
        "tie, odd": kept & (rest > 0) & (rest == half) & odd,
        "up to a power of two": kept & (rest >= half) & (products + half >> dropped == 1 << SIGNIFICAND_BITS),
        "no leading one": kept & (products > 0) & (products < 1 << (SIGNIFICAND_BITS - 1)),
        "above 224": exposed & (products > most),
    }
    least = {"up to a power of two": 4, "exact, bits dropped": 2, "no leading one": 2, "above 224": 2}  # bits
    return {name: hits.sum() for name, hits in bins.items() if config.weight.bits >= least.get(name, 3)}


def _directions(config: MacConfig) -> dict[str, int]:
    """Return where a run of extreme terms, not too long, leaves the accumulator: +1 above, -1 below its range."""
    (low, high), half = config.term_range, 1 << (config.acc_bits - 1)
    reached = {"above": half <= (LONGEST + 1) * high, "below": half < (LONGEST + 1) * -low}
    return {name: direction for name, direction in (("above", 1), ("below", -1)) if reached[name]}


def _saturation(traffic: Traffic) -> Bins:
    """Saturation, results back in range with the sticky flag, and the flag's clearing by the next ``first``."""
    config, beats, trace, seen = traffic.config, traffic.beats, traffic.trace, traffic.seen
    directions = _directions(config)
    if config.overflow != Overflow.SATURATE or not directions:
        return {}
    half = 1 << (config.acc_bits - 1)
    latest = np.maximum.accumulate(np.where(trace.direction != 0, np.arange(len(beats)), -1))
    back = seen & beats.last & trace.overflow & (-half < trace.acc) & (trace.acc < half - 1)
    bins: dict[str, Any] = {"flag cleared": seen & beats.first & previous(trace.overflow) & ~trace.overflow}
    for name, direction in directions.items():
        bins[name] = seen & (trace.direction == direction)
        if all(config.term_range):
            bins[f"{name}, then back in range"] = back & (trace.direction[latest] == direction)
    return bins


def _wrap(traffic: Traffic) -> Bins:
    directions = _directions(traffic.config) if traffic.config.overflow == Overflow.WRAP else {}
    return {name: traffic.seen & (traffic.trace.direction == end) for name, end in directions.items()}


def _limits(traffic: Traffic) -> Bins:
    total, half = traffic.base + traffic.trace.t, 1 << (traffic.config.acc_bits - 1)
    given, bins = traffic.seen & traffic.beats.last, {}
    for name, direction in _directions(traffic.config).items():
        limit = half - 1 if direction > 0 else -half
        bins[f"{name}: at the limit"] = given & (total == limit)
        bins[f"{name}: one beyond"] = given & (total == limit + direction)
    return bins


def _exact_bound(traffic: Traffic) -> Bins:
    config, given = traffic.config, traffic.seen & traffic.beats.last
    if config.accumulator_bits is not None or config.window is not None:
        return {}
    most = [(config.max_vectors or DEFAULT_MAX_VECTORS) * term for term in config.term_range]
    sums = {"above": ("largest sum", most[1]), "below": ("smallest sum", most[0])}
    return {name: given & (traffic.trace.acc == total) for name, total in (sums[end] for end in _directions(config))}


def _results(traffic: Traffic) -> Bins:
    low, high = traffic.config.term_range
    acc, given = traffic.trace.acc, traffic.seen & traffic.beats.last
    bins = {"zero": given & (acc == 0)}
    return bins | ({"positive": given & (acc > 0)} if high else {}) | ({"negative": given & (acc < 0)} if low else {})


def _cancellation(traffic: Traffic) -> Bins:
    if not all(traffic.config.term_range):
        return {}
    back = traffic.seen & (traffic.trace.t != 0) & (traffic.trace.acc == 0)
    return {"from above": back & (traffic.base > 0), "from below": back & (traffic.base < 0)}


def _marks(traffic: Traffic) -> Bins:
    beats, seen = traffic.beats, traffic.seen
    number = np.arange(len(beats))
    position = number - np.maximum.accumulate(np.where(beats.first, number, 0))
    single = beats.first & beats.last
    last_before = previous(beats.last)
    return {
        "single vector": seen & single,
        "single vectors in succession": seen & single & previous(single),
        f"{LONG} vectors or more": seen & beats.last & (position >= LONG - 1),
        "goes on after last": seen & ~beats.first & last_before,
        "abandoned before last": seen & beats.first & ~last_before & (number > 0),
    }


def _after_reset(traffic: Traffic) -> Bins:
    """The first vector after a reset, which starts from 0 with and without its mark."""
    config = traffic.config
    if config.reset == Reset.NONE:
        return {}
    fresh = traffic.seen & (np.arange(len(traffic.beats)) == 0)
    bins = {"first": fresh & traffic.beats.first, "not first": fresh & ~traffic.beats.first}
    if any(fmt is not None and not isinstance(fmt, E8M0) for fmt in config.multiplied.scales):
        bins["not first, r = 0"] = fresh & ~traffic.beats.first & (traffic.trace.r == 0)
    return bins


_CORNERS = "at its format's corners: the ends, -1, 0, 1"
_SCALE = "every value, or range of values, of the"

POINTS = (
    Point("cp_weight_corners", f"each element's weight {_CORNERS}", partial(_corners, "weight", "activation")),
    Point("cp_activation_corners", f"each element's activation {_CORNERS}", partial(_corners, "activation", "weight")),
    Point("cp_dual_precision", "weights times scales in E4M3: exact, rounded, at ties, clipped", _dual_precision),
    Point("cp_operand_extremes", "both operands of each element at an end at once", _operand_extremes),
    Point("cp_one_hot", "each element alone gives d", _one_hot),
    Point("cp_dot_product", "d at both ends, and 0 with and without products", _dot_product),
    Point("cp_weight_scale", f"{_SCALE} weight scale", partial(_scale_values, "weight")),
    Point("cp_activation_scale", f"{_SCALE} activation scale", partial(_scale_values, "activation")),
    Point("cp_scale_corners", "pairs of 0, 1 and the largest scale", _scale_corners),
    Point("cp_scale_rounding", "scale products at, below and above a tie, and exact", _scale_rounding),
    Point("cp_rounding_overflow", "scale products that round up to 2^R become 2^R - 1", _rounding_overflow),
    Point("cp_zero_factor", "r = 0 by either scale and by rounding, with and without first", _zero_factor),
    Point(
        "cp_saturation", "the accumulator saturates, returns with its flag set, and the flag is cleared", _saturation
    ),
    Point("cp_window", "terms at, across and beyond both ends of a window, with and without loss; its offsets", window),
    Point("cp_invalid", "infinity or NaN in each element and scale; `first` clears the flag", invalid),
    Point("cp_wrap", "the accumulator wraps", _wrap),
    Point("cp_limits", "sums exactly at the accumulator's limits and one beyond", _limits),
    Point("cp_exact_bound", "the extreme sums that an exact accumulator holds", _exact_bound),
    Point("cp_results", "positive, negative and zero results", _results),
    Point("cp_cancellation", "a term takes the accumulator back to 0", _cancellation),
    Point("cp_marks", "single, successive, long, continued and abandoned accumulations", _marks),
    Point("cp_after_reset", "the first vector after a reset starts from 0", _after_reset),
)
