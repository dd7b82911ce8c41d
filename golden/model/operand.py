"""Block-scaled operands in integers, as the datapath multiplies them."""

from collections.abc import Callable
from typing import Any, NamedTuple


class BlockOperand(NamedTuple):
    """Codes [..., V] and their scales [...]; the scales are None on a side whose vectors have none."""

    codes: Any
    scales: Any

    def map(self, change: Callable[[Any], Any]) -> "BlockOperand":
        """Return the operand whose arrays are what ``change`` makes of both; it acts on the leading axes."""
        return BlockOperand(change(self.codes), None if self.scales is None else change(self.scales))
