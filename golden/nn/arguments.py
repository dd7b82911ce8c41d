"""Checks of the arguments that the public functions on networks share, by their names."""

from collections.abc import Callable
from os import PathLike
from typing import Any

from rich.console import Console
from torch import nn

from vsq.golden.contract.errors import InputError

_PATH = (str, PathLike), "a text or a pathlib.Path"
_FLAG = bool, "True or False"
_EXPECTED: dict[str, tuple[Any, str]] = {
    "model": (nn.Module, "a torch.nn.Module"),
    "forward_loop": (Callable, "a function of the model; write for example lambda model: model(batch)"),
    "console": (Console, "a rich.console.Console, or None"),
    "path": _PATH,
    "folder": _PATH,
    "fold": _FLAG,
    "inplace": _FLAG,
}


def place(name: str) -> str:
    """Return a layer's name as messages give it; the empty one is that of the model itself."""
    return f"layer {name!r}" if name else "the model itself"


def check(*optional: str, **arguments: Any) -> None:
    """Refuse arguments of another type than their names stand for.

    Args:
        optional: Names of arguments that may be None.
        arguments: By name.

    Raises:
        InputError: If an argument is of another type, or a model's parameters have no values (device ``meta``).
    """
    for name, value in arguments.items():
        kind, rule = _EXPECTED[name]
        if not isinstance(value, kind) and not (value is None and name in optional):
            raise InputError(f"{name} of type {type(value).__name__}: must be {rule}")
    if "model" in arguments:
        for name, parameter in arguments["model"].named_parameters():
            if parameter.is_meta:
                rule = "is on the device meta, without values; call model.to_empty(device='cpu') and load them first"
                raise InputError(f"parameter {name!r}: {rule}")
