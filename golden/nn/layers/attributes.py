"""Taking the place of a module: its attributes, and where it stands."""

import copy
from collections.abc import Mapping

from torch import nn


def take_over(module: nn.Module, origin: nn.Module) -> None:
    """Begin ``module`` with all that ``origin`` has: attributes, parameters, children and hooks, each itself.

    It stands in for the constructor. The registries of these are the module's own, and it is not compiled.
    """
    nn.Module.__init__(module)
    for name, value in vars(origin).items():
        module.__dict__[name] = copy.copy(value) if isinstance(value, (dict, set)) else value
    module._compiled_call_impl = None


def swap(model: nn.Module, by: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace modules by others wherever they stand; return the model, which may be one of them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():  # named_children() gives a shared child once
            if child is not None and child in by:
                parent._modules[name] = by[child]
    return by.get(model, model)
