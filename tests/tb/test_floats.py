"""Every pair of codes of the 8-bit floats, and of block formats' integers, through the emitted Verilog."""

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.tb.formal.prove import every_input

pytestmark = pytest.mark.slow


PAIRS = ["e4m3/e4m3", "e4m3/e5m2", "e5m2/e5m2", "e5m2/4", "8/e4m3", "e2m1/e4m3", "8/8:narrow=1", "4/4:narrow=1"]


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair(pair, require_tool):
    require_tool("verilator")
    elements, _, options = pair.partition(":")
    config = MacConfig.parse(f"{elements}/-/-:V=1,{options}".rstrip(","))
    assert every_input(config) == f"{len(config.weight.values) * len(config.activation.values):,}"
