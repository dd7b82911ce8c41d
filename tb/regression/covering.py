"""The full regression: covering arrays, in which every legal pair of factor values occurs together, random elements."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import factors
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import NAMED

Row = dict[str, Any]

# Configurations whose vector size is one of several, and those that stand at a vector size of their own.
_SIZES = {
    **dict.fromkeys(
        ("4/4/4/6", "4/4U/4/4", "4/8/6/10", "6/6/4/4", "3/3U/4/4", "8/8/6/-", "8/8U/-/-", "6/8/-/10"), (1, 16, 64)
    ),
    "5/7/3/9": (24,),
    "16/16/16/16": (3,),
}
_MAC_FACTORS: dict[str, tuple[Any, ...]] = {
    "config": tuple(_SIZES),
    "vector_size": tuple(sorted({size for sizes in _SIZES.values() for size in sizes})),
    "scale_product_bits": (None, 4, 6),
    "tight": (False, True),  # the accumulator
    **factors(MacConfig),
}

# What builds and simulations of an element cost: bits of its partial products, V * L times those of both formats.
_MOST_BITS = 1300
_RANDOM_ELEMENTS = 8
_FLOAT_SHARE = 0.3  # formats of random elements
_ELEMENT_FACTORS: dict[str, tuple[Any, ...]] = {
    # Among the formats are outputs that are wider than accumulators, and outputs without scale.
    "config": ("4/4/4/6", "4/4U/4/4", "8/8/-/-", "2/7/-/9:R=1", "5/3U/6/-", "9/16/3/16", "3/1U/2/4"),
    "shape": ((1, 1), (1, 5), (2, 6), (3, 3), (4, 7), (8, 8), (16, 1), (1, 64)),  # V, L
    "weight_depth": (4, 1, 32),
    "activation_depth": (8, 1, 32),
    "multiplier_bits": (12, 1, 5, 32),
    "scale_product_bits": (None, 3),  # None leaves it to the configuration
    "tight": (False, True),
    **factors(PeConfig),
    **factors(MacConfig),
}


def full_regression() -> list[MacConfig]:
    """Return the vector MACs of every row of their covering array."""
    configs = []
    for row in covering_rows(_MAC_FACTORS, _completable_mac):
        config, tight = row.pop("config"), row.pop("tight")
        mac = MacConfig.parse(config, **row)
        configs.append(_tightened(mac) if tight else mac)
    return configs


def full_pe_regression(seed: int) -> list[PeConfig]:
    """Return the elements of every row of their covering array, and some drawn by ``seed``."""
    return [*covering_elements(), *random_elements(seed, _RANDOM_ELEMENTS)]


def covering_elements() -> list[PeConfig]:
    """Return the elements of every row of their covering array."""
    elements = []
    for row in covering_rows(_ELEMENT_FACTORS, _completable_element):
        config, (size, lanes), tight = row.pop("config"), row.pop("shape"), row.pop("tight")
        element = PeConfig.parse(config, **row, vector_size=size, lanes=lanes)
        elements.append(replace(element, mac=_tightened(element.mac)) if tight else element)
    return elements


def covering_rows(values: Mapping[str, tuple[Any, ...]], completable: Callable[[Row], bool]) -> list[Row]:
    """Return rows of factors' values, found greedily and always the same, in which each legal pair occurs.

    Each row starts from the first pair that no row has yet, and then takes, factor by factor, the legal value that
    brings most new pairs. ``completable`` says whether a partial row is part of a legal one.
    """

    def pairs(row: Row) -> list[tuple[tuple[str, Any], tuple[str, Any]]]:
        return list(combinations(((name, row[name]) for name in values if name in row), 2))

    missing = dict.fromkeys(
        ((one, x), (two, y))
        for one, two in combinations(values, 2)
        for x in values[one]
        for y in values[two]
        if completable({one: x, two: y})
    )
    rows = []
    while missing:
        row: Row = dict(next(iter(missing)))
        for name in [name for name in values if name not in row]:
            candidates = [{**row, name: value} for value in values[name]]
            row = max(filter(completable, candidates), key=lambda row: sum(pair in missing for pair in pairs(row)))
        for pair in pairs(row):
            missing.pop(pair, None)
        rows.append(row)
    return rows


def random_elements(seed: int, count: int) -> list[PeConfig]:
    """Return small elements whose parameters are drawn anywhere in their ranges."""
    rng = np.random.default_rng(seed)

    def chosen(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    def upto(most: int) -> int:
        return int(rng.integers(1, most, endpoint=True))

    def code() -> str:
        if rng.random() < _FLOAT_SHARE:
            return str(chosen(*NAMED))
        bits = upto(16)
        return f"{bits}U" if bits == 1 or rng.random() < 0.3 else str(bits)

    elements: list[PeConfig] = []
    while len(elements) < count:
        size, ppu = upto(6), bool(rng.random() < 0.8)
        lanes = size * upto(4) if ppu else upto(7)
        text = "/".join([code(), code(), *(str(chosen("-", "ue4m3", upto(16))) for _ in range(2))])
        options = {
            "vector_size": size,
            "scale_product_bits": chosen(None, upto(16)),
            **{name: chosen(*values) for name, values in factors(MacConfig).items()},
            "accumulator_bits": chosen(None, int(rng.integers(2, 40))),
            "lanes": lanes,
            "ppu": ppu,
            "weight_depth": 1 << int(rng.integers(5)),
            "activation_depth": 1 << int(rng.integers(6)),
            "multiplier_bits": upto(32),
            "reuse": chosen(*_ELEMENT_FACTORS["reuse"]),
        }
        with suppress(InputError):  # values that contradict each other
            element = PeConfig.parse(text, **options)
            if _partial_products(element.mac, lanes) <= _MOST_BITS:
                elements.append(element)
    return elements


def _completable_mac(row: Row) -> bool:
    """Whether some configuration goes with all values of a partial row."""
    return any(
        row.get("config", config) == config
        and row.get("vector_size", sizes[0]) in sizes
        and (row.get("scale_product_bits") or 0) <= MacConfig.parse(config).full_product_bits
        for config, sizes in _SIZES.items()
    )


def _completable_element(row: Row) -> bool:
    """Whether a partial row is part of a legal one.

    Post-processing needs whole vectors, R something to round, and large shapes small formats. The smallest shape and
    the smallest formats go with everything, so that no row breaks another rule later.
    """
    size, lanes = row.get("shape", (1, 1))
    mac = MacConfig.parse(row.get("config", "3/1U/2/4"), vector_size=size)
    return (
        (not row.get("ppu") or lanes % size == 0)
        and (row.get("scale_product_bits") or 0) <= mac.full_product_bits
        and _partial_products(mac, lanes) <= _MOST_BITS
    )


def _partial_products(mac: MacConfig, lanes: int) -> int:
    return lanes * mac.vector_size * mac.weight.bits * mac.activation.bits


def _tightened(mac: MacConfig) -> MacConfig:
    """Return the vector MAC whose accumulator holds any one term, and overflows after two or three extreme ones."""
    low, high = mac.term_range
    return replace(mac, max_vectors=None, accumulator_bits=1 + max(-low, high).bit_length())
