import json
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from vsq.tb.designs import ENVIRONMENTS
from vsq.tb.regression.job import Job, Outcome, Result
from vsq.tb.regression.reports import COLUMNS, cells, write_coverage, write_html, write_junit

POINTS = [point for kind in ENVIRONMENTS.values() for point in kind.points]
NAMES = {point.name for point in POINTS}
COVERED = {"cp_marks": {"single vector": 3, "abandoned": 0}, "cp_wrap": {"above": 1}}
COMMANDS = {"cp_pe_sizes": {"one row": 0, "one vector": 4}}
ELEMENT = "4/4U/4/6:V=2@lanes=8"
HALF = {"cp_marks": {"single vector": 0, "abandoned": 2}, "cp_wrap": {"above": 1}}


def job(simulator="icarus", **options):
    return Job(**{"config": "4/4U/4/6:V=8", "simulator": simulator, "seed": 7, **options})


def result(coverage, failure="", beats=1000):
    outcomes = [Outcome(name="random_traffic", seconds=1.5), Outcome(name="full_speed", seconds=0.5, failure=failure)]
    return Result(outcomes=outcomes, counts={"beats": beats}, coverage=coverage, seconds=12.34)


def test_the_row_of_a_job():
    row = dict(zip(COLUMNS, cells(job(), result(COVERED)), strict=True))
    assert row == {
        "configuration": "4/4U/4/6:V=8",
        "simulator": "icarus",
        "beats": "1000",
        "seconds": "12.3",
        "MAC/s": "4,000",  # 1000 beats of 8 lanes in 2 s
        "coverage": "1/2",
        "seed": "7",
        "result": "pass",
    }


def test_the_row_of_a_processing_element():
    counts = {"beats": 50, "operands": 200}
    row = dict(zip(COLUMNS, cells(job(config=ELEMENT), replace(result(COMMANDS), counts=counts)), strict=True))
    assert row["configuration"] == ELEMENT
    assert row["beats"] == "50"
    assert row["MAC/s"] == "1,600"  # 200 operands of 8 lanes of V = 2 in 2 s
    assert row["coverage"] == "0/1"


def test_what_is_unknown_is_not_invented():
    row = dict(zip(COLUMNS, cells(job(), Result()), strict=True))
    assert (row["MAC/s"], row["coverage"]) == ("-", "-")


def test_coverage_of_jobs_and_their_sum(tmp_path):
    write_coverage([(job(), result(COVERED)), (job("verilator"), result(HALF))], tmp_path / "coverage.json", tmp_path)
    document = json.loads((tmp_path / "coverage.json").read_text())
    assert document["goals"].keys() == NAMES
    assert all(document["goals"][point.name] == point.goal for point in POINTS)
    assert [entry["missing"] for entry in document["jobs"]] == [
        {"cp_marks": ["abandoned"]},
        {"cp_marks": ["single vector"]},
    ]
    assert [(entry["simulator"], entry["closed"], entry["total"]) for entry in document["jobs"]] == [
        ("icarus", 1, 2),
        ("verilator", 1, 2),
    ]
    assert document["jobs"][0]["hits"] == COVERED
    assert document["configurations"] == {"4/4U/4/6:V=8": {"closed": 2, "total": 2, "missing": {}}}
    assert [path.name for path in tmp_path.iterdir()] == ["coverage.json"]


class Page(HTMLParser):
    """Collects a page's text and what it loads, and checks that elements close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_and_shows_everything(tmp_path):
    failure = "result 3 <is> wrong & more"
    jobs = [(job(), result(COVERED, failure)), (job("verilator"), result(COVERED))]
    write_html(jobs, tmp_path / "report.html", tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert page.open == page.links == []
    assert "vsq regress: 1 of 2 passed" in page.words
    assert failure in page.words
    assert {"FAIL", "pass", "4,000", "1/2", "1/1"} <= set(page.words)
    assert "4/4U/4/6:V=8, cp_marks: abandoned" in page.words
    assert {point.name for point in ENVIRONMENTS["mac"].points} <= set(page.words)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_page_has_a_table_of_points_for_each_kind_of_design(tmp_path):
    write_html([(job(), result(COVERED)), (job(config=ELEMENT), result(COMMANDS))], tmp_path / "report.html", tmp_path)
    page = (tmp_path / "report.html").read_text()
    heads = [part.partition("</tr>")[0] for part in page.split("<th>point</th>")[1:]]
    assert [("[1]" in head, "[2]" in head) for head in heads] == [(True, False), (False, True)]
    words = Page(page).words
    assert set(words) >= NAMES
    assert f"{ELEMENT}, cp_pe_sizes: one row" in words


def test_a_page_without_coverage(tmp_path):
    write_html([(job(), Result())], tmp_path / "report.html", tmp_path)
    words = Page((tmp_path / "report.html").read_text()).words
    assert "FAIL" in words
    assert not any(word.startswith("Coverage") for word in words)


def test_junit_states_the_closure(tmp_path):
    write_junit([(job(), result(COVERED))], tmp_path / "junit.xml", tmp_path)
    [suite] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    properties = {entry.get("name"): entry.get("value") for entry in suite.find("properties")}
    assert properties.pop("icarus")
    assert properties == {
        "seed": "7",
        "beats": "1000",
        "points": "2",
        "points_closed": "1",
        "command": "vsq regress 4/4U/4/6:V=8 --sim icarus --beats 2000 --seed 7",
    }


def test_reports_link_what_a_failed_job_left(tmp_path):
    left = tmp_path / "run-1" / "failures" / job().name
    left.mkdir(parents=True)
    for name in ("dut.v", "simulation.log", "dump.fst"):
        (left / name).write_text("")
    jobs = [(job(), replace(result(COVERED, "wrong"), waves="dump.fst")), (job("verilator"), result(COVERED))]
    write_html(jobs, tmp_path / "report.html", tmp_path / "run-1" / "failures")
    write_junit(jobs, tmp_path / "run-1" / "junit.xml", tmp_path / "run-1" / "failures")
    page = Page((tmp_path / "report.html").read_text())
    assert [(tmp_path / link).relative_to(left).name for link in page.links] == ["dut.v", "simulation.log", "dump.fst"]
    assert "vsq regress 4/4U/4/6:V=8 --sim icarus --beats 2000 --seed 7" in page.words
    failed, sound = ElementTree.parse(tmp_path / "run-1" / "junit.xml").getroot()
    links = {entry.get("name"): entry.get("value") for entry in failed.find("properties")}
    assert links["waves"] == f"failures/{job().name}/dump.fst"
    assert not [entry for entry in sound.find("properties") if entry.get("name") == "Verilog"]
