"""Static gammas for activations, from what streams through a model: max, percentile, entropy and MSE.

A gamma stands for a threshold T, the largest magnitude that is represented: gamma = T/qmax for the single level, and
T/qmax/(2^M-1) for two levels. Observers see one batch after another and keep a few kilobytes, or a bounded sample.

Source: VS-Quant (Dai et al., MLSys 2021), section 4; Wu et al., Integer Quantization (arXiv 2004.09602).
"""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import nn

from vsq.golden.contract.errors import InputError, choice, did_you_mean
from vsq.golden.nn.mmse import minimize
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Granularity

BINS = 2048
SAMPLE_ELEMENTS = 1 << 18


class Calibration(StrEnum):
    """The method that chooses the threshold."""

    MAX = "max"  # the largest magnitude
    PERCENTILE = "percentile"  # the magnitude that a share of all elements stays below
    ENTROPY = "entropy"  # the least Kullback-Leibler divergence
    MSE = "mse"  # the least squared error of the quantizer itself


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
        """Return the threshold T that minimizes KL(P || Q), as a bin's upper edge.

        P are the counts up to T, with all beyond it in the last bin. Q spreads the unclipped counts below T evenly
        over the non-empty bins of each of ``levels`` equal parts. Bin 0 is left out: exact zeros, as after ReLU, would
        outweigh everything and are represented exactly under every threshold.
        """
        counts = self.counts.clone()
        counts[0] = 0
        filled = int(counts.nonzero()[-1]) + 1 if counts.any() else 0
        if filled <= levels:  # every bin is a level of its own: nothing to gain from clipping
            return max(filled, 1) * self.width
        candidates = range(levels, filled + 1)
        divergence = [_divergence(counts, top, levels) for top in candidates]
        return candidates[divergence.index(min(divergence))] * self.width


def _divergence(counts: torch.Tensor, top: int, levels: int) -> float:
    """Return KL(P || Q) of the first ``top`` bins, both normalized; infinite where Q misses what P has."""
    inside = counts[:top]
    clipped = inside.clone()
    clipped[-1] += counts[top:].sum()
    part = torch.arange(top) * levels // top
    occupied = inside > 0
    totals = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, inside)
    sharing = torch.zeros(levels, dtype=torch.float64).index_add_(0, part, occupied.double())
    spread = torch.where(occupied, (totals / sharing.clamp(min=1))[part], 0.0)
    present = clipped > 0
    p, q = clipped[present] / clipped.sum(), spread[present] / spread.sum()
    return float((p * (p / q).log()).sum())


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
            if not 0 < percentile <= 100:
                raise InputError(f"percentile {percentile}: must be above 0 and at most 100; choose for example 99.99")
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

    Raises:
        InputError: If the model has no module of a watcher's name.
    """

    def showing(watcher: Callable[[torch.Tensor], object]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:  # whose result would replace the inputs
            watcher(inputs[0])

        return hook

    modules = dict(model.named_modules())
    if unknown := next((name for name in watchers if name not in modules), None):
        raise InputError(f"module {unknown!r}: the model has none of that name; {did_you_mean(unknown, modules)}")
    with ExitStack() as hooks, torch.no_grad():
        for name, watcher in watchers.items():
            hooks.enter_context(modules[name].register_forward_pre_hook(showing(watcher)))
        forward_loop(model)
