"""PyTorch's MultiheadAttention as four Linear layers and the products of activations between them."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.nn.layers.attributes import take_over
from vsq.golden.nn.layers.product import Product


class PartedAttention(nn.MultiheadAttention):
    """A MultiheadAttention that calls a layer for each projection: ``q_proj``, ``k_proj``, ``v_proj``, ``out_proj``.

    It has the arguments, results and dropout of the one that it is made of, whose weights its layers share, but never
    PyTorch's fused path, which would bypass the layers.
    """

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    scores: nn.Module
    values: nn.Module

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        take_over(self, packed)
        names, out_proj = ("q_proj", "k_proj", "v_proj"), self._modules.pop("out_proj")
        own: Any = [self._parameters.pop(f"{name}_weight") for name in names]
        whole, biases = self._parameters.pop("in_proj_weight"), self._parameters.pop("in_proj_bias")
        weights = own if whole is None else whole.chunk(3)
        for index, (name, weight) in enumerate(zip(names, weights, strict=True)):
            layer = nn.Linear(weight.shape[1], len(weight), bias=biases is not None, device="meta")
            layer.weight = nn.Parameter(weight.detach(), weight.requires_grad)
            if biases is not None:
                layer.bias = nn.Parameter(biases.detach().chunk(3)[index], biases.requires_grad)
            self.add_module(name, layer.train(packed.training))
        self.add_module("out_proj", out_proj)
        self.scores, self.values = Product(), Product()
        self._qkv_same_embed_dim = False  # which PyTorch's layers around ask before they take the fused path

    @property
    def in_proj_weight(self) -> torch.Tensor:  # type: ignore[override]  # PyTorch's is a parameter
        """The weights of the first three layers, which PyTorch's layers around look at."""
        layers: list[Any] = [self.q_proj, self.k_proj, self.v_proj]
        return torch.cat([layer.weight for layer in layers])

    @property
    def in_proj_bias(self) -> torch.Tensor | None:  # type: ignore[override]
        """Their biases."""
        layers: list[Any] = [self.q_proj, self.k_proj, self.v_proj]
        return None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what MultiheadAttention does; ``is_causal`` is a hint beside ``attn_mask``, which alone counts."""
        if is_causal and attn_mask is None:
            raise RuntimeError("is_causal needs attn_mask, as in nn.MultiheadAttention")
        lengths = [len(part) for part in query.unbind()] if query.is_nested else None
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        if lengths is not None:  # self-attention of an encoder; rows of one batch, without padding
            q, k, v = (part.to_padded_tensor(0.0) for part in (q, k, v))
            key_padding_mask = torch.arange(max(lengths), device=q.device) >= q.new_tensor(lengths)[:, None]
        batched, batch_first = query.dim() == 3, self.batch_first or lengths is not None
        if not batched:
            q, k, v = q[None], k[None], v[None]
        elif not batch_first:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        mask = self._mask(q, attn_mask, key_padding_mask)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.expand(len(k), -1, -1)], dim=1)
            v = torch.cat([v, self.bias_v.expand(len(v), -1, -1)], dim=1)
        if self.add_zero_attn:
            k, v = (functional.pad(part, (0, 0, 0, 1)) for part in (k, v))
        if mask is not None:  # nothing hides what was appended
            mask = functional.pad(mask, (0, k.shape[1] - mask.shape[-1]))
        heads = [part.reshape(*part.shape[:2], self.num_heads, -1).transpose(1, 2) for part in (q, k, v)]
        attended, weights = self._attend(heads, mask, need_weights)
        y = attended.transpose(1, 2).flatten(2)
        if lengths is not None:
            rows = [row[:length] for row, length in zip(y, lengths, strict=True)]
            return self.out_proj(torch.nested.as_nested_tensor(rows, layout=query.layout)), weights
        y = self.out_proj(y)
        if weights is not None:
            weights = weights.mean(dim=1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        return y[0] if not batched else y if batch_first else y.transpose(0, 1), weights

    @property
    def explicit(self) -> bool:
        """Whether the products are quantized, or watched, and so not left to PyTorch's fused attention."""
        return any(type(part) is not Product or part._forward_pre_hooks for part in (self.scores, self.values))

    def _attend(
        self, heads: list[torch.Tensor], mask: torch.Tensor | None, need_weights: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the attended values [B, H, L, D] of queries, keys and values, and the weights [B, H, L, S]."""
        q, k, v = heads
        dropout = self.dropout if self.training else 0.0
        if not need_weights and not self.explicit:
            return functional.scaled_dot_product_attention(q, k, v, mask, dropout), None
        scores = self.scores(q * math.sqrt(1 / self.head_dim), k.transpose(-2, -1))
        weights = functional.dropout((scores if mask is None else scores + mask).softmax(dim=-1), dropout)
        return self.values(weights, v), weights if need_weights else None

    def _mask(
        self, q: torch.Tensor, attn_mask: torch.Tensor | None, key_padding_mask: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Return what is added to the scores, broadcastable to [B, H, L, S]."""
        masks = []
        if attn_mask is not None:  # [L, S] or [B * H, L, S]
            lead = (len(q), self.num_heads) if attn_mask.dim() == 3 else (1, 1)
            masks.append(attn_mask.reshape(*lead, *attn_mask.shape[-2:]))
        if key_padding_mask is not None:  # [B, S], or [S] of a single sequence
            masks.append(key_padding_mask.reshape(-1, 1, 1, key_padding_mask.shape[-1]))
        added = [
            torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, -math.inf)
            if mask.dtype == torch.bool
            else mask.to(q.dtype)
            for mask in masks
        ]
        return sum(added[1:], start=added[0]) if added else None
