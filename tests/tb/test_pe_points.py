"""Each coverage bin of the processing element is hit by what it is about, and by nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command, CommandResult
from vsq.tb.coverage.pe import POINTS, PeTraffic
from vsq.tb.coverage.points import hits
from vsq.tb.interface.pace import READY, VALID

NAMES = {point.name for point in POINTS}
CONFIG = PeConfig.parse("4/4/4/6:V=2@lanes=2,weight_depth=4,activation_depth=8")
RAW = CommandResult(acc=np.zeros((1, 2)), overflow=np.zeros((1, 2), bool))


def command(**changes):
    return Command(**{"rows": 2, "vectors": 2, **changes})


def vectors(codes=(3, 3), scale=5):
    return CommandResult(codes=np.array([[codes]]), scales=np.array([[scale]]))


def hit(answered=(), logs=None, pending=None, config=CONFIG):
    """Return the bins that are hit."""
    traffic = PeTraffic(config=config, answered=answered, logs=logs or {}, pending=pending)
    return {
        f"{point}: {name}" for point, bins in hits(POINTS, traffic).items() for name, count in bins.items() if count
    }


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ([(command(), RAW)], {"cp_pe_loads: weights+activations"}),
        ([(command(load_weights=False, load_activations=False), RAW)], {"cp_pe_loads: none"}),
        ([(command(load_params=True), RAW)], {"cp_pe_loads: weights+activations+params"}),
        ([(command(rows=0), CommandResult())], {"cp_pe_illegal: no rows"}),
        ([(command(vectors=0), CommandResult())], {"cp_pe_illegal: no vectors"}),
        ([(command(rows=1, vectors=7), CommandResult())], {"cp_pe_illegal: more vectors than weights"}),
        ([(command(rows=5), CommandResult())], {"cp_pe_illegal: more rows and vectors than activations"}),
    ],
)
def test_one_command(answered, expected):
    assert hit(answered) == expected


def test_sizes():
    found = hit([(command(rows=1, vectors=1), RAW), (command(rows=2, vectors=4), RAW)])
    assert {name for name in found if "sizes" in name} == {
        f"cp_pe_sizes: {name}" for name in ("one row", "one vector", "all weights", "all activations")
    }


def test_the_order_of_answers():
    answered = [(command(rows=0), CommandResult()), (command(requantize=True), vectors()), (command(), RAW)]
    answered.append((command(requantize=True, relu=True), vectors()))
    found = {name.partition(": ")[2] for name in hit(answered) if "outputs" in name}
    assert found == {"requantized after illegal", "raw after requantized", "relu after raw"}


def test_outputs_at_their_limits():
    for result, expected in (
        (vectors((-7, 0), 0), {"cp_pe_codes: least", "cp_pe_codes: 0", "cp_pe_scales: 0"}),
        (vectors((7, 1), 63), {"cp_pe_codes: largest", "cp_pe_scales: largest"}),
        (vectors((1, 2), 1), {"cp_pe_scales: 1"}),
    ):
        assert {name for name in hit([(command(requantize=True), result)]) if "loads" not in name} == expected


def test_outputs_that_are_floats():
    config = PeConfig.parse("nvfp4:V=2@lanes=2,weight_depth=4,activation_depth=8")
    for result, expected in (
        (vectors((12, -6), 229376), {"codes: 12", "codes: -6", "scales: 229376", "scales: e = 15"}),
        (vectors((0, -1), 1), {"codes: 0", "codes: -1", "scales: 1"}),
        (vectors((8, 3), 7), {"codes: 8", "codes: 3", "scales: subnormal"}),
        (vectors((4, 4), 8), {"codes: 4", "scales: e = 1"}),
    ):
        found = {name.removeprefix("cp_pe_") for name in hit([(command(requantize=True), result)], config=config)}
        assert {name for name in found if "loads" not in name} == expected


def test_codes_that_are_alone_in_their_vector():
    config = PeConfig.parse("nvfp4:V=1@lanes=1,weight_depth=4,activation_depth=8")
    assert hits(POINTS, PeTraffic(config=config, answered=[], logs={}))["cp_pe_codes"].keys() == {
        "least",
        "0",
        "largest",
    }


def test_handshakes():
    log = bytes([VALID, VALID | READY, VALID | READY, READY])
    assert hit(logs={"weights": log}) == {
        f"cp_pe_handshakes: weights {name}" for name in ("waits", "in successive cycles", "starves")
    }
    assert hit(logs={"result": bytes([VALID | READY, 0, VALID | READY])}) == {"cp_pe_handshakes: result starves"}


SHARED = PeConfig.parse("4/4/4/6:V=2,acc=9@lanes=2,weight_depth=4,activation_depth=16,reuse=2")


def raw(*flags):
    """Accumulators of rows of two lanes, of which the second one saturates or not."""
    return CommandResult(acc=np.zeros((len(flags), 2)), overflow=np.array([(False, flag) for flag in flags]))


def slots(answered, logs=None):
    return {
        name.partition("_pe_")[2] for name in hit(answered, logs, config=SHARED) if re.search("rests|flows|slots", name)
    }


def test_rows_that_share_weights():
    few = (command(rows=1, vectors=4), raw(False))
    assert slots([few]) == {"rests: 1 rows over"}
    assert slots([(command(rows=4, vectors=1), raw(*4 * [False]))]) == {
        "rests: 0 rows over",
        "rests: slots again, one vector",
    }
    assert slots([(command(rows=3, vectors=2), raw(*3 * [False]))]) == {
        "rests: 1 rows over",
        "rests: slots again, vectors",
    }


def test_the_slot_that_saturates_is_the_row_since_reset():
    first, second = (command(rows=1), raw(False)), (command(rows=2), raw(False, True))
    assert {"overflows: slot 0"} == {name for name in slots([first, second]) if "overflows" in name}
    assert {"overflows: slot 1"} == {name for name in slots([second]) if "overflows" in name}


def test_the_slot_of_a_result_that_waits():
    illegal, rows = (command(rows=0), CommandResult()), (command(rows=2), raw(False, False))
    taken = VALID | READY
    for log, slot in (([VALID, taken], None), ([taken, VALID, taken], 0), ([taken] * 3 + [VALID], 1)):
        expected = set() if slot is None else {f"slots: slot {slot}"}
        assert {name for name in slots([illegal, rows], {"result": bytes(log)}) if "slots: slot " in name} == expected


def test_resets():
    assert hit(pending=2) == {"cp_pe_resets: 2 in flight"}
    assert hit(pending=0) == set()


def test_points_that_do_not_apply_are_absent():
    bare = PeConfig.parse("4/4/4/6:V=2@lanes=2,weight_depth=1,activation_depth=1,ppu=off")
    found = hits(POINTS, PeTraffic(config=bare, answered=[], logs={}))
    shared = {"cp_pe_rests", "cp_pe_overflows", "cp_pe_slots"}
    assert found.keys() == NAMES - {"cp_pe_scales", "cp_pe_codes", "cp_pe_handshakes"} - shared
    assert found["cp_pe_loads"].keys() == {"none", "weights", "activations", "weights+activations"}
    assert found["cp_pe_illegal"].keys() == {"no rows", "no vectors"}


def test_the_plan_names_every_point():
    plan = (Path(__file__).parents[2] / "docs" / "testplan-pe.md").read_text()
    assert set(re.findall(r"`(cp_\w+)`", plan)) == NAMES
