"""The module types that are quantized, and what they become.

A user adds a type of layer by :func:`register`. All that its quantized class has to say, for a Linear whose weights are
[K, N]::

    class QuantizedMine(QuantizedLayer):
        def rows(self, x):
            return x.float().reshape(-1, 1, x.shape[-1])

        def output(self, y, x):
            return y.reshape(*x.shape[:-1], y.shape[-1]).to(x.dtype)

        def weight_rows(self):
            return self.weight.float().T[:, None]

    register(Mine, QuantizedMine)

A module that multiplies with several weights, or packs them, is taken apart into layers first; :func:`register_parts`
adds such a type.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.layers import convolution
from vsq.golden.nn.layers.attention import PartedAttention
from vsq.golden.nn.layers.attributes import swap
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.experts import Experts
from vsq.golden.nn.layers.interface import interfaced, with_products
from vsq.golden.nn.layers.linear import QuantizedConv1D, QuantizedLinear
from vsq.golden.nn.layers.product import QuantizedProduct
from vsq.golden.quantizer.scheme import Scheme

_METHODS = ("__call__", "forward", "_conv_forward")  # of a float layer, that a quantized one stands in for

Kind = type[nn.Module] | str  # a type, or its full name
Entry = TypeVar("Entry")

_LAYERS: dict[Kind, type[QuantizedLayer]] = {
    nn.Linear: QuantizedLinear,
    nn.Conv1d: convolution.QuantizedConv1d,
    nn.Conv2d: convolution.QuantizedConv2d,
    nn.Conv3d: convolution.QuantizedConv3d,
    nn.ConvTranspose1d: convolution.QuantizedConvTranspose1d,
    nn.ConvTranspose2d: convolution.QuantizedConvTranspose2d,
    nn.ConvTranspose3d: convolution.QuantizedConvTranspose3d,
    "transformers.pytorch_utils.Conv1D": QuantizedConv1D,
}

_PARTS: dict[Kind, Callable[[Any], nn.Module]] = {
    nn.MultiheadAttention: PartedAttention,
    "transformers.models.mixtral.modeling_mixtral.MixtralExperts": Experts,
    "transformers.models.olmoe.modeling_olmoe.OlmoeExperts": Experts,
    "transformers.models.qwen2_moe.modeling_qwen2_moe.Qwen2MoeExperts": Experts,
    "transformers.models.qwen3_moe.modeling_qwen3_moe.Qwen3MoeExperts": Experts,
}


def register(kind: Kind, quantized: type[QuantizedLayer]) -> None:
    """Let :func:`vsq.golden.nn.quantize.quantize` replace layers of a type by quantized ones.

    A later registration of a type replaces an earlier one.

    Args:
        kind: The float layer's type, whose weights are its parameter ``weight``, and which may have a ``bias`` [N]; or
            its full name, ``package.module.Class``, where the package need not be imported. Subclasses are replaced as
            well, unless their ``forward`` is another one.
        quantized: A subclass of ``QuantizedLayer`` with ``rows``, ``output`` and ``weight_rows``. It takes over all
            attributes of the float layer, without its constructor.

    Raises:
        InputError: If an argument is of another kind.
    """
    if not (isinstance(quantized, type) and issubclass(quantized, QuantizedLayer)):
        raise InputError(f"register {quantized!r}: not a quantized layer type; give a subclass of QuantizedLayer")
    _LAYERS[_checked(kind)] = quantized


def register_parts(kind: Kind, parts: Callable[[Any], nn.Module]) -> None:
    """Let :func:`vsq.golden.nn.quantize.quantize` replace modules of a type by equal ones made of layers.

    Args:
        kind: As in :func:`register`.
        parts: Makes of such a module another one, with the same arguments and results, and layers that it calls.

    Raises:
        InputError: If an argument is of another kind.
    """
    if not callable(parts):
        raise InputError(f"register {parts!r}: must make a module of a module; give a function or a class")
    _PARTS[_checked(kind)] = parts


def quantized_kind(layer: nn.Module) -> type[QuantizedLayer] | None:
    """Return what a float layer becomes; None if it stays in float, for the reason that :func:`problem` gives."""
    found = _registered(_LAYERS, layer)
    return found[1] if found and problem(layer) is None else None


def quantizable(module: nn.Module) -> bool:
    """Return whether a module is a float layer that :func:`vsq.golden.nn.quantize.quantize` replaces."""
    return quantized_kind(module) is not None


def fresh_layer(layer: nn.Module, scheme: Scheme, name: str = "layer", sign: int = 0) -> QuantizedLayer:
    """Return an uncalibrated quantized layer that shares a :func:`quantizable` layer's parameters."""
    kind = quantized_kind(layer)
    if kind is None:
        raise InputError(f"{name}: type {type(layer).__name__} is not supported; register a quantized layer for it")
    return kind(layer, scheme, name, sign)


def parts_of(module: nn.Module) -> nn.Module | None:
    """Return an equal module made of layers; None for one that need not be, or cannot be, taken apart."""
    found = _registered(_PARTS, module)
    return found[1](module) if found and problem(module) is None else None


@contextmanager
def taken_apart(model: nn.Module, products: bool = False) -> Iterator[nn.Module]:
    """Yield the model with equal modules made of layers where weights are packed.

    Afterwards those stay of which a layer or product was quantized; after an exception none does.

    Args:
        products: Whether attention of transformers is taken apart too, into its products.

    Raises:
        InputError: If there is attention that cannot be.
    """
    parts = {module: made for module in model.modules() if (made := parts_of(module))}
    if products:
        parts |= {module: with_products(module, name) for name, module in model.named_modules() if interfaced(module)}
    model = swap(model, parts)
    packed = {made: module for module, made in parts.items()}
    try:
        yield model
    except BaseException:
        swap(model, packed)
        raise
    kinds = (QuantizedLayer, QuantizedProduct)
    quantized = {made for made in packed if any(isinstance(part, kinds) for part in made.modules())}
    swap(model, {made: module for made, module in packed.items() if made not in quantized})


def registered(module: nn.Module) -> bool:
    """Return whether a module is of a type that is quantized or taken apart, even if this one cannot be."""
    return _registered({**_PARTS, **_LAYERS}, module) is not None


def problem(module: nn.Module) -> str | None:
    """Return why a module stays in float; None if it need not, or has no weights to multiply."""
    kind, found = type(module).__name__, _registered({**_PARTS, **_LAYERS}, module)
    if found is None:
        weights = any(is_lazy(parameter) or parameter.ndim > 1 for parameter in module.parameters(recurse=False))
        known = isinstance(module, (nn.Embedding, nn.EmbeddingBag, ParametrizationList)) or _made(module)
        return f"{kind} is not supported" if weights and not known else None
    for method in _METHODS:
        if method in vars(module) or getattr(type(module), method, None) is not getattr(found[0], method, None):
            return f"{kind} has its own {method}"
    if is_parametrized(module) or (found[1] in _LAYERS.values() and module._parameters.get("weight") is None):
        return f"{kind} computes its weights"
    if any(is_lazy(parameter) for parameter in module.parameters(recurse=False)):
        return f"{kind} has no shape before it first runs"
    return None


def _registered(table: Mapping[Kind, Entry], module: nn.Module) -> tuple[type[nn.Module], Entry] | None:
    """Return the nearest registered type of a module, and what the table has for it."""
    for kind in () if _made(module) else type(module).__mro__:
        for key in (kind, f"{kind.__module__}.{kind.__qualname__}"):
            if key in table:
                return kind, table[key]
    return None


def _made(module: nn.Module) -> bool:
    """Return whether a module is what another one became."""
    classes = (made for made in (*_LAYERS.values(), *_PARTS.values()) if isinstance(made, type))
    return isinstance(module, (QuantizedLayer, *classes))


def _checked(kind: Any) -> Kind:
    if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise InputError(
            f"register {kind!r}: not a type of module; give a subclass of torch.nn.Module, or its full name"
        )
    return kind
