"""The page of findings has the figures that its command prints."""

from pathlib import Path

import pytest

pytest.importorskip("bracex")
pytest.importorskip("altair")
pytest.importorskip("scipy")

from benchmarks import findings
from benchmarks.findings_table import TABLE, Point, front, read

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"


def test_tables_are_those_that_the_command_prints(capsys):
    findings.tables(read(TABLE))
    printed = capsys.readouterr().out.splitlines()
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert len(rows) > 60
    assert [line for line in rows if line not in printed] == []


def test_scores_within_their_noise_are_ties():
    points = [
        Point(name, score, area, third=False, estimated=False)
        for name, score, area in (("a", 0.9, 1.0), ("b", 0.9004, 1.1), ("c", 0.91, 1.2), ("d", 0.905, 1.3))
    ]
    assert [one.config for one in front(points)] == ["a", "c"]
