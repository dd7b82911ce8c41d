"""Quantized models as folders: ``config.json``, to read, and ``model.safetensors``.

The configuration holds the scheme of each quantized layer and product, which BatchNorms were folded into which layers,
which tensors are one (tied), and versions. The tensors are those of ``state_dict``, but the float weights of frozen
layers, for which their integers stand: ``NAME.weight_codes``, ``.weight_scales`` and ``.weight_gamma``, beside
``.input_gamma``.
"""

import copy
import glob
import hashlib
import json
import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as AnyBatchNorm

from vsq.golden.contract.distribution import VERSION as DISTRIBUTION
from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import replacing, write_text
from vsq.golden.nn.arguments import check
from vsq.golden.nn.folding import KINDS, Folded
from vsq.golden.nn.layers import state
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.product import QuantizedProduct
from vsq.golden.nn.quantize import prepare, quantized_layers, some_quantized
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.tensor import Quantized

VERSION = 1
CONFIG, TENSORS = "config.json", "model.safetensors"
# No data is at hand when layers are prepared; what was fitted to some stands in the folder.
_UNFITTED: dict[str, Any] = {
    "weight_scales": "max",
    "weight_codes": "nearest",
    "bias_correction": False,
    "smoothing": 0.0,
    "feedback": 0.0,
}
_RULE = "give a float model of the saved one's architecture and types"


def save(model: nn.Module, folder: str | Path) -> None:
    """Write a quantized model as a folder, each file atomically; other files stay there.

    Raises:
        InputError: If no layer is quantized, the state of a module is not of tensors, the folder holds another
            ``config.json``, or a file cannot be written.
    """
    check(model=model, folder=folder)
    folder, layers, products = Path(folder), some_quantized(model), _products(model)
    if (folder / CONFIG).exists():
        _config(folder)
    tensors, same = _tensors(model, layers, products)
    content = safetensors.torch.save(tensors)
    config = {
        "format": "vsq",
        "version": VERSION,
        "vsq": DISTRIBUTION,
        "model": type(model).__name__,
        "layers": {name: state.decoded(name, layer.get_extra_state()) for name, layer in layers.items()},
        "products": {name: state.decoded(name, product.get_extra_state()) for name, product in products.items()},
        "folded": {name: module.into for name, module in model.named_modules() if isinstance(module, Folded)},
        "same": same,
    }
    with replacing(folder / TENSORS) as temporary:
        temporary.write_bytes(content)
    write_text(folder / CONFIG, json.dumps(config | {"sha256": _digest(config, content)}, indent=2) + "\n")


def load(folder: str | Path, model: nn.Module) -> nn.Module:
    """Return a quantized copy of a float model, with the integers and parameters that :func:`save` wrote.

    It computes what the saved model did, bit for bit. Float weights of frozen layers are NaN: only their integers are
    known.

    Args:
        folder: Of :func:`save`.
        model: A float model of the same architecture; its values do not matter.

    Raises:
        InputError: If a file is missing or was changed, or the model is another one: a layer, a name, a shape or a type
            differs.
    """
    check(folder=folder, model=model)
    folder = Path(folder)
    config = _config(folder)
    try:
        content = (folder / TENSORS).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / TENSORS}: cannot be read ({error.strerror}); save the model again") from None
    if config.pop("sha256", None) != _digest(config, content):
        raise InputError(f"{folder}: {CONFIG} or {TENSORS} was changed after vsq.save; save the model again")
    tensors = safetensors.torch.load(content)
    tensors |= {name: tensors[stored] for name, stored in config["same"].items()}
    prepared = _prepared(folder, config, copy.deepcopy(model))
    _fill(folder, config, prepared, tensors)
    return prepared


def _digest(config: dict[str, Any], content: bytes) -> str:
    """Return the SHA-256 of a configuration and of the tensors' file: integers mean nothing under another scheme."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode() + content).hexdigest()


def _products(model: nn.Module) -> dict[str, QuantizedProduct]:
    """Return the model's quantized products by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantizedProduct)}


def _tensors(
    model: nn.Module, layers: dict[str, QuantizedLayer], products: Iterable[str]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors to store, and the names of those that another one's name stands for."""
    left_out = {f"{name}.{state.KEY}" for name in (*layers, *products)}
    left_out |= {f"{name}.weight" for name, layer in layers.items() if layer.weight_codes is not None}
    tensors: dict[str, torch.Tensor] = {}
    same: dict[str, str] = {}
    places: dict[Any, str] = {}
    for name, tensor in model.state_dict().items():
        if name in left_out:
            continue
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"state {name!r}: {type(tensor).__name__} is no tensor; a folder holds tensors alone")
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and places.setdefault(place, name) != name:
            same[name] = places[place]
        else:
            tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return tensors, same


def _config(folder: Path) -> dict[str, Any]:
    """Return the configuration that a folder holds; refuse another one's."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())
        ours = config["format"] == "vsq"
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a folder of vsq.save") from None
    except (ValueError, TypeError, KeyError):
        ours = False
    if not ours:
        raise InputError(f"{path}: not a configuration of vsq.save; choose another folder")
    if config.get("version") != VERSION:
        raise InputError(f"{path}: version {config.get('version')}, but {VERSION} is read here; save the model again")
    return dict(config)


def _prepared(folder: Path, config: dict[str, Any], model: nn.Module) -> nn.Module:
    """Return the model with uncalibrated quantized layers, and without the BatchNorms that were folded."""
    modules = dict(model.named_modules())
    for norm, into in config["folded"].items():
        layer: Any = modules.get(into)
        if not isinstance(modules.get(norm), AnyBatchNorm) or not isinstance(layer, KINDS):
            raise InputError(f"{folder}: BatchNorm {norm!r}, folded into {into!r}, is not in the model; {_RULE}")
        if layer.bias is None:
            layer.bias = nn.Parameter(layer.weight.new_zeros(modules[norm].num_features))
        parent, _, child = norm.rpartition(".")
        setattr(modules[parent], child, Folded(into))
    schemes = {name: state.scheme(each) for name, each in config["layers"].items()}
    rules = [Rule(pattern=glob.escape(name), scheme=replace(each, **_UNFITTED)) for name, each in schemes.items()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what stays in float was said when the model was quantized
            products = {name: state.scheme(each) for name, each in config.get("products", {}).items()}
            rules = [*rules, Rule(scheme=None)]
            prepared = prepare(model, "8/8/-/-", rules=rules, mode="qat", products=products or None)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    layers = quantized_layers(prepared)
    if odd := sorted(layers.keys() ^ schemes.keys()):
        raise InputError(f"{folder}: layer {odd[0]!r} is quantized in the folder or in the model, not in both; {_RULE}")
    for name, layer in layers.items():
        layer.scheme = schemes[name]
        if layer.scheme.bias_correction and layer.bias is None:
            layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight_rows())))
    return prepared


@torch.no_grad()
def _fill(folder: Path, config: dict[str, Any], model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Give a prepared model its tensors, after a check of names, shapes and types."""
    layers = quantized_layers(model)
    frozen = {name for name, each in config["layers"].items() if each["mode"] == "ptq"}
    for name, layer in layers.items():
        if name in frozen:
            layer.freeze(_zeros(layer))
        layer.make_room(tensors, f"{name}.")
    extra = {f"{name}.{state.KEY}": part.get_extra_state() for name, part in (layers | _products(model)).items()}
    left_out = {*extra, *(f"{name}.weight" for name in frozen)}
    expected = {name: tensor for name, tensor in model.state_dict().items() if name not in left_out}
    if odd := sorted(expected.keys() ^ tensors.keys()):
        where = "model but not in the folder" if odd[0] in expected else "folder but not in the model"
        raise InputError(f"{folder}: tensor {odd[0]!r} is in the {where}; {_RULE}")
    for name, tensor in expected.items():
        for what, ours, theirs in (
            ("shape", tuple(tensor.shape), tuple(tensors[name].shape)),
            ("type", tensor.dtype, tensors[name].dtype),
        ):
            if ours != theirs:
                raise InputError(f"{folder}: tensor {name!r} has {what} {theirs}, but {ours} in the model; {_RULE}")
    for name in frozen:
        layers[name].weight.fill_(math.nan)
    model.load_state_dict(tensors | extra, strict=False)


def _zeros(layer: QuantizedLayer) -> Quantized[torch.Tensor]:
    """Return weights of the layer's shapes, in which its own will be put."""
    form = layer.scheme.weights.format
    *lead, length = layer.magnitudes().shape
    vectors = (*lead, -(-length // form.vector_size))
    device = layer.input_gamma.device
    return Quantized(
        codes=torch.zeros(*vectors, form.vector_size, dtype=form.element.dtype(torch), device=device),
        scales=torch.zeros(vectors, dtype=torch.int32, device=device),
        gamma=torch.zeros(form.gamma_shape(vectors), dtype=torch.float32, device=device),
        length=length,
        format=form,
        xp=torch,
    )
