"""The report: rows, explanations, resumption, and a page that stands alone."""

import json
import re
import shutil
import subprocess
from contextlib import nullcontext
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.io import charts
from vsq.golden.workloads.metrics import Score
from vsq.synth.measure.area import with_baselines
from vsq.synth.measure.records import Record
from vsq.synth.report import designs
from vsq.synth.report.designs import Settings, measure
from vsq.synth.report.page import Report
from vsq.synth.report.plots import area_chart, energies, energy_chart, pareto
from vsq.synth.report.rows import POINTS, Accuracy, essential, rows_of

CONFIGS = [PeConfig.parse(text) for text in ("4/4/4/4", "4/4/4/4:R=4", "4/8/6/10:R=8,acc=24", "6/8/-/-")]
SETTINGS = Settings(liberty=None, data="digits", timing=False)


def made_up(config):
    """Records of a design that nobody measured: figures that differ between designs."""
    weight, activation = config.mac.weight.bits, config.mac.activation.bits
    width = config.mac.scale_product_bits or config.mac.full_product_bits
    areas = {"dot": 100.0 * weight * activation, "accumulator": 300.0, "control": 50.0}
    energies = {"dot": 0.1 * weight * activation, "memories": 0.2 * (weight + activation), "clock": 0.05}
    if width:
        areas["scale"], energies["scale"] = 40.0 * width, 0.03 * width
    values = [(component, "area", value, "NAND2") for component, value in areas.items()]
    values += [(component, "energy", value, "pJ") for component, value in energies.items()]
    values += [
        ("total", "area", sum(areas.values()), "NAND2"),
        ("total", "memory bits", 100.0 * (weight + activation), "bit"),
        ("total", "critical path", 5.0 + width / 8, "ns"),
        ("lanes", "critical path", 4.0 + width / 8, "ns"),
    ]
    return [
        Record(configuration=config.full_name, component=component, quantity=quantity, value=value, unit=unit)
        for component, quantity, value, unit in values
    ]


@pytest.fixture
def report():
    found = {config: made_up(config) for config in with_baselines(CONFIGS)}
    scores = {"4/4/4/4 ptq": 0.91, "4/4/4/4:R=4 ptq": 0.88, "4/8/6/10:R=8 ptq": 0.955, "8/8/-/- ptq": 0.99}
    scores |= {"4/4/4/4 ptq input_gamma=row": 0.9, "4/4/4/4 ptq seed=1": 0.97, "4/4/4/4 qat": 0.98}
    scores = {name: {"cosine": Score(value, 0.004), "neighbours": Score(value - 0.2)} for name, value in scores.items()}
    accuracy = Accuracy(task="minilm", metric="cosine", scores=scores)
    return Report(rows=rows_of(found, bit_area=0.5), accuracies=[accuracy], notes=["A <note> & more."])


def test_baselines_come_first_and_once(report):
    assert [row.name for row in report.rows] == ["8/8/-/-@", *(config.full_name for config in CONFIGS)]
    assert report.rows[0].values["area ratio"] == report.rows[0].values["energy ratio"] == 1


def test_ratios_are_those_of_the_records(report):
    values = report.rows[1].values  # 4/4/4/4
    assert values["logic area ratio"] == pytest.approx((1600 + 300 + 50 + 320) / (6400 + 300 + 50))
    assert values["area ratio"] == pytest.approx((2270 + 400) / (6750 + 800))
    assert values["equal bytes area ratio"] == pytest.approx((2270 + 800) / (6750 + 800))
    assert values["lanes area ratio"] == pytest.approx((1600 + 300 + 320) / 6700)
    assert values["energy ratio"] == pytest.approx((1.6 + 1.6 + 0.05 + 0.24) / (6.4 + 3.2 + 0.05))
    assert values["logic energy ratio"] == pytest.approx((1.6 + 0.05 + 0.24) / (6.4 + 0.05))
    assert values["critical path ns"] == 6
    assert (values["paper area ratio"], values["paper energy ratio"]) == (0.621, 0.642)


def test_the_paper_is_found_by_formats_and_scale_product(report):
    rows = {row.name: row for row in report.rows}
    assert rows["4/4/4/4:R=4@"].paper.energy == 0.365
    assert rows["4/4/4/4:R=4@"].paper.area is None
    assert rows["4/8/6/10:R=8,acc=24@"].paper.energy is None
    assert all(essential(PeConfig.parse(name).mac).full_name == name for name in POINTS)


def test_each_figure_of_the_paper_has_a_sentence(report):
    for row in report.rows:
        figures = [figure for figure in (row.paper.area, row.paper.energy) if figure is not None]
        assert len(row.explanations) == len(figures)
        for text, figure in zip(row.explanations, figures, strict=True):
            assert f"the paper's {figure:.3f}" in text
            assert text.endswith(".")
    area, energy = report.rows[1].explanations
    assert area.startswith("Area 0.354 is 0.267 below the paper's 0.621: dot products have 0.25 of")
    assert "the scale path is 12.0% of the element, and buffers have 0.50 of the bits" in area
    assert energy.startswith("Energy 0.362 is 0.280 below the paper's 0.642: dot products use 0.25 of")
    assert energy.endswith("and memories use 0.50; without memories the ratio is 0.293.")


def test_energy_is_drawn_by_the_width_of_the_scale_product(report):
    points = [(e["formats"], e["kind"], e["R"], round(e["energy"], 3)) for e in energies(report.rows)]
    values = report.rows[1].values, report.rows[2].values
    assert points == [
        ("4/4/4/4", "with memories", 4, round(values[1]["energy ratio"], 3)),
        ("4/4/4/4", "with memories", 8, round(values[0]["energy ratio"], 3)),
        ("4/4/4/4", "without memories", 4, round(values[1]["logic energy ratio"], 3)),
        ("4/4/4/4", "without memories", 8, 0.293),
        ("4/4/4/4", "paper", 4, 0.365),
        ("4/4/4/4", "paper", 8, 0.642),
    ]


class Page(HTMLParser):
    """Checks that tags match, and keeps texts and everything that could refer outside."""

    def __init__(self):
        super().__init__()
        self.stack, self.text, self.references = [], [], []

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag != "meta":
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag != "meta":
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_well_formed_and_stands_alone(report):
    html = report.html("Made <now>.")
    page = Page()
    page.feed(html)
    page.close()
    assert page.stack == []
    assert page.references == []
    assert "A <note> & more." in "".join(page.text)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    markup = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|https?://|<link|<script", markup)
    assert "default-src 'none'" in markup
    assert len(scripts) == 3  # the library once, and two charts
    assert len(html) < 1_100_000
    assert not re.search(r"jsdelivr|unpkg|cdnjs", html)


def test_every_figure_of_the_document_is_on_the_page(report):
    text = Page()
    text.feed(report.html(""))
    words = " ".join(text.text)
    document = json.loads(json.dumps(report.document()))
    count = 0
    for element in document["elements"]:
        assert element["configuration"] in words
        scores = [value for one in element["accuracy"].values() for score in one.values() for value in score.values()]
        for value in [*element.values(), *scores]:
            if isinstance(value, float):
                assert f"{value:.3f}" in words, (element["configuration"], value)
                count += 1
        assert all(sentence in words for sentence in element["explanations"])
    assert count > 30
    assert all(note in words for note in document["notes"])


def test_figures_that_nobody_has_are_left_out(report):
    found = {
        config: [record for record in made_up(config) if record.quantity in ("area", "memory bits")]
        for config in with_baselines(CONFIGS)
    }
    bare = Report(rows=rows_of(found, bit_area=0), accuracies=[], notes=[])
    assert list(bare.columns) == [
        "lanes area ratio",
        "logic area ratio",
        "equal bytes area ratio",
        "area ratio",
        "paper area ratio",
    ]
    assert "vegaEmbed" not in bare.html("")
    assert "energy ratio" not in bare.document()["elements"][0]
    assert not any(text.startswith("Energy") for row in bare.rows for text in row.explanations)


def test_the_pareto_front_is_not_beaten():
    points = [(0.5, 0.9), (0.6, 0.9), (0.7, 0.95), (0.4, 0.8), (0.7, 0.94)]
    assert pareto(points) == [(0.4, 0.8), (0.5, 0.9), (0.7, 0.95)]


def drawn(picture):
    """Return what each point of a rendered chart tells: configuration, position, and for energies their kind."""
    found = []
    for element in ElementTree.fromstring(picture).iter():
        label = element.get("aria-label", "")
        if "configuration: " in label and ": " in label:
            told = dict(part.rsplit(": ", 1) for part in label.split("; "))
            x, y, *_ = told.values()
            found.append((told["configuration"], float(x), round(float(y), 4), told.get("energy")))
    return sorted(found, key=str)


def test_charts_draw_every_figure(report, tmp_path):
    """Rendered, since a chart that Vega refuses is saved as a page without a word."""
    path = tmp_path / "area.svg"
    charts.save(area_chart(report.rows, report.accuracies[0]), path)
    scores = {"4/4/4/4@": 0.91, "4/4/4/4:R=4@": 0.88, "4/8/6/10:R=8,acc=24@": 0.955, "8/8/-/-@": 0.99}
    areas = {row.name: row.values["area ratio"] for row in report.rows}
    expected = [(name, pytest.approx(areas[name]), score, None) for name, score in scores.items()]
    assert drawn(path.read_text()) == sorted(expected, key=lambda entry: str(entry[0]))
    charts.save(energy_chart(report.rows), path)
    assert drawn(path.read_text()) == sorted(
        ((e["configuration"], e["R"], round(e["energy"], 4), e["kind"]) for e in energies(report.rows)), key=str
    )


@pytest.mark.parametrize("suffix", [".html", ".png"])
def test_charts_are_written_in_other_formats(report, suffix, tmp_path):
    path = tmp_path / f"energy{suffix}"
    charts.save(energy_chart(report.rows), path)
    content = path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".png":
        assert content.startswith(b"\x89PNG")
        assert len(content) > 20_000
    else:
        assert b"default-src 'none'" in content
        assert b'"configuration": "4/4/4/4:R=4@"' in content
        assert len(content) < 1_000_000


def test_a_page_without_altair_says_so_and_keeps_the_figures(report, monkeypatch):
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    page = Page()
    page.feed(report.html(""))
    words = " ".join(page.text)
    assert f"Plots are left out: run {charts.INSTALL} for them." in words
    assert "0.955" in words
    assert "vegaEmbed" not in words


def test_a_second_run_takes_up_what_is_there(tmp_path, monkeypatch):
    config = PeConfig.parse("2/2/1/1:V=1@lanes=1,weight_depth=1,activation_depth=1")
    first = measure([config], SETTINGS, tmp_path)
    assert {record.quantity for record in first[config]} == {"area", "memory bits"}
    monkeypatch.setattr(designs, "pool", lambda workers: nullcontext(NoPool()))
    assert measure([config], SETTINGS, tmp_path) == first
    file = tmp_path / "figures.json"
    file.write_text(file.read_text().replace('"data": "digits"', '"data": "minilm"'))
    with pytest.raises(AssertionError, match="measured anew"):
        measure([config], SETTINGS, tmp_path)


class NoPool:
    """A pool that must not be asked for work."""

    def submit(self, *arguments):
        raise AssertionError("measured anew")


def test_what_is_left_out_is_said():
    def omissions(settings):
        return [note for note in settings.notes(Decimal(1)) if "left out" in note]

    assert omissions(SETTINGS) == [
        "Critical paths and energy are left out: no library with timing and power was given (--liberty)."
    ]
    assert omissions(Settings(liberty="nand2", data="digits", timing=True)) == []
    assert "OpenSTA" in omissions(Settings(liberty="nand2", data="digits", timing=False))[0]


@pytest.mark.parametrize("content", [None, "{}", "[1]", '{"scores": {"a": "b"}}', '{"scores": {"a": {"cosine": 1}}}'])
def test_a_file_without_scores_is_refused(content, tmp_path):
    path = tmp_path / "scores.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"scores\.json: no file of scores"):
        Accuracy.load(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["4/4/4/6@lanes=99"], "lanes = 99"),
        (["--bit-area", "-1"], "bit area '-1'"),
        (["--liberty", "missing.lib"], "missing.lib"),
        (["--accuracy", "missing.json"], "missing.json: no file of scores"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path):
    assert vsq.main(["report", *arguments, "--out", str(tmp_path / "report")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_the_command_writes_both_files(tmp_path, capsys):
    text = "2/2/1/1:V=1@lanes=1,weight_depth=1,activation_depth=1"
    assert vsq.main(["report", text, "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "report.json").read_text())
    assert [element["configuration"] for element in document["elements"]][1] == PeConfig.parse(text).full_name
    assert document["versions"].keys() == {"vsq", "amaranth", "pyosys"}
    assert "left out" in capsys.readouterr().out
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_chromium_renders_the_page(report, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium: not found on PATH")
    page = tmp_path / "report.html"
    page.write_text(report.html("Made now."))
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Where ours differ from the paper's" in done.stdout
    assert done.stdout.count('class="marks"') == 2
    picture = tmp_path / "report.png"
    subprocess.run(
        [*command, "--window-size=1000,2200", f"--screenshot={picture}", page.as_uri()],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000  # an empty page has less
