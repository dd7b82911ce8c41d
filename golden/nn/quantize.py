"""Whole models: every Linear and convolution becomes a quantized layer, calibrated by running the model.

    quantized = quantize(model, "4/8/6/10", lambda m: m(batch), skip="head")

``ptq`` freezes the weights' integers; ``qat`` leaves them to follow the weights, which any optimizer may then train.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from rich.console import Console
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.nn.arguments import check, place
from vsq.golden.nn.calibration import Observer, observer, watch
from vsq.golden.nn.folding import following, merge
from vsq.golden.nn.layers import registry
from vsq.golden.nn.layers.attention import PartedAttention
from vsq.golden.nn.layers.attributes import swap
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.product import Products, QuantizedProduct, fresh_products, observed
from vsq.golden.nn.methods.norms import take_up
from vsq.golden.nn.methods.replay import Recorder
from vsq.golden.nn.methods.sequence import fit
from vsq.golden.nn.methods.smoothing import smooth
from vsq.golden.nn.planes.splitquant import SplitLayer, plane_sign
from vsq.golden.nn.rules import Rule, assign
from vsq.golden.nn.summary import in_float, summary
from vsq.golden.nn.work import Work, counting
from vsq.golden.quantizer.scheme import Scheme

_SAMPLE_ROWS = 512


class Mode(StrEnum):
    """Post-training quantization, or quantization-aware training."""

    PTQ = "ptq"
    QAT = "qat"


class Unused(StrEnum):
    """The treatment of a layer with a static gamma that never runs in calibration: it stays in float, or is refused."""

    FLOAT = "float"
    ERROR = "error"


def quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the model's quantized layers by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, QuantizedLayer)}


def some_quantized(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Return the same; an InputError says that there are none."""
    layers = quantized_layers(model)
    if not layers:
        raise InputError(f"model {type(model).__name__}: no layer is quantized; call quantize first")
    return layers


def prepare(
    model: nn.Module,
    config: MacConfig | Scheme | str,
    *,
    rules: Sequence[Rule] | Rule = (),
    skip: Iterable[str] | str = (),
    mode: Mode | str = Mode.PTQ,
    products: Products | None = None,
) -> nn.Module:
    """Replace the layers of ``model``, in place, by uncalibrated quantized ones; return ``model``.

    This is what the ``state_dict`` of a quantized model can be loaded into. Arguments and errors are those of
    :func:`quantize`.
    """
    check(model=model)
    with registry.taken_apart(model, products is not None) as parted:
        layers, _, reasons = _fresh_layers(parted, config, rules, skip, mode)
        multiplied = _fresh_products(parted, layers, products)
        model = swap(_place(parted, layers), multiplied)
    if reasons:
        warnings.warn(in_float(reasons), UserWarning, stacklevel=2)
    return model


def quantize(
    model: nn.Module,
    config: MacConfig | Scheme | str,
    forward_loop: Callable[[nn.Module], Any] | None = None,
    *,
    rules: Sequence[Rule] | Rule = (),
    skip: Iterable[str] | str = (),
    mode: Mode | str = Mode.PTQ,
    unused: Unused | str = Unused.FLOAT,
    products: Products | None = None,
    fold: bool = True,
    inplace: bool = False,
    console: Console | None = None,
) -> nn.Module:
    """Return a copy of ``model`` whose layers are calibrated quantized ones, or ``model`` itself, changed in place.

    Types of layers are those of :mod:`vsq.golden.nn.layers.registry`. One warning counts and names those that stay in
    float although they have weights: their type is not supported, or calibration never ran them. All layers are
    replaced at the end, after calibration of the float model: an exception, in ``forward_loop`` too, leaves the model
    as it was. Calibration runs in evaluation mode, after which each module is back in its own.

    Args:
        model: The float model.
        config: Of the layers that no rule matches: a configuration, its text, a preset's name, or a whole scheme.
        forward_loop: Runs the model that it is given, which is the copy, on calibration data. None is for schemes
            without static gammas.
        rules, skip: See :func:`vsq.golden.nn.rules.assign`.
        mode: ``ptq`` or ``qat``.
        unused: ``float`` leaves a layer in float whose static gamma calibration cannot know, because it never ran
            (BERT's pooler, an expert without a token); ``error`` refuses the model.
        products: Of products of two activations: of the scores and values of ``nn.MultiheadAttention`` and of
            transformers' attention (:mod:`vsq.golden.nn.layers.interface`), and of each
            :class:`vsq.golden.nn.layers.product.Product`; or schemes of some by name. None leaves them in float.
        fold: Whether ``ptq`` folds each BatchNorm that follows a layer into the layer's integers (gamma and bias), as
            :func:`vsq.golden.nn.folding.fold` does. After ``qat`` call that function.
        inplace: Whether to change ``model`` and share its parameters, instead of copying it. Modules that pack weights,
            as ``nn.MultiheadAttention``, are taken apart then: parameters of their parts share the memory.
        console: Where the summary is printed: each layer's configuration and figures, what stays in float, and the
            share of the multiply-accumulates that is quantized (:mod:`vsq.golden.nn.work`). None prints nothing.

    Raises:
        InputError: If an argument is of another type, a pattern matches nothing, no layer or, by ``unused``, one layer
            never ran in ``forward_loop``, or a tensor is NaN, infinite or, in an unsigned format, negative; the message
            names it. If the model cannot be copied.
    """
    check("forward_loop", model=model, forward_loop=forward_loop, fold=fold, inplace=inplace)
    check("console", console=console)
    unused = choice("unused", unused, Unused)
    if not inplace:
        try:
            model = copy.deepcopy(model)
        except (RuntimeError, TypeError) as error:  # a parameter that is computed, an attribute that cannot be copied
            kind = type(model).__name__
            raise InputError(f"model {kind}: it cannot be copied ({error}); give inplace=True") from error
    with registry.taken_apart(model, products is not None) as parted:
        layers, candidates, reasons = _fresh_layers(parted, config, rules, skip, mode)
        multiplied = _fresh_products(parted, layers, products)
        computing: list[Any] = [*layers.values(), *multiplied.values()]
        samples: dict[str, torch.Tensor] = {}
        pairs: dict[str, str] = {}
        takers: dict[str, list[str]] = {}
        work = None
        fitted = [name for name, layer in layers.items() if layer.scheme.fitted]
        if forward_loop is not None:
            takers = smooth(parted, layers, forward_loop)
            recorder = Recorder([*layers], forward_loop)
            with following(parted) as trace, observed(multiplied):
                loop = recorder if fitted else forward_loop
                counted = bool(reasons) or console is not None
                samples, work = _calibrate(parted, layers, loop, multiplied, counted)
            pairs = trace.pairs() if fold and mode == Mode.PTQ else {}
            reasons = {name: why for name, why in reasons.items() if work and _multiplies(candidates[name], work)}
            reasons |= _unused(layers, samples, unused)
            fit(parted, layers, recorder)
        elif fitted:
            raise InputError(f"{place(fitted[0])}: its scheme's methods need calibration data; give a forward_loop")
        elif static := [one.name for one in computing if one.scheme.calibrated]:
            raise InputError(
                f"layer {static[0]!r}: its static gamma needs calibration; give a forward_loop, or input_gamma='row'"
            )
        if console is not None:
            console.print(summary(parted, layers, candidates, samples, work, takers))
        take_up(parted, layers, takers)
        model = swap(merge(_place(parted, layers), pairs), multiplied)
    if reasons:
        warnings.warn(in_float(reasons), UserWarning, stacklevel=2)
    return model


def _fresh_layers(
    model: nn.Module,
    config: MacConfig | Scheme | str,
    rules: Sequence[Rule] | Rule,
    skip: Iterable[str] | str,
    mode: Mode | str,
) -> tuple[dict[str, QuantizedLayer], dict[str, nn.Module], dict[str, str]]:
    """Return the quantized layers of a float model, all modules that rules speak of, and why some stay in float."""
    mode, default = choice("mode", mode, Mode), Scheme.of(config)
    candidates: dict[str, nn.Module] = {}
    problems: dict[str, str] = {}
    modules = set(model.modules())
    attentions = [
        one for one in modules if isinstance(one, nn.MultiheadAttention) and not isinstance(one, PartedAttention)
    ]
    uncalled = {part for attention in attentions for part in attention.children()}
    for name, module in model.named_modules():
        reason = registry.problem(module)
        if not reason and module in uncalled:
            reason = "is not called by its MultiheadAttention"
        if reason:
            problems[name] = reason
        if reason or registry.quantizable(module):
            candidates[name] = module
    if len(candidates) == len(problems):
        kind = type(model).__name__
        for name, done in quantized_layers(model).items():
            raise InputError(
                f"model {kind}: quantized already ({place(name)}: {done.scheme}), and no float layer is left; start "
                "from the float model"
            )
        why = f" ({in_float(problems)})" if problems else ""
        raise InputError(f"model {kind}: no Linear or convolution to quantize{why}; give one that has some")
    planes = {plane for module in modules if isinstance(module, SplitLayer) for plane in module.children()}
    layers, reasons = {}, {}
    for name, scheme in assign(candidates, default, rules, skip).items():
        if scheme is None:
            continue
        if name in problems:
            reasons[name] = problems[name]
            continue
        layer: Any = candidates[name]
        sign = plane_sign(layer.weight) if layer in planes else 0
        layers[name] = registry.fresh_layer(layer, scheme, name or "layer", sign)
        if mode == Mode.PTQ:
            layers[name].freeze()
        elif scheme.fitted:
            rule = "methods that fit integers to data are for mode ptq; leave them out"
            raise InputError(f"{place(name)}: its scheme cannot be trained (qat): {rule}")
    return layers, candidates, reasons


def _fresh_products(
    model: nn.Module, layers: Mapping[str, QuantizedLayer], products: Products | None
) -> dict[nn.Module, QuantizedProduct]:
    """Return the quantized products of a float model; an InputError says that neither they nor layers are any."""
    if not layers and products is None:
        raise InputError(
            f"model {type(model).__name__}: rules and skip leave every layer in float; leave at least one to quantize"
        )
    return {} if products is None else fresh_products(model, products)


def _calibrate(
    model: nn.Module,
    layers: Mapping[str, QuantizedLayer],
    forward_loop: Callable[[nn.Module], Any],
    products: Iterable[nn.Module],
    counted: bool,
) -> tuple[dict[str, torch.Tensor], Work | None]:
    """Give the layers their static gammas; return the first rows that each of them sees, and what all do if counted."""
    samples: dict[str, torch.Tensor] = {}
    observers: dict[str, Observer] = {}
    for name, layer in layers.items():
        if (scheme := layer.scheme).calibrated:
            what = f"inputs of {layer.name}"
            observers[name] = observer(scheme.calibration, scheme.inputs, name=what, percentile=scheme.percentile)

    def observe(name: str, x: torch.Tensor) -> None:
        rows = layers[name].rows(layers[name].smoothed(x))
        if not len(rows):
            return
        if name in observers:
            observers[name].observe(rows)
        if name not in samples:
            samples[name] = rows[:_SAMPLE_ROWS].clone()

    computing = [model.get_submodule(name) for name in (*layers, *quantized_layers(model))]
    with counting(model, computing, products) if counted else nullcontext() as work:
        watch(model, {name: partial(observe, name) for name in layers}, forward_loop)
    for name in observers.keys() & samples.keys():
        layers[name].input_gamma.copy_(observers[name].gamma())
    return samples, work


def _multiplies(module: nn.Module, work: Work) -> bool:
    """Return whether a module that stays in float multiplies with its weights, or might.

    One with children may only add them, as embeddings of positions; what another one does is not always seen.
    """
    contains = any(True for _ in module.children())
    return work.multiplied(module) or registry.registered(module) or not contains


def _unused(layers: dict[str, QuantizedLayer], seen: Mapping[str, Any], unused: Unused) -> dict[str, str]:
    """Take out the layers whose static gamma calibration did not see; return why they stay in float."""
    missing = [name for name, layer in layers.items() if layer.scheme.calibrated and name not in seen]
    if missing and (unused == Unused.ERROR or not seen):
        rule = "the calibration loop never ran the layer; run the whole model that it is given"
        other = ", or give unused='float'" if seen else ""
        raise InputError(f"inputs of {layers[missing[0]].name}: {rule}{other}")
    for name in missing:
        del layers[name]
    return dict.fromkeys(missing, "never ran in calibration")


def _place(model: nn.Module, layers: Mapping[str, QuantizedLayer]) -> nn.Module:
    """Put quantized layers in the places of the float ones; return the model."""
    modules = dict(model.named_modules())
    fresh = {
        modules[name]: layer.to(layer.weight.device).train(modules[name].training) for name, layer in layers.items()
    }
    return swap(model, fresh)
