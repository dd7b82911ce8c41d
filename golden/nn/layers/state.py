"""The configuration of a quantized layer beside its tensors in a ``state_dict``, and the check against the model's.

It is a JSON text in bytes, as a tensor, which every container of tensors takes.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.scheme import Scheme

KEY = "_extra_state"  # PyTorch's
# What the integers depend on.
_COMPARED = ("configuration", "sign", "input_gamma", "order", "input_rounding", "scale_rule", "four_over_six", "mode")
_ADDED = {"scale_rule": "floor", "four_over_six": False}  # options that states of older versions lack


def encoded(scheme: Scheme, sign: int, frozen: bool) -> torch.Tensor:
    """Return what describes a layer, as uint8."""
    options = {each.name: getattr(scheme, each.name) for each in fields(scheme) if each.init and each.name != "config"}
    mode = "ptq" if frozen else "qat"
    text = json.dumps({"configuration": str(scheme), "sign": sign, "mode": mode} | options, default=str)
    return torch.tensor([*text.encode()], dtype=torch.uint8)


def check(ours: torch.Tensor, state: Mapping[str, Any], prefix: str) -> None:
    """Refuse a layer's part of a state that was not made for it.

    Raises:
        InputError: If the configurations differ, the state's is missing, or its layer is in float and the model's
            integers would not follow its weights.
    """
    name = prefix[:-1]
    mine = json.loads(bytes(ours.tolist()))
    if f"{prefix}{KEY}" in state:
        theirs = _ADDED | decoded(name, state[f"{prefix}{KEY}"])
        for what in _COMPARED:
            if theirs.get(what) != mine[what]:
                raise InputError(
                    f"layer {name!r}: its {what.replace('_', ' ')} in the state, {theirs.get(what)}, and in the model, "
                    f"{mine[what]}, differ; prepare the model as the saved one was quantized"
                )
    elif f"{prefix}input_gamma" in state:
        raise InputError(
            f"layer {name!r}: its configuration is not in the state, which an older version wrote; if it is "
            f"{mine['configuration']}, load {{**model.state_dict(), **state}}"
        )
    elif f"{prefix}weight" in state and mine["mode"] == "ptq":
        raise InputError(
            f"layer {name!r}: in float in the state, but {mine['configuration']} in the model; load it into the float "
            f"model, or prepare with skip={name!r}"
        )


def scheme(description: Mapping[str, Any]) -> Scheme:
    """Return the scheme of what :func:`encoded` describes."""
    config = MacConfig.parse(description["configuration"].replace("fp/fp", "-/-"))
    options = {each.name: description[each.name] for each in fields(Scheme) if each.name in description}
    return Scheme(config=config, **options)


def decoded(name: str, state: Any) -> dict[str, Any]:
    """Return what :func:`encoded` describes; an InputError names a layer whose description is broken."""
    try:
        return dict(json.loads(bytes(state.tolist())))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"layer {name!r}: its configuration in the state is broken ({error}); save it anew") from error
