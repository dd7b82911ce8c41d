"""A value that is kept as long as the tensors from which it was computed are the same."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from vsq.golden.quantizer.pytorch import in_graph

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """A value, computed anew after one of its tensors was replaced or changed in place. Copies and files have none."""

    def __init__(self) -> None:
        self._seen: list[tuple[torch.Tensor | None, int]] = []
        self._value: Value | None = None

    def get(self, tensors: Sequence[torch.Tensor | None], compute: Callable[[], Value]) -> Value:
        """Return ``compute()``, which must depend on the tensors alone; a compiled or traced graph computes it."""
        if in_graph():
            return compute()
        seen = [(tensor, _version(tensor)) for tensor in tensors]
        same = len(seen) == len(self._seen) and all(
            one is other and changes == before for (one, changes), (other, before) in zip(seen, self._seen, strict=True)
        )
        if self._value is None or not same:
            with torch.inference_mode(False), torch.no_grad():  # later calls may have gradients
                self._value = compute()
            self._seen = seen
        return self._value

    def __reduce__(self) -> tuple[type["Cache[Value]"], tuple[()]]:
        return Cache, ()


def _version(tensor: torch.Tensor | None) -> int:
    """Return how often the tensor was changed in place, which inference tensors do not count."""
    return 0 if tensor is None or tensor.is_inference() else tensor._version
