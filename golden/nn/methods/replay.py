"""The calls that a calibration loop makes of a model: recorded once, then replayed up to one layer after another.

A layer that is quantized on the quantized stream must see what the layers before it, quantized already, put out. To
run the loop for each of them would cost the square of their number. The calls are replayed instead: a module whose
layers are all done keeps its outputs, which are returned at its next calls without computing it, and a call ends as
soon as the layers in question have seen their inputs. So each quantized layer computes once, whatever the model.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from vsq.golden.nn.calibration import evaluating, first_input
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.methods.bias import ChannelMean


@dataclass(eq=False)
class Call:
    """One call that the loop made of the model or of a part of it."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    layers: list[str] = field(default_factory=list)  # that ran in it, in order, once for each of their calls


class Recorder:
    """A calibration loop that takes down the calls which it makes of the float model.

    Args:
        layers: Names of the layers to be quantized.
        loop: Runs the model that it is given.

    Attributes:
        calls: The outermost calls of the model's modules, with copies of their arguments.
        leaders: Of each layer that ran, the first layer which takes the very same inputs; itself if there is none.
        means: Of the layers' float outputs.
    """

    def __init__(self, layers: Sequence[str], loop: Callable[[nn.Module], Any]) -> None:
        self.names, self.loop = layers, loop
        self.calls: list[Call] = []
        self.leaders: dict[str, str] = {}
        self.means: dict[str, ChannelMean] = {}
        self._depth = 0
        self._last: tuple[str, Any] = ("", None)  # the leader of the layer that ran last, and its input

    def __call__(self, model: nn.Module) -> None:
        """Run the loop; hooks of others see every call as they would without."""
        modules = dict(model.named_modules())
        with ExitStack() as hooks:
            for module in modules.values():
                enter = hooks.enter_context
                enter(module.register_forward_pre_hook(self._enter, prepend=True, with_kwargs=True))
                enter(module.register_forward_hook(self._leave, always_call=True))
            for name in self.names:
                self.means[name] = ChannelMean(modules[name])
                enter(modules[name].register_forward_pre_hook(self._layer_enters(name), with_kwargs=True))
                enter(modules[name].register_forward_hook(self._layer_leaves(name)))
            self.loop(model)

    def groups(self) -> list[list[str]]:
        """Return the layers that ran, in groups of the same inputs, in the order of their first calls."""
        first: dict[str, int] = {}
        for call in self.calls:
            for position, name in enumerate(call.layers):
                first[name] = min(position, first.get(name, position))
        groups: dict[str, list[str]] = {}
        for name in sorted(first, key=first.__getitem__):
            groups.setdefault(self.leaders[name], []).append(name)
        return [*groups.values()]

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._depth:
            self.calls.append(Call(module, *copy.deepcopy((args, kwargs))))
        self._depth += 1

    def _leave(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        self._depth -= 1

    def _layer_enters(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[-1].layers.append(name)
            leader, before = self._last
            x = first_input(module, args, kwargs)
            leader = leader if before is x else name
            self._last = leader, x
            if self.leaders.setdefault(name, leader) != leader:  # not in all of its calls
                self.leaders[name] = name

        return hook

    def _layer_leaves(self, name: str) -> Callable[..., None]:
        return lambda _module, _args, output: self.means[name].observe(output)


class _Reached(BaseException):
    """The end of a replayed call, which no module of the model may catch."""


class Replay:
    """The model's calls replayed, with some of its layers replaced.

    Args:
        model: The float model; it is as before after each replay.
        recorder: That has run its loop.
        layers: What stands in for the float layers that are done, by name; those not named compute as they are.
    """

    def __init__(self, model: nn.Module, recorder: Recorder, layers: Mapping[str, QuantizedLayer]) -> None:
        self.model, self.calls, self.layers = model, recorder.calls, layers
        self.modules = dict(model.named_modules())
        self.pending = {name for call in self.calls for name in call.layers}
        self._inside = {
            name: {layer for layer in self.pending if layer == name or not name or layer.startswith(f"{name}.")}
            for name in self.modules
        }
        self._outputs: dict[tuple[int, str, int], tuple[Any, Counter[str]]] = {}  # of finished modules' calls
        self._call, self._counts, self._clean = 0, Counter[str](), True
        self._leader, self._left, self._found = "", 0, list[torch.Tensor]()

    @torch.no_grad()
    def inputs(self, leader: str) -> list[torch.Tensor]:
        """Return what a layer that is not done sees, call by call."""
        self._leader, self._found = leader, []
        with evaluating(self.model), self._overridden():
            for index, call in enumerate(self.calls):
                self._call, self._left = index, call.layers.count(leader)
                self._counts, self._clean = Counter(), True
                if self._left:
                    args, kwargs = copy.deepcopy((call.args, call.kwargs))
                    with suppress(_Reached):
                        call.module(*args, **kwargs)
        finished = [name for name in self.modules if self._inside[name] and not self._inside[name] & self.pending]
        outer = {name for name in finished if not any(_within(name, other) for other in finished)}
        kept = {name for _, name, _ in self._outputs}
        for key in [key for key in self._outputs if any(_within(key[1], name) for name in outer & kept)]:
            del self._outputs[key]
        return self._found

    def finish(self, name: str) -> None:
        """Let a layer compute as what stands in for it from now on."""
        self.pending.discard(name)

    @contextmanager
    def _overridden(self) -> Iterator[None]:
        """Let modules with layers return kept outputs, and layers that are done be replaced, while the block runs."""
        with ExitStack() as undo:
            for name, module in self.modules.items():
                if self._inside[name]:
                    undo.callback(_restore, module, vars(module).get("forward"))
                    undo.enter_context(module.register_forward_pre_hook(_seen))  # PyTorch fuses layers without hooks
                    module.forward = self._forward(name, module.forward)
            yield

    def _forward(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            key = (self._call, name, self._counts[name])
            self._counts[name] += 1
            if key in self._outputs:
                output, inner = self._outputs[key]
                self._counts.update(inner)
                return _copied(output)
            before = self._counts.copy()
            output = self._computed(name, original, *args, **kwargs)
            if self._clean and not self._inside[name] & self.pending:
                self._outputs[key] = _copied(output), self._counts - before
            return output

        return forward

    def _computed(self, name: str, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if name in self.pending:
            self._clean = False  # what follows will be another once the layer is done
            if name == self._leader:
                self._found.append(first_input(self.modules[name], args, kwargs).clone())
                self._left -= 1
                if not self._left:
                    raise _Reached
        elif name in self.layers:
            layer = self.layers[name]
            return layer.forward(layer.smoothed(first_input(layer, args, kwargs)))
        return original(*args, **kwargs)


def _copied(output: Any) -> Any:
    """Return an output with tensors of its own, nested ones too, because the model may change them in place."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, output)


def _within(name: str, other: str) -> bool:
    """Return whether a module is a part of another one, by name."""
    return name != other and (not other or name.startswith(f"{other}."))


def _restore(module: nn.Module, forward: Any) -> None:
    del module.forward
    if forward is not None:
        module.forward = forward


def _seen(_module: nn.Module, _inputs: Any) -> None:
    """Do nothing."""
