"""The page in a browser: it draws, a menu changes what is drawn, a heading sorts, and nothing is on the console."""

import json
import re
import shutil
import subprocess

import pytest

pytest.importorskip("bracex")
pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from collections import Counter

from vsq.explore import page
from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.energy import EnergyMeasure
from vsq.explore.results import DesignPoint, Headline, Results
from vsq.explore.space import read
from vsq.golden.contract.errors import InputError

# What a person does and sees, in place of one.
WATCH = """
<script>
const said = [];
for (const kind of ["error", "warn", "log"]) console[kind] = (...words) => said.push(kind + ": " + words.join(" "));
window.onerror = message => said.push(message);
const embed = window.vegaEmbed;
let view = null;
window.vegaEmbed = (...all) => embed(...all).then(result => { view = result.view; return result; });
</script>
</head>
"""
ACT = """
<script>
const until = async condition => { while (!condition()) await new Promise(done => setTimeout(done, 20)); };
const marks = (which = "") => document.querySelectorAll(
  `#chart1 .mark-symbol[role='graphics-symbol'] path${which}, #chart1 g.mark-symbol.role-mark path${which}`).length;
const column = number => [...document.querySelectorAll("#points tbody tr")].map(row => row.cells[number].textContent);
(async () => {
  await until(() => view !== null);
  const found = {before: marks(), paper: marks("[stroke='black']")};
  view.signal("only_W", "4"); await view.runAsync(); found.after = marks();
  view.signal("only_R", "8"); await view.runAsync(); found.both = marks();
  view.signal("only_W", null).signal("only_R", null); await view.runAsync(); found.again = marks();
  const heads = document.querySelectorAll("#points th");
  heads[0].click(); found.up = column(0);
  heads[0].click(); found.down = column(0);
  heads[heads.length - 1].click(); found.commands = column(heads.length - 1);
  found.said = said;
  const result = document.createElement("pre");
  result.id = "found"; result.textContent = JSON.stringify(found); document.body.append(result);
})();
</script>
</body>
"""


def results(texts, measures):
    """Return made-up figures: no browser needs a synthesis."""
    configs = read(texts).points
    values = [(100.0 * c.weight.bits + c.activation.bits, 1.5 * c.weight.bits, 1 - 1 / c.mac.acc_bits) for c in configs]
    units = "NAND2", "pJ", "cosine"
    points = [DesignPoint(c, measures, tuple(map(Headline, v, units))) for c, v in zip(configs, values, strict=True)]
    return Results(tuple((one,) for one in measures), points, Counter(), {})


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(EnergyMeasure, "__post_init__", lambda self: None)
    return AreaMeasure(), EnergyMeasure(liberty="x"), AccuracyMeasure()


@pytest.mark.slow
def test_a_browser_draws_filters_and_sorts(three, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium: not found on PATH")
    found = results(["{3,4,6,8}/{4,8}/4/6:R={-,8}"], three)
    text = page.html(found, "a space & <more>")
    file = tmp_path / "page.html"
    head, _, rest = text.rpartition("</head>")  # Vega's own text holds one too
    file.write_text(head + WATCH + rest.rpartition("</body>")[0] + ACT)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=30000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seen = json.loads(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)[1].replace("&amp;", "&"))
    assert seen["said"] == []
    assert (seen["before"], seen["after"], seen["both"], seen["again"]) == (2 * 16, 2 * 4, 2 * 2, 2 * 16)
    assert seen["paper"] == 2 * 1  # 4/4/4/6
    areas = [float(area) for area in seen["up"]]
    assert areas == sorted(point.values[0] for point in found.points)
    assert [float(area) for area in seen["down"]] == areas[::-1]
    assert sorted(seen["commands"]) == sorted(f"vsq generate {point.config.full_name}" for point in found.points)
    assert "<more>" not in text


def test_a_page_needs_two_measures_and_a_point(three):
    with pytest.raises(InputError, match="area is the only measure"):
        page.plots(results(["4/4/-/-"], three[:1]))
    with pytest.raises(InputError, match="no point has all its figures"):
        page.plots(Results(tuple((one,) for one in three), [], Counter(), {}))


def test_the_front_of_points_is_drawn_before_others(three, monkeypatch):
    monkeypatch.setattr(page, "MOST_POINTS", 3)
    found = results(["{2..9}/{2..5}/-/-"], three)
    [drawn] = page.plots(found).to_dict()["datasets"].values()
    assert len(drawn) == 3
    front = {f"vsq generate {point.config.full_name}" for point in found.front}
    assert {point["command"] for point in drawn} <= front


def test_the_papers_points_are_outlined(three):
    [drawn] = page.plots(results(["{4,8}/{4,8}/{-,4}/{-,6}:V={16,32}"], three)).to_dict()["datasets"].values()
    paper = {point["command"].split()[-1] for point in drawn if point["paper"]}
    assert paper == {"4/4/-/-", "4/4/4/6", "8/8/-/-"}


def test_estimated_points_and_settings_are_told_apart(three):
    area, _, plain = three
    row = AccuracyMeasure(input_gamma="row")
    [config] = read(["4/4/-/-"]).points
    points = [
        DesignPoint(config, (area, one), (Headline(5.0, "NAND2", guessed or None), Headline(0.5, "1")))
        for one, guessed in ((plain, True), (row, False))
    ]
    [drawn] = page.plots(Results(((area,), (plain, row)), points, Counter(), {})).to_dict()["datasets"].values()
    assert [(point["figures"], point["listed"]) for point in drawn] == [
        ("measured", "vsq generate 4/4/-/-  input_gamma=row"),
        ("estimated", "vsq generate 4/4/-/-  defaults, estimated"),
    ]
