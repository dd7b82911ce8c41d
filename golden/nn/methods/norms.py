"""Normalizations that take up the multipliers of the inputs which they put out.

    norm(x) * m  =  norm'(x),       weight' = weight * m,   bias' = bias * m

A normalization does so if quantized layers of one and the same multiplier alone read its outputs, which is seen while
the calibration loop runs: every operation that is given the memory of such an output, and every module that returns it,
counts as a reader.
"""

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from vsq.golden.nn.calibration import first_input
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.work import address

_TOLERANCE = 8  # roundings


class Norms(TorchDispatchMode):
    """The normalizations of a float model, which are the modules named so, and what reads their outputs.

    Args:
        model: The float model.
        layers: The quantized layers that stand for some of its layers, by name.
    """

    def __init__(self, model: nn.Module, layers: Mapping[str, QuantizedLayer]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        self.modules = dict(model.named_modules())
        self.layers = layers
        self.norms = {name: module for name, module in self.modules.items() if type(module).__name__.endswith("Norm")}
        self._readers: dict[str, set[str]] = {name: set() for name in self.norms}  # layers, of each
        self._sources: dict[str, set[str]] = {name: set() for name in layers}  # normalizations, of each; "" for others
        self._fixed = {name for name, norm in self.norms.items() if _hooked(norm) or not _scalable(norm)}
        self._tried: set[str] = set()
        self._running: list[str] = []
        self._made = WeakIdKeyDictionary()  # an output -> the name of its normalization
        self._memory: dict[int, set[str]] = {}  # of outputs and parameters -> names
        for name, norm in self.norms.items():
            for parameter in norm.parameters():
                self._memory.setdefault(address(parameter), set()).add(name)

    def takers(self) -> dict[str, list[str]]:
        """Return the layers whose multiplier a normalization can take up, by its name."""
        found = {}
        for norm, names in self._readers.items():
            multipliers = [self.layers[name].input_multiplier for name in names]
            alone = norm not in self._fixed and all(self._sources[name] == {norm} for name in names)
            stated = alone and multipliers and all(one is not None for one in multipliers)
            if stated and all(torch.equal(one, multipliers[0]) for one in multipliers):
                found[norm] = sorted(names)
        return found

    def source(self, x: Any) -> str:
        """Return the name of the normalization that put out the very object ``x``; empty if none did."""
        return str(self._made.get(x, "")) if isinstance(x, torch.Tensor) else ""  # type: ignore[no-untyped-call]

    @contextmanager
    def watched(self) -> Iterator["Norms"]:
        """Watch what runs until the block ends."""
        with ExitStack() as hooks:
            for name, module in self.modules.items():
                hooks.enter_context(module.register_forward_pre_hook(self._enter(name), with_kwargs=True))
                first, leave = name in self.layers, self._leave(name)  # hooks of others read a layer's input too
                hook = module.register_forward_hook(leave, prepend=first, with_kwargs=True, always_call=True)
                hooks.enter_context(hook)
            hooks.enter_context(self)
            yield self

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, which reads its operands."""
        self._read((args, kwargs))
        return func(*args, **kwargs or {})

    def _read(self, values: Any) -> None:
        """Let the normalizations stay as they are whose outputs or parameters are read by others than their layers."""
        for leaf in _tensors(values):
            for norm in self._memory.get(address(leaf), ()):
                if norm not in self._running and self._readers[norm].isdisjoint(self._running):
                    self._fixed.add(norm)

    def _enter(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if name in self.layers:
                norm = self.source(first_input(module, args, kwargs))
                self._sources[name].add(norm)
                if norm:
                    self._readers[norm].add(name)
            self._running.append(name)

        return hook

    def _leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if self._running and self._running[-1] == name:  # else a hook of another one raised an exception
                self._running.pop()
            self._read(output)  # of other normalizations, which this module hands on
            if name in self.norms:
                self._ran(name, args, kwargs, output)

        return hook

    def _ran(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            self._fixed.add(name)
            return
        if output.is_nested or not address(output) or not self._running:  # or the loop itself is given the output
            self._fixed.add(name)
        self._made[output] = name
        self._memory.setdefault(address(output), set()).add(name)
        weakref.finalize(output, self._forget, address(output), name)
        if name not in self._fixed | self._tried:
            self._tried.add(name)
            with _disable_current_modes():  # the trial reads nothing for the model
                if not _scales(self.norms[name], args, kwargs, output):
                    self._fixed.add(name)

    def _forget(self, place: int, name: str) -> None:
        self._memory.get(place, set()).discard(name)


@torch.no_grad()
def take_up(model: nn.Module, layers: Mapping[str, QuantizedLayer], takers: Mapping[str, list[str]]) -> None:
    """Fold multipliers into normalizations, which get parameters of their own, and into the layers' float weights."""
    for norm, names in takers.items():
        multiplier = layers[names[0]].input_multiplier
        module = model.get_submodule(norm)
        module._parameters.update(_scaled(module, multiplier))
        for name in names:
            layer = layers[name]
            along = multiplier if isinstance(layer, nn.Linear) else multiplier[:, None]
            weight = (layer.weight.float() / along).to(layer.weight)
            layer.weight = nn.Parameter(weight, layer.weight.requires_grad)
            layer.input_multiplier = None


def _scalable(norm: nn.Module) -> bool:
    """Return whether all parameters of a normalization are a weight, and perhaps a bias, of its own."""
    own = {name for name, parameter in norm._parameters.items() if parameter is not None}
    return own in ({"weight"}, {"weight", "bias"}) and len([*norm.parameters()]) == len(own)


def _hooked(norm: nn.Module) -> bool:
    return bool(norm._forward_hooks or norm._forward_pre_hooks)


def _scaled(norm: nn.Module, multiplier: torch.Tensor) -> dict[str, nn.Parameter]:
    """Return a normalization's parameters times a multiplier of its channels."""
    return {
        name: nn.Parameter((parameter.float() * multiplier).to(parameter), parameter.requires_grad)
        for name, parameter in norm._parameters.items()
        if parameter is not None
    }


def _scales(norm: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> bool:
    """Return whether the normalization's output follows its parameters, along the last axis, as one that is affine."""
    trial, channels = copy.copy(norm), output.shape[-1]
    multiplier = torch.linspace(0.5, 2, channels, device=output.device)
    if any(parameter is not None and parameter.shape[-1:] != (channels,) for parameter in norm._parameters.values()):
        return False
    trial._parameters = {**norm._parameters, **_scaled(norm, multiplier)}
    expected = output.float() * multiplier
    gap = (trial.forward(*args, **kwargs).float() - expected).abs()
    return bool((gap <= _TOLERANCE * torch.finfo(output.dtype).eps * expected.abs().max()).all())


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Return the tensors in nested containers, and in the attributes of objects that are none."""
    for leaf in tree_leaves(values):
        if isinstance(leaf, torch.Tensor):
            yield leaf
        elif hasattr(leaf, "__dict__") and not isinstance(leaf, (type, nn.Module)):
            yield from (value for value in tree_leaves([*vars(leaf).values()]) if isinstance(value, torch.Tensor))
