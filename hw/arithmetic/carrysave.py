"""Carry-save trees: a bit heap whose last adder is one of words."""

from bisect import bisect_right

from vsq.hw.arithmetic.bitheap import BitHeap, word_delay
from vsq.hw.arithmetic.compressor import Bit, Plan, compress


class CarrySaveHeap(BitHeap):
    """A bit heap that ends in ``x + y``, which synthesis makes as fast as it is asked to.

    Full adders reduce the columns to two bits each. The lowest ones settle early and go on down to one bit, as far as
    the words are no later for it: that takes less area.

    Source: V. G. Oklobdzija, D. Villeger, IEEE Trans. VLSI Systems 3(2), 1995 (final adders by arrival).
    """

    def plan(self, columns: list[list[Bit]]) -> Plan:
        """Return the adders of the earlier result, with words as short as this allows, or without."""

        def words(split: int) -> Plan:
            return compress(columns, self.constant, split)

        split = bisect_right(range(self.width), words(0).depth, key=lambda split: words(split).depth) - 1
        plans = (compress(columns, self.constant), words(split))
        return min(plans, key=lambda plan: plan.depth + word_delay(plan.word_bits))
