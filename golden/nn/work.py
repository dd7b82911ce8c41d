"""The multiply-accumulates of a model's run: which of them quantized layers do, and which stay in float.

Counted are matrix products, convolutions and fused attention, as ``torch.utils.flop_counter`` does, M * N * K for a
product of [M, K] and [K, N], and fused recurrent and bilinear layers. A product has weights if it runs in a layer that
is quantized, or if an operand is a parameter or computed from parameters alone; else it is one of two activations.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Return two operations for each multiply-accumulate of both products, from the shapes [B, H, L or S, D]."""
    batch, heads, length, depth = query
    return 2 * int(batch * heads * length * key[2] * (depth + value[3]))


def _of_tensors(formula: Callable[..., int]) -> Callable[..., int]:
    """Return a formula that takes tensors, where the others take shapes, with the counter's mark of such."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


@_of_tensors
def _tokens(x: torch.Tensor, *others: Any, **_: Any) -> int:
    """Return the operations of all tokens, nested ones too, with every matrix; the first takes ``x``."""
    matrices = [one for one in others if isinstance(one, torch.Tensor) and one.dim() == 2 and one.is_floating_point()]
    return sum(2 * (x.numel() // matrices[0].shape[1]) * one.numel() for one in matrices)


@_of_tensors
def _recurrent(x: torch.Tensor, weight: torch.Tensor, recurrent: torch.Tensor, *_: Any, **__: Any) -> int:
    """Return the operations of a layer over a sequence."""
    return _tokens(x, weight, recurrent)


@_of_tensors
def _bilinear(x: torch.Tensor, weight: torch.Tensor, *_: Any, **__: Any) -> int:
    """Return the operations of ``x W y`` as one for each element of W [N, I, J], twice, for each row."""
    return 2 * (x.numel() // x.shape[-1]) * weight.numel()


_FORMULAS = FlopCounterMode(
    display=False,
    custom_mapping={
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten.linear: _tokens,
        aten._transformer_encoder_layer_fwd: _tokens,
        aten._native_multi_head_attention: _tokens,
        aten.mkldnn_rnn_layer: _recurrent,
        aten._trilinear: _bilinear,
    },
).flop_registry


class Work(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
    """Counts what runs in its context.

    Args:
        weights: The parameters of the model.

    Attributes:
        quantized, floating: Multiply-accumulates in layers that will compute with integers, and of other products with
            weights.
        products, floating_products: Those of two activations, in products that will compute with integers, and others.
        running: Such layers (True) and products (False) that are running, each inside another.
    """

    def __init__(self, weights: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        self.quantized = self.floating = self.products = self.floating_products = 0
        self.running: list[bool] = []
        self._weights = Counter(address(weight) for weight in weights)  # what lies there: parameters, or made of them
        self._weights.pop(0, None)
        self._origins = {memory: memory for memory in self._weights}
        self._multiplied: set[int] = set()

    def multiplied(self, module: nn.Module) -> bool:
        """Return whether a parameter of the module itself was an operand of a product in float."""
        return any(address(parameter) in self._multiplied for parameter in module.parameters(recurse=False))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in _FORMULAS:
            if not any(isinstance(one, torch.Tensor) and one.is_nested for one in args):
                with self:
                    decomposed = func.decompose(*args, **kwargs)  # into products, under inference_mode
                if decomposed is not NotImplemented:
                    return decomposed
            result = func(*args, **kwargs)
            self._follow(args, result)
            return result
        result = func(*args, **kwargs)
        count = _FORMULAS[func._overloadpacket](*args, **kwargs, out_val=result) // 2
        weights = {address(one) for one in args if isinstance(one, torch.Tensor)} & self._weights.keys()
        if self.running and self.running[-1]:
            self.quantized += count
        elif self.running:
            self.products += count
        elif weights:
            self.floating += count
            self._multiplied |= {self._origins[memory] for memory in weights}
        else:
            self.floating_products += count
        return result

    def _follow(self, args: Any, result: Any) -> None:
        """Count what is computed from weights alone, as casts and copies of them, as weights while it lives."""
        operands = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
        if operands and isinstance(result, torch.Tensor) and all(address(one) in self._weights for one in operands):
            memory = address(result)
            self._weights[memory] += 1
            self._origins[memory] = self._origins[address(operands[0])]
            weakref.finalize(result, self._forget, memory)

    def _forget(self, memory: int) -> None:
        self._weights[memory] -= 1
        self._weights += Counter()  # without what is 0

    def __str__(self) -> str:
        """The numbers with weights and of two activations, and the shares of each that are quantized."""
        kinds = (self.quantized, self.floating), (self.products, self.floating_products)
        of_weights, of_activations = (
            f"{sum(counts):,}, {counts[0] / max(1, sum(counts)):.2%} quantized" for counts in kinds
        )
        return f"multiply-accumulates with weights: {of_weights}; of two activations: {of_activations}"


def address(tensor: torch.Tensor) -> int:
    """Return the address of a tensor's memory, which its views share; 0 if it has none."""
    return 0 if is_lazy(tensor) or tensor.layout != torch.strided else tensor.untyped_storage().data_ptr()


@contextmanager
def counting(model: nn.Module, layers: Iterable[nn.Module], products: Iterable[nn.Module] = ()) -> Iterator[Work]:
    """Count what ``model`` does in this context, of which ``layers`` and ``products`` will compute with integers."""
    work = Work(model.parameters())

    def leave(*_: Any) -> None:
        work.running.pop()

    with ExitStack() as stack:
        for modules, weights in ((layers, True), (products, False)):
            for module in modules:
                enter = module.register_forward_pre_hook(lambda *_, weights=weights: work.running.append(weights))
                stack.enter_context(enter)
                stack.enter_context(module.register_forward_hook(leave, always_call=True))
        stack.enter_context(work)
        yield work
