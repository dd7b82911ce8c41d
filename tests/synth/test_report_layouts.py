"""Layouts in the report: what 'vsq layout' writes, read, in every form, and files that it did not write."""

import json
import re
from base64 import b64decode
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import charts
from vsq.synth.layout.layout import Layout, file_name
from vsq.synth.layout.report import LayoutReport
from vsq.synth.measure.energy import Energy
from vsq.synth.measure.records import records
from vsq.synth.measure.timing import CriticalPath
from vsq.synth.report import designs
from vsq.synth.report.layouts import Layouts
from vsq.synth.report.page import Report

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>{}</title></svg>\n'
KINDS = ("cells only", "with wires")


def made_up(name, seed, *, routed, size):
    """A layout that nobody made: every figure is a multiple of ``size``, and wires grow with the seed."""
    return Layout(
        config=MacConfig.parse(name),
        seed=seed,
        routed=routed,
        layout=None,
        parts={},
        core=(10.0, 1.25 * size),
        liberty_area=10.0 * size,
        cell_area=10.0 * size,
        half_perimeter=100.0 * size * seed,
        lengths={"m1": 20.0 * size, "m2": 30.0 * size * seed} if routed else {},
        vias=7 * size * seed if routed else 0,
        pin_capacitance=1e-12,
        wire_capacitance=1e-13,
        paths=tuple(CriticalPath(delay=0.5 * size + wires, start="a", end="y") for wires in (0, seed)),
        energies=tuple({"dot": Energy(1e-12 * size), "scale": Energy(1e-12, 1e-12 * wires)} for wires in (0, seed)),
        wires="",
    )


def written(folder, *, routed=True):
    """Write the file of two layouts of 4/4/4/6 and one of 8/8/-/-, and pictures of the former; return its path."""
    library = {"name": "osu018_stdcells"}
    report = LayoutReport(
        setup=SimpleNamespace(flow=SimpleNamespace(library=SimpleNamespace(**library)), source="gaussian"),
        routed=routed,
        layouts=[
            made_up(*which, routed=routed, size=size)
            for *which, size in (("4/4/4/6", 1, 4), ("4/4/4/6", 2, 4), ("8/8/-/-", 1, 8))
        ],
        refused={(MacConfig.parse("8/8/-/-"), 2): "open nets: n1"},
    )
    (folder / "layouts").mkdir()
    for one in report.layouts[:2]:
        name = file_name(one.config, one.seed, routed=routed)
        (folder / "layouts" / f"{name}.svg").write_text(SVG.format(name))
    path = folder / "layout.json"
    path.write_text(json.dumps({"library": library, "folder": "layouts", **report.document()}))
    return path


def printed(found):
    """The words of the table."""
    console = Console(file=StringIO(), width=140)
    console.print(found.table())
    return " ".join(console.file.getvalue().split())


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """Pages without the charts of elements, which take seconds."""
    monkeypatch.setattr(charts, "find_spec", lambda name: None)


def test_figures_are_means_beside_each_other(tmp_path):
    found = Layouts.load(written(tmp_path))
    assert found.scope == "Cells and wires of one lane, 180 nm, no clock tree."
    figures = {(one.configuration, one.name): [one.values[kind] for kind in KINDS] for one in found.figures}
    assert figures == {
        ("4/4/4/6", "area"): [40, 50],
        ("4/4/4/6", "used by cells"): [None, 0.8],
        ("4/4/4/6", "wire length"): [None, 80 + 180],
        ("4/4/4/6", "vias"): [None, 42],
        ("4/4/4/6", "critical path"): [2, 3.5],
        ("4/4/4/6", "energy"): [pytest.approx(5), pytest.approx(6.5)],
        ("8/8/-/-", "area"): [80, 100],
        ("8/8/-/-", "used by cells"): [None, 0.8],
        ("8/8/-/-", "wire length"): [None, 400],
        ("8/8/-/-", "vias"): [None, 56],
        ("8/8/-/-", "critical path"): [4, 5],
        ("8/8/-/-", "energy"): [pytest.approx(9), pytest.approx(10)],
    }
    ratios = {one.name: [one.ratios[kind] for kind in KINDS] for one in found.figures[:6]}
    assert ratios == {
        "area": [0.5, 0.5],
        "used by cells": [None, None],
        "wire length": [None, 0.65],
        "vias": [None, None],
        "critical path": [0.5, 0.7],
        "energy": [pytest.approx(5 / 9), pytest.approx(0.65)],
    }
    assert all(one.ratios == dict.fromkeys(KINDS) for one in found.figures[6:])


def test_estimated_wires_are_half_the_perimeters(tmp_path):
    found = Layouts.load(written(tmp_path, routed=False))
    assert found.title.endswith("wires estimated from the placement")
    assert [one.values["with wires"] for one in found.figures if one.name == "wire length"] == [600, 800]
    assert "vias" not in {one.name for one in found.figures}


def test_text_document_and_page_hold_the_same(tmp_path):
    found = Layouts.load(written(tmp_path))
    text = printed(found)
    report = Report(rows=[], accuracies=[], notes=[], layouts=[found])
    page = report.html("")
    words = " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())
    [document] = json.loads(json.dumps(report.document()))["layouts"]
    for row in (
        "4/4/4/6 area, um2 40 50 0.500 0.500",
        "4/4/4/6 used by cells - 80.0% - -",
        "4/4/4/6 critical path, ns 2.00 3.50 0.500 0.700",
        "8/8/-/- energy, pJ 9.000 10.000 - -",
        "Cells and wires of one lane, 180 nm, no clock tree.",
        "No figures, since the check refused them: 8/8/-/-, seed 2.",
    ):
        assert row in text
        assert row in words
    assert document["scope"] in words
    assert document["refused"] == ["8/8/-/-, seed 2"]
    assert document["figures"][0] == {
        "configuration": "4/4/4/6",
        "figure": "area",
        "unit": "um2",
        "cells only": 40,
        "with wires": 50,
        "ratios": {"cells only": 0.5, "with wires": 0.5},
    }


def test_the_page_holds_the_picture_of_the_first_layout_that_has_one(tmp_path):
    path = written(tmp_path)
    page = Report(rows=[], accuracies=[], notes=[], layouts=[Layouts.load(path)]).html("")
    [source] = re.findall(r'(?:src|href)="([^"]*)"', page)
    kind, _, content = source.partition(",")
    assert kind == "data:image/svg+xml;base64"  # as an image, no script of it runs
    assert b64decode(content).decode() == SVG.format("vsq_mac_w4_a4_ws4_as6_v16_seed1_routed")
    (tmp_path / "layouts" / "vsq_mac_w4_a4_ws4_as6_v16_seed1_routed.svg").unlink()
    [source] = Layouts.load(path).pictures.values()
    assert b64decode(source.partition(",")[2]).decode() == SVG.format("vsq_mac_w4_a4_ws4_as6_v16_seed2_routed")


def damaged(content):
    """Yield copies of what a file holds, each with one defect."""
    yield {}
    yield []
    yield {"scores": {"4/4/4/6 ptq": {"cosine": {"value": 0.9}}}}
    yield content | {"layouts": []}
    yield content | {"scope": "[/red]", "library": None}
    for name in ("scope", "library", "data", "routed", "refused", "layouts", "ratios", "folder"):
        yield {key: value for key, value in content.items() if key != name}
        yield content | {name: [7]}
    first, *others = content["layouts"]
    yield content | {"layouts": [first | {"configuration": "4/4/4"}, *others]}
    yield content | {"layouts": [first | {"name": None}, *others]}
    for lost in ("core area", "cell area", "vias", "critical path, with wires", "energy per operation, cells only"):
        kept = [record for record in first["records"] if record["quantity"] != lost]
        assert len(kept) < len(first["records"])
        yield content | {"layouts": [first | {"records": kept}, *others]}
    for value in ("12", None, True, -1, float("nan"), float("inf"), 10**400):
        records = [first["records"][0] | {"value": value}, *first["records"][1:]]
        yield content | {"layouts": [first | {"records": records}, *others]}
    yield content | {"ratios": [content["ratios"][0] | {"with wires": "0.5"}]}


def test_files_that_are_not_of_layouts_are_refused(tmp_path):
    path = written(tmp_path)
    content = json.loads(path.read_text())
    for number, broken in enumerate(damaged(content)):
        print("defect", number)
        path.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"layout\.json: no file of layouts; give one that") as error:
            Layouts.load(path)
        assert "\n" not in str(error.value)
    for text in ("", json.dumps(content)[:-9], "\0"):
        path.write_text(text)
        with pytest.raises(InputError, match="no file of layouts"):
            Layouts.load(path)


def test_texts_are_shown_as_they_are(tmp_path):
    path = written(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scope": "[/red] <b>"}))
    found = Layouts.load(path)
    assert "[/red] <b>" in printed(found)
    assert "[/red] &lt;b&gt;" in Report(rows=[], accuracies=[], notes=[], layouts=[found]).html("")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout", "missing.json"], "missing.json: no file of layouts; give one that 'vsq layout --json' wrote"),
        (["--layout", "."], ".: no file of layouts"),
        (["--formats", "--layout", "layout.json"], "--formats: --layout is of the paper's report; leave it out"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert vsq.main(["report", *arguments, "--out", "report"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_the_command_adds_them(tmp_path, capsys, monkeypatch):
    path = written(tmp_path)
    figures = [("dot", "area", 90, "NAND2"), ("total", "area", 100, "NAND2"), ("total", "memory bits", 10, "bit")]
    monkeypatch.setattr(
        designs, "measure", lambda configs, *_: {config: records(config.full_name, figures) for config in configs}
    )
    assert vsq.main(["report", "4/4/4/6", "--layout", str(path), "--out", str(tmp_path / "report")]) == 0
    assert "Cells and wires of one lane, 180 nm, no clock tree." in " ".join(capsys.readouterr().out.split())
    [document] = json.loads((tmp_path / "report" / "report.json").read_text())["layouts"]
    assert document["figures"][0]["with wires"] == 50
    assert "data:image/svg+xml;base64," in (tmp_path / "report" / "report.html").read_text()
