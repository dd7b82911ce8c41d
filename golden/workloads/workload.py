"""Workloads by name: a model, the data that calibrate, train and score it, and the layers that hardware runs.

A workload is a module of this folder with a function ``workload()``, and a line in :data:`WORKLOADS`; every command
that takes a workload then takes it. A user's own one is a :class:`Workload`: with
:mod:`vsq.golden.workloads.imagenet`, for example,

    Workload(name="imagenet", metric="accuracy", model=lambda: copy.deepcopy(network),
             calibrate=lambda m: [m(pixels) for pixels, _ in some], evaluate=lambda m: accuracy(m, batches(found)))
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from vsq.golden.contract.errors import InputError, did_you_mean

# Name, which is the module's too -> its summary. PyTorch is not imported for these.
WORKLOADS = {
    "digits": "a convolutional network on handwritten digits",
    "minilm": "a sentence encoder (on hardware its first query projection)",
}

Model = Any  # torch.nn.Module


def _no_chain() -> NoReturn:
    raise InputError("workload: it has no layers for hardware; give it a chain and a sample")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A model with its data and its score."""

    name: str
    metric: str  # the name of the score; higher is better
    model: Callable[[], Model]  # returns a fresh float copy, in evaluation mode
    calibrate: Callable[[Model], Any]  # runs a model on calibration data
    evaluate: Callable[[Model], float]  # returns a model's score
    train: Callable[[Model], None] | None = None  # trains a quantized model further, in place
    configs: tuple[str, ...] = ()  # those that its users care about
    chain: Callable[[], Any] = _no_chain  # returns the chain (``chain.Chain``) that a processing element runs
    sample: Callable[[], tuple[Any, str]] = _no_chain  # the chain, and the name of its layer, for measuring energy


def load(name: str) -> Workload:
    """Return the workload of that name; raise an InputError if there is none, or what it needs is not installed."""
    if name not in WORKLOADS:
        raise InputError(f"workload {name!r}: there is none of that name; {did_you_mean(name, WORKLOADS)}")
    found: Workload = import_module(f"vsq.golden.workloads.{name}").workload()
    return found
