import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import Beats
from vsq.tb.coverage.points import hits
from vsq.tb.coverage.traffic import HANDSHAKES, Traffic
from vsq.tb.interface.pace import READY, VALID

GO, WAIT, IDLE = VALID | READY, VALID, READY  # at the input; at the output GO, WAIT and 0


def shakes(depth, lasts, *cycles, reset=False):
    """Hits of the handshake points for cycles given as (input, output)."""
    config = MacConfig.parse("4/4/-/-:V=1", pipeline=depth)
    stream = Beats(*np.ones((2, len(lasts), 1), np.int64), None, None, *np.array([lasts, lasts], np.bool_))
    trace = mac(config, **vars(stream), trace=True).trace
    inputs, outputs = (bytes(side) for side in zip(*cycles, strict=True)) if cycles else (b"", b"")
    seen = Traffic(config, [(stream, trace)], inputs=inputs, outputs=outputs, reset=reset)
    return {point: {name for name, count in bins.items() if count} for point, bins in hits(HANDSHAKES, seen).items()}


def test_a_single_result_that_waits():
    found = shakes(1, [1], (GO, 0), (IDLE, 0), (IDLE, WAIT), (IDLE, GO), (IDLE, 0))
    assert found["cp_starvation"] == {"0 filled", "1 filled"}
    assert found["cp_output_stalls"] == {"1 filled"}
    assert found["cp_stage_stalls"] == {"stage 1"}
    assert found["cp_transfers"] == {"after a wait"}
    assert found["cp_input_stalls"] == found["cp_bubbles"] == found["cp_resets"] == set()


def test_a_full_pipeline():
    cycles = [(GO, 0), (IDLE, 0), (GO, WAIT), (WAIT, WAIT), (GO, GO), (WAIT, WAIT), (0, WAIT)]
    found = shakes(1, [1, 1, 1], *cycles)
    assert found["cp_input_stalls"] == {"2 filled"}
    assert found["cp_output_stalls"] == {"1 filled", "2 filled"}
    assert found["cp_stage_stalls"] == {"stage 0", "stage 1"}
    assert found["cp_bubbles"] == {"stage 0"}
    assert found["cp_transfers"] == {"after a wait", "through the full pipeline"}
    assert found["cp_starvation"] == {"1 filled", "2 filled"}


def test_vectors_without_a_result_end_in_the_accumulator():
    found = shakes(0, [0, 1, 1], (GO, 0), (GO, 0), (GO, GO), (IDLE, GO), (IDLE, 0))
    assert found["cp_transfers"] == {"at once", "in successive cycles", "through the full pipeline"}
    assert found["cp_starvation"] == {"0 filled", "1 filled"}


def test_resets_in_flight():
    for count in range(3):
        assert shakes(1, [1] * count, *[(GO, 0)] * count, reset=True)["cp_resets"] == {f"{count} filled"}
    assert shakes(1, [0, 0], (GO, 0), (GO, 0), reset=True)["cp_resets"] == {"1 filled"}


@pytest.mark.parametrize(
    ("cycle", "message"),
    [
        ((WAIT, 0), "cycle 1: in_ready 0, out_valid 0 where a pipeline of 1 stages before the result has 1, 0"),
        ((GO, GO), "cycle 1: in_ready 1, out_valid 1 where a pipeline of 1 stages before the result has 1, 0"),
    ],
)
def test_an_undue_stall_or_result_is_reported(cycle, message):
    with pytest.raises(AssertionError, match=message):
        shakes(1, [1, 1], (GO, 0), cycle)
