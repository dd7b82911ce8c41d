"""The full regression of processing elements: a covering array of their parameters, and random elements."""

from dataclasses import replace
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import factors
from vsq.golden.contract.pe_config import PeConfig
from vsq.tb.regression.covering import EXACT, TIGHT, Row, covering_rows, tight_accumulator_bits

# What builds and simulations of an element cost: bits of its partial products, V * L times those of both formats.
MOST_BITS = 1300
_RANDOM_ELEMENTS = 8

FACTORS: dict[str, tuple[Any, ...]] = {
    # Among the formats are outputs that are wider than accumulators, and outputs without scale.
    "config": ("4/4/4/6", "4/4U/4/4", "8/8/-/-", "2/7/-/9:R=1", "5/3U/6/-", "9/16/3/16", "3/1U/2/4"),
    "shape": ((1, 1), (1, 5), (2, 6), (3, 3), (4, 7), (8, 8), (16, 1), (1, 64)),  # V, L
    "weight_depth": (4, 1, 32),
    "activation_depth": (8, 1, 32),
    "multiplier_bits": (12, 1, 5, 32),
    "scale_product_bits": (None, 3),  # None leaves it to the configuration
    "accumulator": (EXACT, TIGHT),
    **factors(PeConfig),
    **factors(MacConfig),
}


def full_pe_regression(seed: int) -> list[PeConfig]:
    """Return the elements of every row of the covering array, and some drawn by ``seed``."""
    return [*covering_elements(), *random_elements(seed, _RANDOM_ELEMENTS)]


def covering_elements() -> list[PeConfig]:
    """Return the elements of every row of the covering array."""
    return [_element(row) for row in covering_rows(FACTORS, _completable)]


def random_elements(seed: int, count: int) -> list[PeConfig]:
    """Return small elements whose parameters are drawn anywhere in their ranges."""
    rng = np.random.default_rng(seed)
    elements: list[PeConfig] = []
    while len(elements) < count:
        try:
            element = _draw(rng)
        except InputError:  # values that contradict each other
            continue
        if _partial_products(element.mac, element.lane_count) <= MOST_BITS:
            elements.append(element)
    return elements


def _draw(rng: np.random.Generator) -> PeConfig:
    """Draw one element, legal or not."""

    def chosen(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    def upto(most: int) -> int:
        return int(rng.integers(1, most, endpoint=True))

    def code() -> str:
        bits = upto(16)
        return f"{bits}U" if bits == 1 or rng.random() < 0.3 else str(bits)

    size, ppu = upto(6), bool(rng.random() < 0.8)
    lanes = size * upto(4) if ppu else upto(7)
    text = f"{code()}/{code()}/{chosen('-', upto(16))}/{chosen('-', upto(16))}"
    options = {
        "vector_size": size,
        "scale_product_bits": chosen(None, upto(16)),
        **{name: chosen(*values) for name, values in factors(MacConfig).items()},
    }
    return PeConfig.parse(
        text,
        **options,
        accumulator_bits=chosen(None, int(rng.integers(2, 40))),
        lanes=lanes,
        ppu=ppu,
        weight_depth=1 << int(rng.integers(5)),
        activation_depth=1 << int(rng.integers(6)),
        multiplier_bits=upto(32),
    )


def _completable(row: Row) -> bool:
    """Whether a partial row is part of a legal one.

    Post-processing needs whole vectors, R something to round, and large shapes small formats. The smallest shape and
    the smallest formats go with everything, so that no row breaks another rule later.
    """
    size, lanes = row.get("shape", (1, 1))
    mac = MacConfig.parse(row.get("config", "3/1U/2/4"), vector_size=size)
    return (
        (not row.get("ppu") or lanes % size == 0)
        and (row.get("scale_product_bits") or 0) <= mac.full_product_bits
        and _partial_products(mac, lanes) <= MOST_BITS
    )


def _partial_products(mac: MacConfig, lanes: int) -> int:
    return lanes * mac.vector_size * mac.weight.bits * mac.activation.bits


def _element(row: Row) -> PeConfig:
    """Return the element that a row describes."""
    size, lanes = row["shape"]
    options = {name: value for name, value in row.items() if name not in ("config", "shape", "accumulator")}
    exact = PeConfig.parse(row["config"], **options, vector_size=size, lanes=lanes)
    if row["accumulator"] == EXACT:
        return exact
    mac = replace(exact.mac, max_vectors=None, accumulator_bits=tight_accumulator_bits(exact.mac))
    return replace(exact, mac=mac)
