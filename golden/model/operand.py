"""Block-scaled operands in integers, as the datapath multiplies them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np


class BlockOperand(NamedTuple):
    """Codes [..., V] and their scales [...]; the scales are None on a side whose vectors have none."""

    codes: Any
    scales: Any

    def map(self, change: Callable[[Any], Any]) -> "BlockOperand":
        """Return the operand whose arrays are what ``change`` makes of both; it acts on the leading axes."""
        return BlockOperand(change(self.codes), None if self.scales is None else change(self.scales))


def concatenate(parts: Iterable[BlockOperand]) -> BlockOperand:
    """Return operands of one configuration one after another."""
    codes, scales = zip(*parts, strict=True)
    return BlockOperand(np.concatenate(codes), None if scales[0] is None else np.concatenate(scales))
