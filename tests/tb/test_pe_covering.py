"""The array of elements covers every legal pair, and random elements equal golden in the RTL."""

from itertools import combinations, product
from secrets import randbelow

import numpy as np
import pytest

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.stimulus import commands as pe_stimulus
from vsq.tb.interface.base import length
from vsq.tb.interface.pace import Pace
from vsq.tb.interface.pe import PeInterface
from vsq.tb.playback.playback import check, opened
from vsq.tb.regression.covering import covering_elements, full_pe_regression, random_elements
from vsq.tb.scoreboard.pe import PeScoreboard

pytestmark = pytest.mark.slow

# Written from the requirement, not from the module under test.
FACTORS = {
    "config": ("4/4/4/6", "4/4U/4/4", "8/8/-/-", "2/7/-/9", "5/3U/6/-", "9/16/3/16", "3/1U/2/4"),
    "shape": ((1, 1), (1, 5), (2, 6), (3, 3), (4, 7), (8, 8), (16, 1), (1, 64)),
    "weight_depth": (1, 4, 32),
    "activation_depth": (1, 8, 32),
    "ppu": (False, True),
    "multiplier_bits": (1, 5, 12, 32),
    "reuse": (1, 2, 4, 8),
    "rounded": (False, True),
    "rounding": ("half_up", "half_even", "truncate"),
    "overflow": ("saturate", "wrap"),
    "limited": (False, True),
    "narrow": (False, True),
    "pipeline": (0, 1, 2, 3),
    "arithmetic": ("behavioural", "bitheap", "carrysave", "lut"),
}


def values(element: PeConfig) -> dict:
    mac = element.mac
    return {
        "config": str(mac),
        "shape": (mac.vector_size, element.lanes),
        "rounded": mac.scale_product_bits == 3,
        "limited": mac.accumulator_bits is not None,
        **{name: str(getattr(mac, name)) for name in ("rounding", "overflow", "arithmetic")},
        **{name: getattr(mac, name) for name in ("narrow", "pipeline")},
        **{
            name: getattr(element, name)
            for name in ("weight_depth", "activation_depth", "ppu", "multiplier_bits", "reuse")
        },
    }


def bits(text):
    return int(text.strip("U"))


def legal(one, x, two, y):
    pair = {one: x, two: y}
    size, lanes = pair.get("shape", (1, 1))
    if pair.get("ppu") and lanes % size:
        return False
    if pair.get("rounded") and pair.get("config") == "8/8/-/-":
        return False
    w, a, *_ = pair.get("config", "1U/1U").split("/")
    return size * lanes * bits(w) * bits(a) <= 1300


def test_every_legal_pair_of_values_occurs_together():
    wanted = {
        ((one, x), (two, y))
        for one, two in combinations(FACTORS, 2)
        for x, y in product(FACTORS[one], FACTORS[two])
        if legal(one, x, two, y)
    }
    elements = covering_elements()
    rows = [values(element) for element in elements]
    covered = {pair for row in rows for pair in combinations(((name, row[name]) for name in FACTORS), 2)}
    assert len(wanted) > 800
    assert covered == wanted
    assert len(set(elements)) == len(elements) < 70


def test_products_that_are_narrower_than_the_bias_are_covered():
    spare = [
        element.mac.acc_bits + element.multiplier_bits - element.bias_bits
        for element in covering_elements()
        if element.ppu
    ]
    assert min(spare) < -2
    assert max(spare) > 20


def test_elements_are_always_the_same_and_read_back():
    elements = full_pe_regression(5)
    assert elements == full_pe_regression(5)
    assert elements != full_pe_regression(6)
    assert [PeConfig.parse(element.full_name) for element in elements] == elements


@pytest.mark.parametrize("number", range(4))
def test_a_random_element_equals_golden(number, require_tool):
    require_tool("icarus")
    seed = randbelow(1 << 31)
    (element,) = random_elements(seed, 1)
    print(f"{element}, seed {seed}")  # shown on failure
    streams, results = pe_stimulus.commands(element, 60, seed)
    sent, board = PeInterface(element).streams(streams), PeScoreboard(element, "random element")
    board.on_beats(sent)
    pauses = {stream: np.zeros(length(columns), int) for stream, columns in sent.items()}
    pace = Pace(pauses=pauses, taking=np.random.default_rng(seed).random(20_000) < 0.5)
    with opened(element, "icarus") as playback:
        check(board, sent, playback.play(sent, pace))
    assert board.counts["illegal"] == sum(result.illegal for result in results)
