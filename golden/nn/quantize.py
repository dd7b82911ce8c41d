"""Whole models: every Linear, Conv1d and Conv2d becomes a quantized layer, calibrated by running the model.

    quantized = quantize(model, "4/8/6/10", lambda m: m(batch), rules=[Rule(pattern="head", scheme=None)])

``ptq`` freezes the weights' integers; ``qat`` leaves them to follow the weights, which any optimizer may then train.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.nn.calibration import Observer, observer, watch
from vsq.golden.nn.fidelity import fidelity
from vsq.golden.nn.modules import QuantizedConv1d, QuantizedConv2d, QuantizedLayer, QuantizedLinear
from vsq.golden.nn.planes.splitquant import SplitLayer, plane_sign
from vsq.golden.nn.scheme import Rule, Scheme, assign

_SAMPLE_ROWS = 512
_KINDS: dict[type[nn.Module], type[QuantizedLayer]] = {
    nn.Linear: QuantizedLinear,
    nn.Conv1d: QuantizedConv1d,
    nn.Conv2d: QuantizedConv2d,
}


class Mode(StrEnum):
    """Post-training quantization, or quantization-aware training."""

    PTQ = "ptq"
    QAT = "qat"


def quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the model's quantized layers by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, QuantizedLayer)}


def prepare(
    model: nn.Module,
    config: MacConfig | Scheme | str,
    *,
    rules: Sequence[Rule] = (),
    skip: Iterable[str] = (),
    mode: Mode | str = Mode.PTQ,
) -> nn.Module:
    """Replace the layers of ``model``, in place, by uncalibrated quantized ones; return ``model``.

    This is what the ``state_dict`` of a quantized model can be loaded into. Arguments and errors are those of
    :func:`quantize`.
    """
    return _place(model, _fresh_layers(model, config, rules, skip, mode))


def quantize(
    model: nn.Module,
    config: MacConfig | Scheme | str,
    forward_loop: Callable[[nn.Module], Any] | None = None,
    *,
    rules: Sequence[Rule] = (),
    skip: Iterable[str] = (),
    mode: Mode | str = Mode.PTQ,
    inplace: bool = False,
    console: Console | None = None,
) -> nn.Module:
    """Return a copy of ``model`` whose layers are calibrated quantized ones, or ``model`` itself, changed in place.

    Layers that are not supported (other types, grouped convolutions) are named in a warning and stay in float. All
    layers are replaced at the end, after calibration of the float model: an exception, in ``forward_loop`` too, leaves
    the model as it was.

    Args:
        model: The float model.
        config: Of the layers that no rule matches: a configuration, its text, a preset's name, or a whole scheme.
        forward_loop: Runs the model that it is given, which is the copy, on calibration data. None is for schemes
            without static gammas.
        rules, skip: See :func:`vsq.golden.nn.scheme.assign`.
        mode: ``ptq`` or ``qat``.
        inplace: Whether to change ``model`` and share its parameters, instead of copying it.
        console: Where the summary is printed: each layer's configuration and figures. None prints nothing.

    Raises:
        InputError: If a pattern matches nothing, a layer never ran in ``forward_loop``, or a tensor is NaN, infinite
            or, in an unsigned format, negative; the message names it. If the model cannot be copied.
    """
    if not inplace:
        try:
            model = copy.deepcopy(model)
        except (RuntimeError, TypeError) as error:  # a parameter that is computed, an attribute that cannot be copied
            kind = type(model).__name__
            raise InputError(f"model {kind}: it cannot be copied ({error}); give inplace=True") from error
    layers = _fresh_layers(model, config, rules, skip, mode)
    samples: dict[str, torch.Tensor] = {}
    if forward_loop is not None:
        samples = _calibrate(model, layers, forward_loop)
    elif static := [name for name, layer in layers.items() if layer.scheme.calibrated]:
        raise InputError(
            f"layer {static[0]!r}: its static gamma needs calibration; give a forward_loop, or input_gamma='row'"
        )
    if console is not None:
        console.print(_summary(model, layers, samples))
    return _place(model, layers)


def quantizable(module: nn.Module) -> bool:
    """Return whether a module is a float layer that :func:`quantize` replaces."""
    return type(module) in _KINDS and _problem(module) is None


def fresh_layer(layer: nn.Module, scheme: Scheme, name: str = "layer", sign: int = 0) -> QuantizedLayer:
    """Return an uncalibrated quantized layer that shares a :func:`quantizable` layer's parameters."""
    return _KINDS[type(layer)](layer, scheme, name, sign)


def _fresh_layers(
    model: nn.Module, config: MacConfig | Scheme | str, rules: Sequence[Rule], skip: Iterable[str], mode: Mode | str
) -> dict[str, QuantizedLayer]:
    """Return the quantized layers of a float model by name; the model stays as it is."""
    mode = choice("mode", mode, Mode)
    config = MacConfig.parse(config) if isinstance(config, str) else config
    default = config if isinstance(config, Scheme) else Scheme(config=config)
    layers: dict[str, nn.Module] = {}
    problems: dict[str, str] = {}
    modules = set(model.modules())
    uncalled = {part for module in modules if isinstance(module, nn.MultiheadAttention) for part in module.children()}
    for name, module in model.named_modules():
        problem = _problem(module)
        if not problem and module in uncalled:
            problem = "MultiheadAttention takes its weights without calling it"
        if problem:
            problems[name] = problem
        if problem or type(module) in _KINDS:
            layers[name] = module
    if len(layers) == len(problems):
        kind = type(model).__name__
        for name, done in quantized_layers(model).items():
            raise InputError(
                f"model {kind}: quantized already (layer {name!r}: {done.scheme}), and no float layer is left; start "
                "from the float model"
            )
        raise InputError(f"model {kind}: no Linear, Conv1d or Conv2d to quantize; give one that has some")
    planes = {plane for module in modules if isinstance(module, SplitLayer) for plane in module.children()}
    fresh = {}
    for name, scheme in assign(layers, default, rules, skip).items():
        if scheme is None:
            continue
        if name in problems:
            warnings.warn(f"layer {name!r} stays in float: {problems[name]}", UserWarning, stacklevel=3)
            continue
        layer: Any = layers[name]
        fresh[name] = fresh_layer(layer, scheme, name or "layer", plane_sign(layer.weight) if layer in planes else 0)
        if mode == Mode.PTQ:
            fresh[name].freeze()
    return fresh


def _calibrate(
    model: nn.Module, layers: Mapping[str, QuantizedLayer], forward_loop: Callable[[nn.Module], Any]
) -> dict[str, torch.Tensor]:
    """Give the layers their static gammas; return the first rows that each of them sees, for the summary."""
    samples: dict[str, torch.Tensor] = {}
    observers: dict[str, Observer] = {}
    for name, layer in layers.items():
        if (scheme := layer.scheme).calibrated:
            what = f"inputs of {layer.name}"
            observers[name] = observer(scheme.calibration, scheme.inputs, name=what, percentile=scheme.percentile)

    def observe(name: str, x: torch.Tensor) -> None:
        rows = layers[name].rows(x)
        if name in observers:
            observers[name].observe(rows)
        if name not in samples:
            samples[name] = rows[:_SAMPLE_ROWS].clone()

    watch(model, {name: partial(observe, name) for name in layers}, forward_loop)
    for name, layer in layers.items():
        if name not in samples:
            rule = "the calibration loop never ran the layer; run the whole model that it is given"
            raise InputError(f"inputs of {layer.name}: {rule}")
        if name in observers:
            layer.input_gamma.copy_(observers[name].gamma())
    return samples


def _place(model: nn.Module, layers: Mapping[str, QuantizedLayer]) -> nn.Module:
    """Put quantized layers in the places of the float ones; return the model."""
    modules = dict(model.named_modules())
    fresh = {
        modules[name]: layer.to(layer.weight.device).train(modules[name].training) for name, layer in layers.items()
    }
    for parent in modules.values():
        for name, child in parent._modules.items():  # named_children() gives a shared child once
            if child in fresh:
                parent._modules[name] = fresh[child]
    return fresh.get(model, model)


def _problem(module: nn.Module) -> str | None:
    """Return why a module stays in float; None if it need not, or has no weights to multiply."""
    kind = type(module).__name__
    if type(module) in _KINDS:
        groups = getattr(module, "groups", 1)
        return f"{kind} with {groups} groups is not supported" if groups != 1 else None
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag, QuantizedLayer)):
        return None
    weights = any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    return f"type {kind} is not supported" if weights else None


@torch.no_grad()
def _summary(model: nn.Module, layers: Mapping[str, QuantizedLayer], samples: Mapping[str, torch.Tensor]) -> Table:
    """Return the figures of every layer of the float model: of weights, and of the inputs that calibration kept."""
    columns = [Column(f"{side} {figure}", justify="right") for side in "wx" for figure in ("SQNR", "clipped", "zero")]
    table = Table(Column("layer", overflow="fold"), Column("configuration", overflow="fold"), *columns)
    for name, module in model.named_modules():
        if name in layers:
            layer = layers[name]
            cells = fidelity(layer.magnitudes(), layer.quantized_weights()).cells()
            if name in samples:
                cells += fidelity(layer.grouped(samples[name]), layer.quantized_inputs(samples[name])).cells()
            table.add_row(name, str(layer.scheme), *cells, *["-"] * (len(columns) - len(cells)))
        elif type(module) in _KINDS or _problem(module):
            table.add_row(name, "float", *["-"] * len(columns))
    return table
