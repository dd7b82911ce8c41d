"""Workloads by name: a model, the data that calibrate, train and score it, and the layers that hardware runs.

A workload is a module of this folder with a function ``workload()``, and a line in :data:`WORKLOADS`; every command
that takes a workload then takes it. A user's own one is a :class:`Workload`: with
:mod:`vsq.golden.workloads.imagenet`, for example,

    Workload(name="imagenet", metric="accuracy", model=lambda: copy.deepcopy(network),
             calibrate=lambda m: [m(pixels) for pixels, _ in some], evaluate=lambda m: accuracy(m, batches(found)))

Its ``evaluate`` returns a number, or a :class:`vsq.golden.workloads.metrics.Score` where the standard error is known,
or several of them by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.workloads.metrics import Score, Scores

# Name, which is the module's too -> its summary. PyTorch is not imported for these.
WORKLOADS = {
    "digits": "a convolutional network on handwritten digits",
    "minilm": "a sentence encoder (on hardware its first query projection)",
    "stdlib": "a language model of the characters of Python's standard library (in software alone)",
}

Model = Any  # torch.nn.Module


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model with its data and its scores."""

    name: str
    metric: str  # the name of the score, of several the first one's; higher is better
    model: Callable[[], Model]  # returns a fresh float copy, in evaluation mode
    calibrate: Callable[[Model], Any]  # runs a model on calibration data
    fit: Callable[[Model], Any] | None = None  # the same on more data, for methods that fit weights to it
    evaluate: Callable[[Model], float | Score | Scores]  # returns a model's score, or its scores by name
    glance: Callable[[Model], float | Score | Scores] | None = None  # the same on less data, for a first look
    train: Callable[[Model], None] | None = None  # trains a quantized model further, in place
    drawn: "Callable[[int], Workload] | None" = None  # returns the workload that is drawn from a seed; this one's is 0
    configs: tuple[str, ...] = ()  # those that its users care about
    chain: Callable[[], Any] = None  # type: ignore[assignment]  # returns the ``chain.Chain`` that an element runs
    sample: Callable[[], tuple[Any, str]] = None  # type: ignore[assignment]  # it, and its layer for measuring energy

    def __post_init__(self) -> None:
        for part in ("chain", "sample"):
            if getattr(self, part) is None:
                object.__setattr__(self, part, self._software_alone)

    def _software_alone(self) -> NoReturn:
        rule = "runs in software alone, for it has no layers for hardware"
        raise InputError(f"workload {self.name}: {rule}; choose digits or minilm, or give yours a chain and a sample")

    def scores(self, model: Model, glance: bool = False) -> Scores:
        """Return a model's scores by name, the one called ``metric`` among them; by ``glance``, if there is one.

        Raises:
            InputError: If there are several scores, none of which is called so.
        """
        found = self.glance(model) if glance and self.glance else self.evaluate(model)
        if not isinstance(found, Mapping):
            return {self.metric: found if isinstance(found, Score) else Score(float(found))}
        if self.metric not in found:
            raise InputError(f"workload {self.name}: metric {self.metric!r} is none of its scores {', '.join(found)}")
        return found


def load(name: str) -> Workload:
    """Return the workload of that name; raise an InputError if there is none, or what it needs is not installed."""
    if name not in WORKLOADS:
        raise InputError(f"workload {name!r}: there is none of that name; {did_you_mean(name, WORKLOADS)}")
    found: Workload = import_module(f"vsq.golden.workloads.{name}").workload()
    return found
