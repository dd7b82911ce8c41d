"""Static gammas for activations, from what streams through a model: max, percentile, entropy and MSE.

A gamma stands for a threshold T, the largest magnitude that is represented: gamma = T/qmax for the single level, and
T/qmax/(2^M-1) for two levels. Observers see one batch after another and keep a few kilobytes, or a bounded sample.

Source: VS-Quant (Dai et al., MLSys 2021), section 4; Wu et al., Integer Quantization (arXiv 2004.09602).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import nn

from vsq.golden.contract.errors import InputError, choice, did_you_mean
from vsq.golden.nn.mmse import minimize
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.checks import check_number
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.scheme import Calibration
from vsq.golden.quantizer.tensor import Granularity

BINS = 2048
SAMPLE_ELEMENTS = 1 << 18
_ROUNDING = 1e-12  # of divergences, of which the first of several equal ones counts


class Histogram:
    """Counts of magnitudes in ``BINS`` equal bins from 0 to a power of two.

    When a magnitude does not fit, pairs of bins merge until it does. Bin edges are thus the same whatever the order of
    the batches, and so are the counts.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.limit = 0.0

    @property
    def width(self) -> float:
        """The width of a bin."""
        return self.limit / BINS

    def add(self, magnitudes: torch.Tensor) -> None:
        """Count a batch of non-negative finite values."""
        values = magnitudes.double().flatten()
        if largest := values.max().item():
            needed = 2.0 ** math.frexp(largest)[1]
            self.limit = self.limit or needed
            while self.limit < needed:
                merged = self.counts.reshape(-1, 2).sum(dim=1)
                self.counts = torch.cat([merged, torch.zeros_like(merged)])
                self.limit *= 2
        bins = (values / (self.width or 1)).long().clamp_(max=BINS - 1)  # without a limit all are zeros
        self.counts += torch.bincount(bins, minlength=BINS).cpu()

    def percentile(self, percent: float) -> float:
        """Return the upper edge of the first bin up to which ``percent`` of 100 values lie."""
        reached = self.counts.cumsum(0) >= percent / 100 * self.counts.sum()
        return (int(reached.nonzero()[0]) + 1) * self.width

    def least_divergence(self, levels: int) -> float:
        """Return the threshold T that minimizes the Kullback-Leibler divergence KL(P || Q), as a bin's upper edge.

        P are the counts up to T, with all beyond it in the last bin. Q spreads the unclipped counts below T evenly
        over the non-empty bins of each of ``levels`` equal parts; the clipped ones are an outcome of their own, so that
        both sum to 1. Were Q those unclipped alone, normalized, a T below nearly everything would be the best of all
        where both come down to a single bin: the case of few levels and few distinct values.

        Bin 0 is left out: exact zeros, as after ReLU, would outweigh everything and are represented exactly under every
        threshold.
        """
        counts = self.counts.clone()
        counts[0] = 0
        filled = int(counts.nonzero()[-1]) + 1 if counts.any() else 0
        if filled <= levels:  # every bin is a level of its own: nothing to gain from clipping
            return max(filled, 1) * self.width
        tops = torch.arange(levels, filled + 1)
        divergences = _divergences(counts, tops, levels)
        least = divergences <= divergences.min() + _ROUNDING
        return int(tops[least][0]) * self.width


def _divergences(counts: torch.Tensor, tops: torch.Tensor, levels: int) -> torch.Tensor:
    """Return KL(P || Q) of the first ``top`` bins, for each top; infinite where Q misses what P has.

    With q the same in all non-empty bins of a part, in which P has the mass m,

        KL(P || Q) = sum over bins of p*log(p) - sum over parts of m*log(q)
    """
    p = counts / counts.sum()
    below, occupied, entropy = (_sums(values) for values in (p, (p > 0).double(), torch.xlogy(p, p)))
    last, clipped = p[tops - 1], 1 - below[tops - 1]  # P's last bin without the clipped and with them
    edges = (torch.arange(levels + 1) * tops[:, None] + levels - 1) // levels  # bin i is in part i*levels // top
    mass, bins = below[edges].diff(dim=1), occupied[edges].diff(dim=1)
    q = mass / bins.clamp(min=1)
    mass[:, -1] += clipped - last
    found: torch.Tensor = entropy[tops - 1] + torch.xlogy(clipped, clipped) - torch.xlogy(mass, q).sum(dim=1)
    return found.where(last > 0, torch.inf)


def _sums(values: torch.Tensor) -> torch.Tensor:
    """Return the sums of the first 0, 1, 2, ... values."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])


@dataclass(eq=False)
class Observer:
    """Sees a tensor's batches and returns its gamma, here the one of the largest magnitude: nothing is clipped."""

    quantizer: Quantizer  # of granularity ``tensor``: what is static cannot depend on tokens that are yet to come
    name: str  # of the tensor in error messages
    maximum: torch.Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.quantizer.granularity != Granularity.TENSOR:
            raise InputError(
                f"{self.name}: granularity {self.quantizer.granularity} has no static gamma; calibrate per tensor, or "
                "quantize dynamically"
            )

    @torch.no_grad()
    def observe(self, x: torch.Tensor) -> None:
        """Take one batch, [..., K]; raise an InputError if it cannot be quantized."""
        gamma = pytorch.gamma(self.quantizer, x, name=self.name).reshape(())
        self.maximum = gamma if self.maximum is None else torch.maximum(self.maximum, gamma)
        self._take(x.detach().float())

    @torch.no_grad()
    def gamma(self) -> torch.Tensor:
        """Return the calibrated gamma, float32, one value; raise an InputError if no batch was seen."""
        if self.maximum is None:
            raise InputError(f"{self.name}: calibration saw no data; run the model on calibration batches first")
        return self._choose(self.maximum)

    def _take(self, x: torch.Tensor) -> None:
        """Remember what the choice will need of one batch."""

    def _choose(self, maximum: torch.Tensor) -> torch.Tensor:
        """Return gamma, given the one of the largest magnitude."""
        return maximum


@dataclass(eq=False)
class HistogramObserver(Observer):
    """The gamma of the threshold that ``threshold`` reads off a histogram of magnitudes, to a bin."""

    threshold: Callable[[Histogram], float]
    histogram: Histogram = field(default_factory=Histogram, init=False)

    def _take(self, x: torch.Tensor) -> None:
        self.histogram.add(x.abs())

    def _choose(self, maximum: torch.Tensor) -> torch.Tensor:
        threshold = torch.tensor([[self.threshold(self.histogram)]])
        return torch.minimum(pytorch.gamma(self.quantizer, threshold).reshape(()).to(maximum), maximum)


@dataclass(eq=False)
class MseObserver(Observer):
    """The gamma of least squared error on a sample of rows, quantized as they will be, with both levels.

    A row is what lies along the last axis; of all that stream by, ``SAMPLE_ELEMENTS`` in whole rows are kept, each row
    with equal chance.
    """

    rows: torch.Tensor | None = field(default=None, init=False)
    keys: torch.Tensor = field(default_factory=lambda: torch.empty(0), init=False)
    random: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0), init=False)

    def _take(self, x: torch.Tensor) -> None:
        fresh = x.reshape(-1, x.shape[-1])
        if self.rows is not None and self.rows.shape[1] != fresh.shape[1]:
            raise InputError(
                f"{self.name}: rows of {fresh.shape[1]} after rows of {self.rows.shape[1]}; "
                "calibrate with batches of one width"
            )
        keys = torch.cat([self.keys, torch.rand(len(fresh), generator=self.random)])
        room = max(1, SAMPLE_ELEMENTS // fresh.shape[1])
        kept = keys.topk(min(room, len(keys))).indices  # the largest keys of all so far: a fair sample
        rows = fresh if self.rows is None else torch.cat([self.rows, fresh])
        self.keys, self.rows = keys[kept], rows[kept.to(rows.device)]

    def _choose(self, maximum: torch.Tensor) -> torch.Tensor:
        if self.rows is None or not maximum > 0:
            return maximum
        rows, exact = self.rows, self.rows.double()

        def error(factor: torch.Tensor) -> torch.Tensor:
            quantized = pytorch.quantize(self.quantizer, rows, gamma=factor * maximum, name=self.name)
            return (exact - quantized.dequantize()).square().sum()

        factor, _ = minimize(error, exact.new_zeros(()))
        return factor.to(maximum) * maximum


def observer(
    method: Calibration | str, quantizer: Quantizer, *, name: str = "activations", percentile: float = 99.99
) -> Observer:
    """Return a fresh observer; ``percentile`` is for the method of that name.

    Raises:
        InputError: If there is no such method, or it cannot serve ``quantizer``.
    """
    match choice("calibration", method, Calibration):
        case Calibration.MAX:
            return Observer(quantizer, name)
        case Calibration.PERCENTILE:
            check_number("percentile", percentile, 0, 100, 99.99, above=True)
            return HistogramObserver(quantizer, name, lambda histogram: histogram.percentile(percentile))
        case Calibration.ENTROPY:  # the levels: the multiples of gamma that can be represented, and 0
            levels = quantizer.element.qmax * (quantizer.scale.max if quantizer.scale else 1) + 1
            return HistogramObserver(quantizer, name, lambda histogram: histogram.least_divergence(levels))
        case Calibration.MSE:
            return MseObserver(quantizer, name)


def watch(
    model: nn.Module, watchers: Mapping[str, Callable[[torch.Tensor], object]], forward_loop: Callable[[nn.Module], Any]
) -> None:
    """Run ``forward_loop(model)`` without gradients, and show every watcher its module's first input at each call.

    All modules are in evaluation mode meanwhile: batches leave the statistics of BatchNorm alone, and dropout does
    nothing.

    Raises:
        InputError: If the model has no module of a watcher's name.
    """
    modules = dict(model.named_modules())
    if unknown := next((name for name in watchers if name not in modules), None):
        raise InputError(f"module {unknown!r}: the model has none of that name; {did_you_mean(unknown, modules)}")

    def showing(watcher: Callable[[torch.Tensor], object]) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            watcher(first_input(module, args, kwargs))

        return hook

    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(evaluating(model))
        for name, watcher in watchers.items():
            hook = modules[name].register_forward_pre_hook(showing(watcher), with_kwargs=True)
            stack.enter_context(hook)
        forward_loop(model)


def first_input(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the first argument of a module's call, whether given by position or by name."""
    return args[0] if args else kwargs[next(iter(signature(module.forward).parameters))]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and afterwards each of its modules back into the mode that it was in."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
