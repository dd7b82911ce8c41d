"""Gammas that stay float32 when the type of a model changes, as by ``model.bfloat16()``."""

from collections.abc import Callable

import torch
from torch import nn


class Float32Gammas(nn.Module):
    """A module whose buffers ``*_gamma`` move between devices, but keep their type."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        gammas = {name: gamma for name, gamma in self._buffers.items() if name.endswith("_gamma") and gamma is not None}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        for name, gamma in gammas.items():
            setattr(self, name, gamma.to(getattr(self, name).device))
        return self
