import re
from pathlib import Path

from vsq.tb.designs import CLOSING_BEATS, ENVIRONMENTS, RANDOM_TESTS
from vsq.tb.regression.job import PLAYBACK_TESTS

PLAN = (Path(__file__).parents[2] / "docs" / "testplan.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PLAN.splitlines() if line.startswith("| ")]


def test_every_point_has_a_row_and_every_row_its_point():
    named = [cells[2].strip("`") for cells in ROWS if len(cells) == 3 and cells[2].startswith("`")]
    assert sorted(named) == sorted(point.name for point in ENVIRONMENTS["mac"].points)
    assert set(re.findall(r"\bcp_\w+", PLAN)) == set(named)


def test_the_tests_are_those_of_the_bench():
    tests = {*RANDOM_TESTS, *PLAYBACK_TESTS}
    assert {cells[0].strip("`") for cells in ROWS if len(cells) == 2 and cells[0].startswith("`")} == tests
    assert {cells[1].strip("`") for cells in ROWS if len(cells) == 3 and cells[1].startswith("`")} <= tests


def test_the_beats_that_close_a_preset():
    assert f"with {CLOSING_BEATS} beats or more" in PLAN
