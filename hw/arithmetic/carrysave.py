"""Carry-save trees: a bit heap whose last adder is one of words."""

from vsq.hw.arithmetic.bitheap import BitHeap, word_delay
from vsq.hw.arithmetic.compressor import Bit, Plan, compress


class CarrySaveHeap(BitHeap):
    """A bit heap that ends in ``x + y``, which synthesis makes as fast as it is asked to.

    Full adders reduce the columns to two bits each. The lowest ones settle early and go on down to one bit, as far as
    the sum is no later for it: that takes less area.

    Source: V. G. Oklobdzija, D. Villeger, IEEE Trans. VLSI Systems 3(2), 1995 (final adders by arrival).
    """

    def plan(self, columns: list[list[Bit]]) -> Plan:
        """Return the adders of the earliest result; of equals, those with the shortest words."""
        plans = (compress(columns, self.constant, split) for split in range(self.width, -1, -1))
        return min(plans, key=lambda plan: plan.depth + word_delay(len(plan.second)))
