"""Experts whose weights newer releases of transformers pack into one parameter, as Linear layers."""

from typing import Any

import torch
from torch import nn

from vsq.golden.nn.layers.attributes import take_over


class Expert(nn.Module):
    """``down_proj(act_fn(gate) * up)``, where ``gate_up_proj`` gives ``gate`` and ``up``, each half of its outputs."""

    gate_up_proj: nn.Module
    down_proj: nn.Module

    def __init__(self, gate_up: torch.Tensor, down: torch.Tensor, act_fn: nn.Module) -> None:
        super().__init__()
        for name, weight in (("gate_up_proj", gate_up), ("down_proj", down)):
            layer = nn.Linear(weight.shape[1], len(weight), bias=False, device="meta")
            layer.weight = nn.Parameter(weight.detach(), weight.requires_grad)
            self.add_module(name, layer)
        self.act_fn = act_fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the expert's output for its tokens [T, H]."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        y: torch.Tensor = self.down_proj(self.act_fn(gate) * up)
        return y


class Experts(nn.Module):
    """The experts of Mixtral and of what is built like it, each an :class:`Expert` of its number's name."""

    def __init__(self, packed: Any) -> None:
        take_over(self, packed)
        gate_up, down = packed.gate_up_proj, packed.down_proj
        del self._parameters["gate_up_proj"], self._parameters["down_proj"]
        act_fn = self._modules.pop("act_fn", None) or packed.act_fn
        self.experts = len(gate_up)
        for number in range(self.experts):
            self.add_module(str(number), Expert(gate_up[number], down[number], act_fn))
        self.train(packed.training)

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the weighted sum of each token's experts.

        Args:
            hidden_states: [T, H].
            top_k_index, top_k_weights: The numbers of each token's experts, and their weights, [T, k].
        """
        y = torch.zeros_like(hidden_states)
        for number in range(self.experts):
            tokens, places = torch.where(top_k_index == number)
            if len(tokens):
                outputs = self.get_submodule(str(number))(hidden_states[tokens]) * top_k_weights[tokens, places, None]
                y.index_add_(0, tokens, outputs.to(y.dtype))
        return y
