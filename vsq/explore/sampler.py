"""Points of a large space, chosen by what those before have shown, with Optuna's sampler TPE.

Source: Bergstra et al., Algorithms for Hyper-Parameter Optimization, NIPS 2011; of several figures: Ozaki et al.,
Multiobjective Tree-Structured Parzen Estimator, JAIR 2022.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.pe_config import Configuration, PeConfig


def coordinates(points: Iterable[tuple[Configuration, Iterable[Hashable]]]) -> NDArray[np.int64]:
    """Return the place of each point on each axis, [points, axes]: an axis is an option that differs within the space.

    A point is a configuration and whatever else belongs to it, an axis each. On an axis the values are in order.
    """
    rows = [(*_options(config), *others) for config, others in points]
    axes = []
    for column in zip(*rows, strict=True):
        known = {value: place for place, value in enumerate(sorted(set(column), key=_order))}
        if len(known) > 1:
            axes.append([known[value] for value in column])
    return np.array(axes, dtype=np.int64).reshape(len(axes), len(rows)).T


def _options(config: Configuration) -> list[Any]:
    of_element = [each.name for each in fields(PeConfig) if each.name != "mac"]
    of_mac = (getattr(config.mac, each.name) for each in fields(config.mac))
    return [*of_mac, *(getattr(config, name, None) for name in of_element)]


def _order(value: Any) -> tuple[bool, float, str]:
    """Return what sorts the values of an option: none first, then by bits or as numbers."""
    number = getattr(value, "bits", value)
    return value is not None, number if isinstance(number, int | float) else 0.0, str(value)


def sample(
    places: NDArray[np.int64],
    measure: Callable[[list[int]], Iterable[Sequence[float] | None]],
    *,
    trials: int,
    figures: int,
    together: int = 1,
    seed: int = 0,
) -> list[int]:
    """Return the points that were measured, in that order: they gather where no other point is better.

    Args:
        places: The :func:`coordinates` of the space. Not all combinations need be there: of the points not yet measured
            the one nearest to what the sampler suggests is taken.
        measure: Returns the figures of points, higher being better, or None for one that has failed.
        trials: How many points are measured, at most.
        figures: How many there are of each point.
        together: How many are chosen at a time; with another number others are.
        seed: Of the sampler.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), directions=["maximize"] * figures)
    highest = places.max(axis=0)
    axes = {f"{axis}": optuna.distributions.IntDistribution(0, int(high)) for axis, high in enumerate(highest)}
    free = np.ones(len(places), dtype=bool)
    measured: list[int] = []
    while number := min(together, trials - len(measured), int(free.sum())):
        chosen = []
        for _ in range(number):
            trial = study.ask(axes)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)  # told below, as the point that is there
            away = np.abs(places - [*trial.params.values()]) / highest
            nearest = int(np.where(free, away.sum(axis=1), np.inf).argmin())
            free[nearest] = False
            chosen.append(nearest)
        for point, found in zip(chosen, measure(chosen), strict=True):
            if found is not None:
                params = dict(zip(axes, places[point].tolist(), strict=True))
                study.add_trial(optuna.trial.create_trial(params=params, distributions=axes, values=[*found]))
        measured += chosen
    return measured
