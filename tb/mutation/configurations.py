"""The configurations whose mutants are made: a list that covers every option, and small ones drawn by a seed."""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.configuration import Configuration
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import factors
from vsq.golden.contract.pe_config import PeConfig

# Every pipeline depth, both policies, both styles, every rounding, with and without scales, promises and signs.
LISTED = (
    MacConfig.parse("headline"),
    MacConfig.parse("headline-u", pipeline=0, arithmetic="behavioural"),
    MacConfig.parse("square-u", pipeline=2, accumulator_bits=16),
    MacConfig.parse("language", pipeline=3, overflow="wrap", accumulator_bits=24),
    MacConfig.parse("three-u", rounding="truncate", narrow=True),
    MacConfig.parse("activation-scaled", pipeline=2, scale_product_bits=6, arithmetic="behavioural"),
    MacConfig.parse("odd"),
    MacConfig.parse("baseline", pipeline=3),
)


def drawn(seed: int, count: int) -> Iterator[Configuration]:
    """Yield small designs, a vector MAC and a processing element in turn."""
    rng = np.random.default_rng(seed)
    kinds: Iterator[Callable[[np.random.Generator], Configuration]] = cycle((_mac, _pe))
    for _, draw in zip(range(count), kinds, strict=False):
        while True:
            try:
                design = draw(rng)
            except InputError:  # values that contradict each other
                continue
            yield design
            break


def _mac(rng: np.random.Generator) -> MacConfig:
    return MacConfig.parse(_formats(rng), **_options(rng), accumulator_bits=_one_of(rng, None, *range(6, 15)))


def _pe(rng: np.random.Generator) -> PeConfig:
    return PeConfig.parse(
        _formats(rng),
        **_options(rng),
        accumulator_bits=_one_of(rng, None, *range(6, 15)),
        lanes=_one_of(rng, 2, 3, 4),
        ppu=_one_of(rng, True, True, False),
        weight_depth=_one_of(rng, 1, 2, 4),
        activation_depth=_one_of(rng, 2, 4, 8),
        multiplier_bits=_one_of(rng, *range(1, 9)),
    )


def _formats(rng: np.random.Generator) -> str:
    weight, activation = _one_of(rng, *range(2, 6)), _one_of(rng, "2", "3", "4", "5", "2U", "3U", "4U", "5U")
    scales = (_one_of(rng, "-", "2", "3", "4") for _ in range(2))
    return "/".join([str(weight), activation, *scales])


def _options(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "vector_size": _one_of(rng, 2, 3, 4),
        "scale_product_bits": _one_of(rng, None, 2, 3, 4),
        **{name: _one_of(rng, *values) for name, values in factors(MacConfig).items()},
    }


def _one_of(rng: np.random.Generator, *values: Any) -> Any:
    return values[rng.integers(len(values))]
