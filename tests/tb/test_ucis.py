"""Coverage as UCIS: the example's converter writes what the standard's schema allows, and nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples/ci/coverage_to_ucis.py"
HITS = {
    "4/4/4/6:V=2": {"cp_a": {"x < 0": 3, "y & z": 0}, "cp_b": {"one": 1}},
    "4/4U/4/6:V=2": {"cp_a": {"x < 0": 7}},
}


def test_every_hit_is_in_the_file(tmp_path):
    pytest.importorskip("ucis")
    from ucis.report.coverage_report_builder import CoverageReportBuilder
    from ucis.xml import validate_ucis_xml
    from ucis.xml.xml_factory import XmlFactory

    jobs = [
        {"config": config, "simulator": "icarus", "seed": 1, "closed": 0, "total": len(hits), "hits": hits}
        for config, hits in HITS.items()
    ]
    source, target = tmp_path / "coverage.json", tmp_path / "coverage.xml"
    source.write_text(json.dumps({"goals": {"cp_a": "a", "cp_b": "b"}, "jobs": jobs}))
    subprocess.run([sys.executable, "-P", str(SCRIPT), str(source), str(target)], cwd=tmp_path, check=True)
    assert validate_ucis_xml(str(target))
    groups = CoverageReportBuilder.build(XmlFactory.read(str(target))).covergroups
    found = [
        {point.name: {one.name: one.count for one in point.bins} for point in part.coverpoints}
        for group in groups
        for part in group.covergroups
    ]
    assert found == list(HITS.values())
    assert all(f'name="{config} icarus"' in target.read_text() for config in HITS)


def test_a_missing_library_is_told_in_a_line(tmp_path):
    command = [sys.executable, "-S", SCRIPT, "coverage.json", "coverage.xml"]  # without installed packages
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["coverage_to_ucis.py: error: ucis is not installed; pip install pyucis"]


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"jobs": 1}', '{"jobs": [{}]}'])
def test_what_cannot_be_converted_is_told_in_a_line(text, tmp_path):
    pytest.importorskip("ucis")
    source, target = tmp_path / "coverage.json", tmp_path / "coverage.xml"
    if text:
        source.write_text(text)
    for arguments in ([], [str(source), str(target)]):
        done = subprocess.run([sys.executable, "-P", SCRIPT, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("coverage_to_ucis.py: error: ")
    assert not target.exists()
