"""Layouts by the tools: placed, routed, kept, measured with their wires, and refused when they are not the netlist."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from vsq.cli.main import main
from vsq.explore.exploration import measures
from vsq.golden.contract.config import MacConfig
from vsq.synth.gatesim.netlist import flat
from vsq.synth.layout import run
from vsq.synth.layout.conductors import conductors, contacts
from vsq.synth.layout.connectivity import LayoutError, check_cells, check_wires
from vsq.synth.layout.def_file import Segment, parse
from vsq.synth.layout.netlist import instances
from vsq.synth.layout.run import layout
from vsq.synth.measure.area import synthesize_all
from vsq.synth.report.layouts import Layouts

SMALL = "2/2/2/-:V=2"
PAIR = ("4/4/4/6", "8/8/-/-")


@pytest.fixture(autouse=True)
def tools(require_tool, osu018):
    """The tools of a layout; returns the library that it is of."""
    for tool in ("tcsh", "graywolf", "qrouter", "qflow", "sta"):
        require_tool(tool)
    return osu018


def values(document):
    """The figures of the whole by design and seed."""
    return {
        (one["configuration"], one["seed"]): {
            record["quantity"]: record["value"] for record in one["records"] if record["component"] == "total"
        }
        for one in document["layouts"]
    }


def check_figures(document, seeds):
    found = values(document)
    assert found.keys() == {(name, seed) for name in PAIR for seed in seeds}
    for figures in found.values():
        assert 0.95 < figures["utilization"] < 1
        for quantity in ("critical path", "energy per operation"):
            assert 1.03 < figures[f"{quantity}, with wires"] / figures[f"{quantity}, cells only"] < 1.2
        assert 0.06 < figures["wire capacitance"] / figures["pin capacitance"] < 0.12
    ratios = {one["figure"]: one for one in document["ratios"] if one["configuration"] == PAIR[0]}
    assert ratios["area"]["with wires"] == pytest.approx(ratios["area"]["cells only"], abs=0.01)
    assert ratios["wire length"]["with wires"] < ratios["area"]["with wires"] < 0.55
    assert ratios["energy"]["with wires"] < ratios["energy"]["cells only"] < 0.45
    return found


@pytest.mark.slow
def test_both_are_placed(tmp_path, capsys, monkeypatch):
    out, document = tmp_path / "layouts", tmp_path / "layout.json"
    command = ["layout", *PAIR, "--out", str(out), "--json", str(document)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "wires estimated from the placement" in printed
    assert "Cells and wires of one lane, 180 nm, no clock tree." in " ".join(printed.split())
    first = json.loads(document.read_text())
    figures = check_figures(first, [1])
    assert all("vias" not in each for each in figures.values())
    files = {path.suffix for path in out.iterdir()}
    assert files == {".def", ".spef", ".svg"}
    assert Layouts.load(document).pictures.keys() == {*PAIR}
    # What is kept is not laid out again, and is checked again.
    monkeypatch.setattr(run, "lay_out", lambda job: pytest.fail("laid out again"))
    assert main(command) == 0
    assert json.loads(document.read_text())["layouts"] == first["layouts"]
    path = next(out.glob("*w4_a4*.def"))
    text = path.read_text()
    path.unlink()
    _, body = text.split("\n", 1)
    monkeypatch.setattr(run, "lay_out", lambda job: re.sub(r"(FAX1_\d+) A ", r"\1 B ", body, count=1))
    capsys.readouterr()
    assert main(command) == 1
    assert "4/4/4/6, seed 1: no figures: cells: missing" in capsys.readouterr().out
    refused = json.loads(document.read_text())
    assert [each["configuration"] for each in refused["refused"]] == ["4/4/4/6"]
    assert values(refused).keys() == {("8/8/-/-", 1)}
    assert not refused["ratios"]


@pytest.mark.slow
def test_a_small_one_is_routed_and_drawn(tmp_path):
    pytest.importorskip("klayout")
    report = layout(SMALL, tmp_path, route=True, seeds=2, pictures=("gds", "png"))
    one, other = report.layouts
    assert one.layout.components != other.layout.components  # seeds differ
    assert sum(one.lengths.values()) == one.wire_length > 0.8 * one.half_perimeter
    assert one.vias > 100
    svg = next(tmp_path.glob("*seed1*.svg")).read_text()
    assert {"dot", "scale", "accumulator", "control"} <= {*re.findall(r">(\w+)</text>", svg)}
    assert svg.count("<title>") == 1 + len(one.parts)
    gds, png = (next(tmp_path.glob(f"*seed1*.{kind}")).read_bytes() for kind in ("gds", "png"))
    assert png.startswith(b"\x89PNG")
    assert len(gds) > 10_000
    assert one.paths[0].delay < one.paths[1].delay
    # Explorations measure the same.
    [measure] = measures(
        [f"layout:route=1,liberty={run.OSU018}/osu018_stdcells.lib,lef={run.OSU018}/osu018_stdcells.lef"]
    )
    assert measure.figures(MacConfig.parse(SMALL)) == one.records()


def damage(text, lef, seed):
    """Check a routed layout with a net opened and with two nets joined, each drawn at random, five times."""
    rng = np.random.default_rng(seed)
    sound = parse(text)
    routed = [name for name, net in sound.nets.items() if len(net.pins) > 1 and net.segments]
    for _ in range(5):
        name, other = rng.choice(routed, 2, replace=False)
        net = sound.nets[name]
        opened = replace(sound, nets=sound.nets | {name: replace(net, segments=(), vias=())})
        wire = sound.nets[other].segments[0]
        joined = replace(net, segments=(*net.segments, Segment(wire.layer, wire.start, wire.end)))
        shorted = replace(sound, nets=sound.nets | {name: joined})
        for broken, message in ((opened, f"open nets: {name}, in"), (shorted, "shorts: ")):
            found = conductors(broken, lef)
            with pytest.raises(LayoutError, match=message):
                check_wires(broken, found, contacts(found, broken.scale))


@pytest.mark.long
def test_both_are_routed(tmp_path, tools):
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    out, document = tmp_path / "layouts", tmp_path / "layout.json"
    assert main(["layout", *PAIR, "--route", "--seeds", "2", "--out", str(out), "--json", str(document)]) == 0
    for figures in check_figures(json.loads(document.read_text()), [1, 2]).values():
        assert 0.97 < figures["wire length"] / figures["half-perimeter wire length"] < 1.07
        assert figures["vias"] > 7000
    lef, setup = run.library(None, (), "gaussian", ())
    for name in PAIR:
        config = MacConfig.parse(name)
        [netlist] = synthesize_all([config], setup.flow)
        paths = sorted(out.glob(f"*w{config.weight.bits}_a*.def"))
        assert len(paths) == 2
        for path in paths:
            check_cells(parse(path.read_text()), lef, instances(flat(netlist)))
    damage(paths[0].read_text(), lef, seed)
