"""Attention of transformers' models, whose products of two activations become modules: ``scores`` and ``values``.

Its modules call the function that their configuration names, ``eager`` or ``sdpa``. One that is taken apart has a
configuration of its own, which names a function here; masks stay those that the model makes for the first.
"""

import copy
import inspect
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.layers.attributes import take_over
from vsq.golden.nn.layers.product import Product

_REGISTRY, _EAGER = "ALL_ATTENTION_FUNCTIONS", "eager_attention_forward"  # names in each model's file
_KNOWN = {"module", "query", "key", "value", "attention_mask", "scaling", "dropout", "softcap", "position_bias"}


def interfaced(module: nn.Module) -> bool:
    """Return whether a module takes its attention function from transformers' registry, and is not taken apart."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return code is not None and _REGISTRY in code.co_names and not isinstance(getattr(module, "scores", None), Product)


def with_products(module: Any, name: str) -> Any:
    """Return an equal module of the same type whose products are children: ``scores`` and ``values``.

    Raises:
        InputError: If its attention function is neither ``eager`` nor ``sdpa``, or what its ``eager`` computes is not
            :func:`attend`.
    """
    used = module.config._attn_implementation or "eager"
    if used not in ("eager", "sdpa"):
        rule = "has no products that could be quantized; load the model with attn_implementation='eager' or 'sdpa'"
        raise InputError(f"products of {name!r}: the attention function {used!r} {rule}")
    around = inspect.unwrap(type(module).forward).__globals__
    made: Any = nn.Module.__new__(type(module))
    take_over(made, module)
    made.scores, made.values = Product(), Product()
    if not _as_usual(made, around.get(_EAGER)):
        rule = f"the attention of {type(module).__name__} is not softmax(q k^T) v with a mask"
        raise InputError(f"products of {name!r}: {rule}; leave products out")
    made.config = copy.deepcopy(module.config)
    made.config._attn_implementation = f"vsq_{used}"
    type(around[_REGISTRY]).register(f"vsq_{used}", partial(attend, fused=used == "sdpa"))
    return made.train(module.training)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    position_bias: torch.Tensor | None = None,
    is_causal: bool | None = None,
    *,
    fused: bool = False,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``softmax(q k^T * scaling + mask) v``, [B, L, H, D], and the weights [B, H, L, S].

    Args:
        module: Has the products.
        query, key, value: [B, H, L, D], [B, H / n, S, D], and as the keys.
        attention_mask: What is added to the scores; True where it is boolean and they stay.
        softcap: The scores' limit c, as c * tanh(scores / c).
        position_bias: Added to the scores too.
        is_causal: Whether a mask that is missing, as ``sdpa`` allows it, hides what follows; None: as the module says.
        fused: Whether the model makes masks for ``sdpa``.
    """
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], dim=1) for part in (key, value))
    scores = module.scores(query, key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if position_bias is not None:
        scores = scores + position_bias
    if attention_mask is None and fused and (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        attention_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        attention_mask = attention_mask.tril() if len(attention_mask) > 1 else attention_mask
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = functional.dropout(scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype), dropout, module.training)
    return module.values(weights, value).transpose(1, 2).contiguous(), weights


@torch.no_grad()
def _as_usual(module: Any, eager: Any) -> bool:
    """Return whether transformers' own function of a module computes what :func:`attend` does, tried on numbers."""
    if eager is None or not {*inspect.signature(eager).parameters} <= _KNOWN | {"kwargs"}:
        return False
    drawn, groups = torch.Generator().manual_seed(0), getattr(module, "num_key_value_groups", 1)
    shapes = (1, 2 * groups, 3, 8), (1, 2, 5, 8), (1, 2, 5, 8), (1, 1, 3, 5)
    query, key, value, mask = (torch.randn(shape, generator=drawn) for shape in shapes)
    try:
        theirs, _ = eager(module, query, key, value, mask, scaling=0.4, dropout=0.0)
    except (AttributeError, RuntimeError, TypeError):  # it needs more than the usual
        return False
    return torch.allclose(attend(module, query, key, value, mask, scaling=0.4)[0], theirs, rtol=1e-4, atol=1e-5)
