"""The full regression: a covering array, in which every legal pair of factor values occurs together."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.options import factors

# Configurations whose vector size is one of several, and those that stand at a vector size of their own.
_SIZES = {
    **dict.fromkeys(
        ("4/4/4/6", "4/4U/4/4", "4/8/6/10", "6/6/4/4", "3/3U/4/4", "8/8/6/-", "8/8U/-/-", "6/8/-/10"), (1, 16, 64)
    ),
    "5/7/3/9": (24,),
    "16/16/16/16": (3,),
}
EXACT, TIGHT = "exact", "tight"

FACTORS: dict[str, tuple[Any, ...]] = {
    "config": tuple(_SIZES),
    "vector_size": tuple(sorted({size for sizes in _SIZES.values() for size in sizes})),
    "scale_product_bits": (None, 4, 6),
    "accumulator": (EXACT, TIGHT),
    **factors(MacConfig),
}

Row = dict[str, Any]


def full_regression() -> list[MacConfig]:
    """Return the configurations of every row of the covering array."""
    return [_configuration(row) for row in covering_rows(FACTORS, _completable)]


def covering_rows(values: Mapping[str, tuple[Any, ...]], completable: Callable[[Row], bool]) -> list[Row]:
    """Return rows of factors' values, found greedily and always the same, in which each legal pair occurs.

    Each row starts from the first pair that no row has yet, and then takes, factor by factor, the legal value that
    brings most new pairs.

    Args:
        values: Of each factor by name.
        completable: Whether a partial row is part of a legal one.
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


def tight_accumulator_bits(config: MacConfig) -> int:
    """Return the width that holds any one term, and overflows after two or three extreme ones."""
    low, high = config.term_range
    return 1 + max(-low, high).bit_length()


def _completable(row: Row) -> bool:
    """Whether some configuration goes with all values of a partial row."""
    configs = (row["config"],) if "config" in row else FACTORS["config"]
    return any(
        row.get("vector_size", _SIZES[config][0]) in _SIZES[config]
        and (row.get("scale_product_bits") or 0) <= MacConfig.parse(config).full_product_bits
        for config in configs
    )


def _configuration(row: Row) -> MacConfig:
    """Return the configuration that a row describes."""
    options = {name: value for name, value in row.items() if name not in ("config", "accumulator")}
    exact = MacConfig.parse(row["config"], **options)
    if row["accumulator"] == EXACT:
        return exact
    return MacConfig.parse(row["config"], **options, accumulator_bits=tight_accumulator_bits(exact))
