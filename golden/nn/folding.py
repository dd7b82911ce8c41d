"""BatchNorm folded into the Linear or convolution right before it, float or quantized.

    (layer(x) - mean) * f + beta  =  x^ (f W)^T + (bias - mean) * f + beta,      f = weight / sqrt(variance + eps)

Frozen integers keep their magnitudes and scales: ``|f|`` goes into the channel's gamma, and where f is negative, its
codes change sign. So a folded layer's outputs are those of layer and BatchNorm, to float32 rounding of gamma and bias.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as AnyBatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.arguments import check
from vsq.golden.nn.layers.base import QuantizedLayer

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_TOLERANCE = 1e-4  # of the largest term, or 4 roundings: what float32 loses is far below it, a wrong axis far above


class Folded(nn.Identity):
    """The place of a BatchNorm that was folded into the layer of name ``into``."""

    def __init__(self, into: str) -> None:
        super().__init__()
        self.into = into

    def extra_repr(self) -> str:
        """Return where it went."""
        return f"into {self.into}"


def fold(model: nn.Module, forward_loop: Callable[[nn.Module], Any], *, inplace: bool = False) -> nn.Module:
    """Return a copy of ``model`` whose BatchNorms are folded into the layers that they follow, or ``model`` itself.

    Which layer a BatchNorm follows is seen while ``forward_loop`` runs the model, in evaluation mode. A fold is made if
    no other operation takes the layer's output, and if the folded layer gives the BatchNorm's output there. A warning
    names the BatchNorms that stay, and why.

    Args:
        model: A float model, or a quantized one: after training, before its integers are exported.
        forward_loop: Runs the model that it is given, which is the copy.
        inplace: Whether to change ``model`` instead of copying it.

    Raises:
        InputError: If an argument is of another type.
    """
    check(model=model, forward_loop=forward_loop, inplace=inplace)
    model = model if inplace else copy.deepcopy(model)
    with following(model) as trace, torch.no_grad():
        forward_loop(model)
    if stay := trace.stay():
        warnings.warn(f"BatchNorm not folded: {_listed(stay)}", UserWarning, stacklevel=2)
    return merge(model, trace.pairs())


class FollowedLayers(TorchFunctionMode):
    """The layers that BatchNorms follow: which operations take which layer's output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.norms = {name: module for name, module in model.named_modules() if isinstance(module, AnyBatchNorm)}
        self._made = WeakIdKeyDictionary()  # a layer's output -> the layer's name and input
        self._uses: dict[str, int] = {}  # of a layer's outputs, by any operation
        self._inputs: dict[str, list[str]] = {}  # of a BatchNorm, in each call: a layer's name, or ""
        self._wrong: dict[str, str] = {}  # BatchNorm -> why folding would change its output
        self._trying = False  # whether what runs is not the model's

    def pairs(self) -> dict[str, str]:
        """Return the layer of each BatchNorm that can be folded, by name."""
        stay = self.stay()
        return {name: makers[0] for name, makers in self._inputs.items() if name not in stay}

    def stay(self) -> dict[str, str]:
        """Return why the other BatchNorms cannot be folded."""
        return {name: reason for name in self.norms if (reason := self._problem(name))}

    def _problem(self, name: str) -> str | None:
        makers = self._inputs.get(name, [])
        if not makers:
            return "never called"
        if "" in makers or len({*makers}) > 1:
            return "follows no Linear or convolution directly"
        if self._uses.get(makers[0]) != len(makers):
            return f"{makers[0]!r} has other consumers"
        return self._wrong.get(name)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count it as a use of the layers' outputs that it takes."""
        result = func(*args, **kwargs or {})
        if not self._trying and any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result)):
            self.use((args, kwargs))
        return result

    def use(self, values: Any) -> None:
        """Count a use of the layers' outputs among ``values``."""
        for name, _ in filter(None, map(self._maker, tree_leaves(values))):
            self._uses[name] = self._uses.get(name, 0) + 1

    def layer_ran(self, name: str, x: Any, y: Any) -> None:
        """Take notice of a layer's call."""
        if isinstance(y, torch.Tensor):
            self._made[y] = (name, x)

    def norm_ran(self, name: str, layers: Mapping[str, nn.Module], y: torch.Tensor, out: torch.Tensor) -> None:
        """Take notice of a BatchNorm's call, and try the fold on the first."""
        layer_name, x = self._maker(y) or ("", None)
        calls = self._inputs.setdefault(name, [])
        calls.append(layer_name)
        if layer_name and len(calls) == 1:
            layer, norm, self._trying = layers[layer_name], self.norms[name], True
            with _disable_current_modes():  # the trial is not counted among the model's work
                if problem := _unfoldable(layer, norm) or _difference(layer, norm, x, y, out):
                    self._wrong[name] = problem
            self._trying = False

    def _maker(self, value: Any) -> tuple[str, Any] | None:
        found: tuple[str, Any] | None = None
        if isinstance(value, torch.Tensor):
            found = self._made.get(value)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        return found


@contextmanager
def following(model: nn.Module) -> Iterator[FollowedLayers]:
    """Watch which layers the BatchNorms of ``model`` follow, in what runs until the block ends."""
    trace = FollowedLayers(model)
    layers = {name: module for name, module in model.named_modules() if isinstance(module, KINDS)}

    def layer_hook(name: str) -> Any:
        return lambda _module, args, kwargs, y: trace.layer_ran(name, [*args, *kwargs.values()][0], y)

    def norm_hook(name: str) -> Any:
        return lambda _module, args, kwargs, out: trace.norm_ran(name, layers, [*args, *kwargs.values()][0], out)

    with ExitStack() as hooks:
        if trace.norms:
            for module, hook in (
                *((layers[name], layer_hook(name)) for name in layers),
                *((trace.norms[name], norm_hook(name)) for name in trace.norms),
            ):
                hooks.enter_context(module.register_forward_hook(hook, with_kwargs=True))
            hooks.enter_context(model.register_forward_hook(lambda _module, _inputs, output: trace.use(output)))
            hooks.enter_context(trace)
        yield trace


@torch.no_grad()
def merge(model: nn.Module, pairs: Mapping[str, str]) -> nn.Module:
    """Fold BatchNorms into layers, both by name, in place; return ``model``."""
    modules = dict(model.named_modules())
    folded = {}
    for name, into in pairs.items():
        _absorb(modules[into], modules[name])
        folded[modules[name]] = Folded(into)
    for parent in modules.values():
        for name, child in parent._modules.items():
            if child in folded:
                parent._modules[name] = folded[child]
    return model


def folded_into(model: nn.Module) -> set[str]:
    """Return the names of the layers that BatchNorms were folded into."""
    return {module.into for module in model.modules() if isinstance(module, Folded)}


def refuse(model: nn.Module, trace: FollowedLayers | None) -> None:
    """Refuse to leave a BatchNorm out that follows a quantized layer; without a trace, warn that there may be some."""
    if trace is None:
        if norms := [name for name, module in model.named_modules() if isinstance(module, AnyBatchNorm)]:
            more = f" and {len(norms) - 1} more" if len(norms) > 1 else ""
            rule = "is not in the integers; give a forward_loop, by which one that follows a layer is found"
            warnings.warn(f"BatchNorm {norms[0]!r}{more} {rule}", UserWarning, stacklevel=3)
        return
    layers = dict(model.named_modules())
    for name, into in trace.pairs().items():
        if isinstance(layers[into], QuantizedLayer):
            raise InputError(
                f"layer {into!r}: BatchNorm {name!r} follows it, which its integers leave out; fold it first, by "
                "vsq.fold(model, forward_loop)"
            )


def _listed(stay: Mapping[str, str]) -> str:
    """Return reasons with the names that they hold for, the first three of each."""
    parts = []
    for reason in dict.fromkeys(stay.values()):
        names = [repr(name) for name in stay if stay[name] == reason]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{', '.join(names[:3])}{more}: {reason}")
    return "; ".join(parts)


def _unfoldable(layer: Any, norm: Any) -> str | None:
    """Return why the layer cannot take the BatchNorm up, if so."""
    if norm.training or norm.running_mean is None:
        return "normalizes by statistics of the batch, call model.eval() first"
    if "weight" not in layer._parameters:
        return "the layer's weight is computed"
    if norm.num_features != _channels(layer):
        return "normalizes another axis than the layer's channels"
    one_sign = isinstance(layer, QuantizedLayer) and not layer.scheme.weights.element.signed
    return "factors below 0, and weights of one sign" if one_sign and (_affine(norm)[0] < 0).any() else None


@torch.no_grad()
def _difference(layer: nn.Module, norm: Any, x: Any, y: torch.Tensor, out: torch.Tensor) -> str | None:
    """Return how the folded layer's output for ``x`` differs from the BatchNorm's, ``out`` of ``y``, if it does."""
    folded: Any = copy.deepcopy(layer)
    _absorb(folded, norm)
    largest = out.abs().max() + (y.abs().max() * _affine(norm)[0].abs().max())
    gap = (folded.forward(x) - out).abs().max()
    tolerance = max(_TOLERANCE, 4 * torch.finfo(out.dtype).eps)
    return None if gap <= tolerance * largest else f"folding changes its output by up to {gap.item():.2g}"


@torch.no_grad()
def _absorb(layer: Any, norm: Any) -> None:
    """Give the layer the BatchNorm's factor and offset; its parameters are new ones, because others may share them."""
    factor, offset = _affine(norm)
    weight = layer.weight
    bias = offset if layer.bias is None else offset + factor * layer.bias.double()
    layer.weight = nn.Parameter((weight.double() * _along_weight(layer, factor)).to(weight), weight.requires_grad)
    layer.bias = nn.Parameter(bias.to(weight), weight.requires_grad)
    if isinstance(layer, QuantizedLayer) and layer.weight_codes is not None:
        gamma = layer.weight_gamma
        axes = (-1, *[1] * (gamma.ndim - 1))
        layer.weight_gamma = (gamma.double() * factor.abs().reshape(axes)).to(gamma)
        layer.weight_codes = torch.where(factor.reshape(*axes, 1) < 0, -layer.weight_codes, layer.weight_codes)


def _affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a BatchNorm multiplies its channels by, and what it adds to them, in float64."""
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    offset = -norm.running_mean.double() * factor
    return factor, offset if norm.bias is None else offset + norm.bias.double()


def _channels(layer: Any) -> int:
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


def _along_weight(layer: Any, factor: torch.Tensor) -> torch.Tensor:
    """Return a factor of each output channel in a shape that broadcasts against the layer's weight."""
    if not getattr(layer, "transposed", False):
        return factor.reshape(-1, *[1] * (layer.weight.ndim - 1))
    each = factor.reshape(layer.groups, 1, -1).expand(-1, layer.in_channels // layer.groups, -1)
    return each.reshape(*layer.weight.shape[:2], *[1] * (layer.weight.ndim - 2))  # [C_in, C_out / groups, ...]
