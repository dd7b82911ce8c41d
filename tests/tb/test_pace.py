"""The pace that rows which share reads of weights can keep, by a model of cycles, and the cycles of a lone command."""

from itertools import product

import numpy as np
import pytest

from vsq.golden.contract.pe_config import PeConfig
from vsq.tb.interface.pace import first_results, reads


def pace(reuse, lanes, rows, vectors, commands=10):
    """Return the cycles of a command in steady state: slots are taken in turn, and hold results until collected."""
    config = PeConfig.parse(f"2/2/-/-:V=1@lanes={lanes},weight_depth=64,activation_depth=4096,reuse={reuse}")
    order = list(reads(config, rows, vectors))
    cycle, collected, ends = 0, [], []
    for number in range(commands):
        for row, first, last in order:
            owner = number * rows + row - reuse  # of the slot before
            cycle = max(cycle, collected[owner] if first and owner >= 0 else 0) + 1
            if last:
                collected.append(max(cycle, collected[-1] + lanes if collected else 0))
        ends.append(collected[-1])
    return (ends[-1] - ends[commands // 2]) / (commands - 1 - commands // 2)


@pytest.mark.parametrize("reuse", [2, 4, 8])
def test_the_lanes_do_not_wait(reuse):
    for lanes, rows in product((1, 2, 3, 5, 8, 11, 16), (1, 4, 7, 14, 16, 19)):
        enough = range(lanes, lanes + reuse)
        for vectors in {*range(1, lanes), *(count for count in enough if count % reuse == 0), lanes + reuse}:
            assert pace(reuse, lanes, rows, vectors) == rows * max(vectors, lanes), (lanes, rows, vectors)


def test_vectors_that_rows_do_not_divide_evenly_wait_a_little():
    rng = np.random.default_rng(0)
    for _ in range(60):
        reuse, lanes, rows = int(rng.choice([2, 4, 8])), int(rng.integers(2, 20)), int(rng.integers(1, 40))
        vectors = lanes + int(rng.integers(reuse))
        slower = pace(reuse, lanes, rows, vectors) / (rows * vectors)
        assert 1 <= slower < 1.08, (reuse, lanes, rows, vectors)


def test_rows_of_a_command_read_in_rounds():
    config = PeConfig.parse("2/2/-/-:V=1@lanes=1,reuse=2")
    assert [row for row, *_ in reads(config, 3, 4)] == [0, 0, 0, 1, 0, 1, 2, 1, 2, 1, 2, 2]
    assert first_results(config, 1, 4, latency=2) == [9]  # G + latency + 3
