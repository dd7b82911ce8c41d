"""Exact sums rounded once to float32 equal Blackwell's tensor cores, as oracles/compare_mmasim.py froze them."""

import json
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import BlockOperand, matmul
from vsq.golden.model.readout import FloatRounding, exact_sums, least_offsets, to_float32

FROZEN = json.loads((Path(__file__).parent / "oracles" / "mmasim.json").read_text())["cases"]


@pytest.mark.parametrize("name", FROZEN)
def test_one_rounding_is_what_tensor_cores_give(name):
    config = MacConfig.parse(name)
    unit = sum(fmt.fraction_bits for fmt in (config.weight, config.activation, *config.scales))
    seen, held = set(), 0
    for codes, scales, other, others, beyond, bits in FROZEN[name]:
        weights, activations = (BlockOperand(*map(np.array, ([c], [s]))) for c, s in ((codes, scales), (other, others)))
        sums, exponent = exact_sums(config, weights, activations)
        [[ours]] = to_float32(sums, exponent - unit, FloatRounding.RZ)
        assert (int(ours.view(np.int32)) == bits) != beyond  # beyond a tensor core's bits they differ
        seen.add(beyond)
        offset = least_offsets(config, weights, activations) if config.window else None
        result = matmul(config, weights, activations, offset)
        if not result.inexact.any():  # then the hardware's accumulator is the sum
            assert int(result.acc[0, 0]) << (0 if offset is None else int(offset[0, 0])) == sums[0, 0]
            held += 1
    assert False in seen
    assert held
