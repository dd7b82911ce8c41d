"""Sums of two activations that all lanes share, and where they pay."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import IntFormat
from vsq.hw.arithmetic.styles import BitHeaps, style_of
from vsq.hw.mac.shapes import pattern, sums_layout

# With fewer bits they cost energy even if transitions within a cycle are left out (docs/decisions/pair-sums.md).
_LEAST_WEIGHT_BITS, _LEAST_ACTIVATION_BITS = 4, 6


class PairSums(wiring.Component):
    """``sums[j] = activations[2j] + activations[2j+1]``, exact; of an odd number of activations the last has none.

    Combinational, beside the lanes' first gates, and made once for all lanes.

    Members:
        activations: In(V codes)
        sums: Out(vsq.hw.mac.shapes.sums_layout(config))
    """

    def __init__(self, config: MacConfig):
        self.config = config
        activations = data.ArrayLayout(pattern(config.activation), config.vector_size)
        super().__init__({"activations": In(activations), "sums": Out(sums_layout(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = sums_layout(self.config).elem_shape
        for j, total in enumerate(self.sums):
            first, second = self.activations[2 * j], self.activations[2 * j + 1]
            m.d.comb += total.eq(style_of(self.config).add(m, first, second, shape, f"sum{j}"))
        return m


def shares_sums(config: PeConfig) -> bool:
    """Whether the lanes select from sums that they share, instead of each one multiplying."""
    mac = config.mac
    integers = isinstance(mac.weight, IntFormat) and isinstance(mac.activation, IntFormat)
    long = mac.weight.bits >= _LEAST_WEIGHT_BITS and mac.activation.bits >= _LEAST_ACTIVATION_BITS
    several = config.lanes > 1 and mac.vector_size > 1
    return integers and long and several and not mac.dual_precision and isinstance(style_of(mac), BitHeaps)
