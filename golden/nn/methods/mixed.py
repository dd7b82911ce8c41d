"""Mixed precision: one configuration for each layer, chosen by what it does to the model's outputs alone.

    minimize  sum_l loss[l, c(l)]   where   sum_l n_l * cost(c(l)) <= budget * sum_l n_l

Costs are bits of a weight, and n_l the number of a layer's weights; or costs are what a multiply-accumulate takes, such
as energy, and n_l the number of a layer's multiply-accumulates. A loss is the squared error of the model's outputs on
the calibration data, to their squared norm, with that layer alone quantized. Losses of layers add up nearly (measured
on MiniLM at 4 bits: the sum .028, together .030), hence one pass over layers and configurations serves every budget,
and the choice is an integer linear program.

Bits save the weights' storage alone: a vector MAC is as wide as the widest layer that it runs.

Source of the program: HAWQ-V3 (Yao et al., ICML 2021), section 3.4, there with Hessians for losses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn
from torch.utils.hooks import RemovableHandle

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.quantize import quantize, quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme


@dataclass(frozen=True)
class Sensitivities:
    """The losses of layers [layers, configurations], and the layers' numbers of weights and multiply-accumulates."""

    layers: tuple[str, ...]
    schemes: tuple[Scheme, ...]
    losses: np.ndarray[Any, np.dtype[np.float64]]
    sizes: np.ndarray[Any, np.dtype[np.int64]]
    work: np.ndarray[Any, np.dtype[np.int64]]  # multiply-accumulates of the calibration data

    @property
    def bits(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Bits of a weight in each configuration, scales not counted."""
        return np.array([scheme.config.weight.bits for scheme in self.schemes])

    @classmethod
    def of(
        cls,
        model: nn.Module,
        schemes: Sequence[Scheme | str],
        forward_loop: Callable[[nn.Module], Any],
        console: Console | None = None,
    ) -> "Sensitivities":
        """Measure each layer in each configuration, one at a time, on what ``forward_loop`` runs the model on.

        Raises:
            InputError: If there is no configuration, or quantization refuses the model.
        """
        found = tuple(map(Scheme.of, schemes))
        if not found:
            raise InputError("mixed precision: got no configuration; give some, such as {3,4,6}/8/6/10")
        quantized = quantize(model, found[0], forward_loop)
        whole = quantized_layers(quantized)
        sizes = np.array([layer.weight.numel() for layer in whole.values()])
        work = np.array(_work(quantized, [*whole.values()], forward_loop))
        wanted = _outputs(model, forward_loop)
        norm = sum(float(one.square().sum()) for one in wanted)
        pairs = [(name, scheme) for name in whole for scheme in found]
        shown = track(pairs, "layers alone", console=console or Console(quiet=True), transient=True)
        losses = []
        for name, scheme in shown:
            alone = quantize(model, scheme, forward_loop, rules=[Rule(pattern=name, scheme=scheme), Rule(scheme=None)])
            outputs = zip(_outputs(alone, forward_loop), wanted, strict=True)
            losses.append(sum(float((one - other).square().sum()) for one, other in outputs) / norm)
        return cls((*whole,), found, np.array(losses).reshape(len(whole), len(found)), sizes, work)

    def choose(self, bits: float) -> "Mix":
        """Return the choice of least summed loss whose weights have at most ``bits`` bits on average.

        Raises:
            InputError: If even the narrowest configurations have more.
        """
        return self._choose(bits, self.bits, self.sizes, "bits")

    def choose_by_cost(self, budget: float, costs: Sequence[float]) -> "Mix":
        """Return the choice of least summed loss whose multiply-accumulates cost at most ``budget`` on average.

        Args:
            costs: Of a multiply-accumulate in each configuration, such as its energy or the area of its MAC.

        Raises:
            InputError: If even the cheapest configuration costs more.
        """
        return self._choose(budget, np.asarray(costs, np.float64), self.work, "cost")

    def _choose(self, budget: float, costs: np.ndarray[Any, Any], amounts: np.ndarray[Any, Any], what: str) -> "Mix":
        from scipy.optimize import Bounds, LinearConstraint, milp

        if not budget >= costs.min():
            least = f"the narrowest configuration has {costs.min():g}"
            raise InputError(f"{what} {budget}: {least}; give a larger budget, or narrower configurations")
        count = self.losses.shape
        each = np.kron(np.eye(count[0]), np.ones(count[1]))
        spent = np.outer(amounts, costs) / amounts.sum()
        solution = milp(
            self.losses.ravel(),
            integrality=np.ones(self.losses.size),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(each, 1, 1), LinearConstraint(spent.reshape(1, -1), -np.inf, budget)],
        )
        chosen = solution.x.reshape(count).argmax(axis=1)
        rows = np.arange(count[0])
        return Mix(
            schemes={name: self.schemes[place] for name, place in zip(self.layers, chosen, strict=True)},
            bits=float(self.sizes @ self.bits[chosen] / self.sizes.sum()),
            average=float(spent[rows, chosen].sum()),
            loss=float(self.losses[rows, chosen].sum()),
        )


@dataclass(frozen=True)
class Mix:
    """A configuration for each layer, averages of their weights' bits and of what was limited, and summed losses."""

    schemes: Mapping[str, Scheme]
    bits: float
    average: float
    loss: float

    @property
    def rules(self) -> list[Rule]:
        """The choice as rules that :func:`vsq.golden.nn.quantize.quantize` takes."""
        return [Rule(pattern=name, scheme=scheme) for name, scheme in self.schemes.items()]


@torch.no_grad()
def _work(model: nn.Module, layers: Sequence[QuantizedLayer], forward_loop: Callable[[nn.Module], Any]) -> list[int]:
    """Return the multiply-accumulates that hardware has for each layer in a loop: rows of inputs times weights."""
    counts = dict.fromkeys(layers, 0)

    def count(layer: QuantizedLayer, _: Any, output: torch.Tensor) -> None:
        counts[layer] += output.numel() // len(layer.weight_rows()) * layer.weight.numel()

    handles = [layer.register_forward_hook(count) for layer in layers]
    forward_loop(model)
    for handle in handles:
        handle.remove()
    return [*counts.values()]


@torch.no_grad()
def _outputs(model: nn.Module, forward_loop: Callable[[nn.Module], Any]) -> list[torch.Tensor]:
    """Return all real tensors that the model returns in a loop, in evaluation mode."""
    found: list[torch.Tensor] = []
    handle: RemovableHandle = model.register_forward_hook(lambda _, __, output: found.extend(_real(output)))
    modes = {module: module.training for module in model.modules()}
    try:
        forward_loop(model.eval())
    finally:
        handle.remove()
        for module, training in modes.items():
            module.training = training
    return found


def _real(output: Any) -> Iterator[torch.Tensor]:
    """Yield the real tensors in an output, and in the containers within it."""
    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output.float()
    elif isinstance(output, Mapping):
        yield from _real(list(output.values()))
    elif isinstance(output, list | tuple):
        for one in output:
            yield from _real(one)
