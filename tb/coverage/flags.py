"""Coverage points of a result's flags beside overflow: windows, infinity and NaN."""

from typing import Any

import numpy as np

from vsq.tb.coverage.points import Bins
from vsq.tb.coverage.traffic import Traffic, previous


def window(traffic: Traffic) -> Bins:
    """Terms at each end of a window, by how they are placed, with and without loss, and its flag and offsets."""
    config, beats, trace, seen = traffic.config, traffic.beats, traffic.trace, traffic.seen
    if config.window is None:
        return {}
    x, places, p = trace.d * trace.r, trace.places, config.acc_bits
    low, high = config.unshifted_range
    wide = max(-low, high).bit_length()
    lost = trace.inexact & (beats.first | ~previous(trace.inexact))
    bins: dict[str, Any] = {
        "partly below, bits lost": seen & lost & (places < 0) & (places > -wide),
        "at bit 0": seen & (places == 0) & (x != 0),
        "inexact cleared": seen & beats.first & previous(trace.inexact) & ~trace.inexact,
        **{f"offset {end}": seen & (beats.offsets == end) for end in (0, (1 << config.offset_bits) - 1)},
    }
    if wide > 1:
        bins["partly below, none lost"] = seen & (x != 0) & (places < 0) & ~trace.inexact
    far, deep = config.exponent_max >= p, (1 << config.offset_bits) > wide
    if far:
        bins["0 above"] = seen & (x == 0) & (places >= p)
    for name, sign, end in (("positive", 1, high), ("negative", -1, low)):
        of = seen & (x * sign > 0)
        if end and deep:
            bins[f"{name}, below"] = of & lost & (places <= -wide)
        if end and far:
            bins[f"{name}, beyond"] = of & (places >= p)
            bins[f"{name}, at the top"] = of & (places == p - 1 - (sign > 0))
    return bins


def invalid(traffic: Traffic) -> Bins:
    """Infinity and NaN in each element and scale, and the flag's clearing by the next ``first``."""
    config, beats = traffic.config, traffic.beats
    if config.finite:
        return {}
    bins: dict[str, Any] = {"cleared": traffic.seen & beats.first & previous(traffic.trace.invalid)}
    for side in ("weight", "activation"):
        if nans := getattr(config, side).nans:
            hits = np.isin(getattr(beats, f"{side}s"), nans) & traffic.accumulated[:, None]
            bins |= {f"{side} {element}": count for element, count in enumerate(hits.sum(axis=0).tolist())}
        if (fmt := getattr(config, f"{side}_scale")) and fmt.nans:
            bins[f"{side} scale"] = traffic.accumulated & np.isin(getattr(beats, f"{side}_scales"), fmt.nans)
    return bins
