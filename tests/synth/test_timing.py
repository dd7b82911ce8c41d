"""Timing needs OpenSTA and a characterised library; without them these tests are skipped, but for the messages."""

import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import design
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, Goal, synthesize
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import measure
from vsq.synth.measure.timing import critical_paths
from vsq.synth.report.comparison import AreaReport, timing_table

CONFIG = MacConfig.parse("2/2/2/2:V=2")


@pytest.fixture
def library(osu018, require_tool):
    require_tool("sta")
    return osu018


@pytest.fixture(scope="module")
def sweep(osu018):
    return measure([replace(CONFIG, pipeline=depth) for depth in (0, 1)], Flow(library=osu018))


def netlist(body, ports="input a, output y"):
    return Netlist(top="m", modules={"m": {}}, verilog=f"module m({ports}); {body} endmodule")


def test_a_chain_is_as_slow_as_its_links(library):
    """Two half-chains in a row take what one whole chain takes; a longer one takes longer."""

    def chain(length):
        wires = ["a", *(f"w{i}" for i in range(1, length)), "y"]
        cells = [f"INVX1 i{i} (.A({wires[i]}), .Y({wires[i + 1]}));" for i in range(length)]
        return critical_paths(netlist(" ".join(cells)), library)["total"].delay

    ten, twenty, thirty = (chain(length) for length in (10, 20, 30))
    assert thirty - twenty == pytest.approx(twenty - ten, rel=1e-3)
    assert ten > 0


def test_paths_start_and_end_at_registers_or_ports(library):
    body = "DFFPOSX1 f (.CLK(clk), .D(a), .Q(q)); INVX1 i (.A(q), .Y(n)); DFFPOSX1 g (.CLK(clk), .D(n), .Q(y));"
    path = critical_paths(netlist(body, "input clk, input a, output y"), library)["total"]
    assert (path.start, path.end) == ("f/Q", "g/D")
    assert path.frequency * path.delay == pytest.approx(1000)


def test_registers_shorten_the_path_of_the_whole(sweep, library):
    flat, piped = (critical_paths(area.netlist, library) for area in sweep)
    assert set(flat) == {"total", "dot", "scale", "accumulator", "control"}
    assert piped["total"].delay < flat["total"].delay
    assert flat["total"].delay > max(flat[name].delay for name in ("dot", "scale"))


def test_goals_trade_area_for_delay(library):
    """The more a goal is for delay the faster and the larger; adder cells are kept by the goal between."""
    config = MacConfig.parse("4/4/-/-:V=4,pipeline=0")
    rtlil, top = design(config).rtlil(), f"{design(config).default_name}_dot"
    found = [synthesize(rtlil, top, Flow(library=library, goal=goal)) for goal in Goal]
    areas = [library.area(netlist.modules[top]) for netlist in found]
    assert areas == sorted(areas)
    delays = [critical_paths(netlist, library)["total"].delay for netlist in found]
    assert delays == sorted(delays, reverse=True)
    adders = [netlist.modules[top].get("FAX1", 0) for netlist in found]
    assert adders[0] > adders[1] > adders[2] == 0


def test_table_and_records_tell_the_same(sweep, library):
    paths = [critical_paths(area.netlist, library) for area in sweep]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(timing_table([AreaReport(flow=Flow(library=library), areas=sweep)], [paths]))
    records = paths[0]["total"].records(CONFIG.full_name, "total")
    assert [record.unit for record in records] == ["ns", "MHz"]
    assert re.search(rf"{records[0].value:.2f}.* {records[1].value:.0f}", capture.get())
    assert "…" not in capture.get()


def test_the_command_writes_each_goal_with_its_figures(library, tmp_path, capsys):
    path = tmp_path / "area.json"
    command = ["area", "8/8/-/-:V=1,pipeline=0", "--sweep-goal", "--liberty", str(library.path), "--json", str(path)]
    assert vsq.main(command) == 0
    first = json.loads(path.read_text())
    documents = [first, *first["goals"]]
    assert [document["flow"]["goal"] for document in documents] == ["area", "balanced", "delay"]
    printed = capsys.readouterr().out
    assert re.findall(r"^goal (\w+):$", printed, re.MULTILINE) == ["area", "balanced", "delay"]
    for document in documents:
        figures = {(r["component"], r["quantity"]): r["value"] for r in document["records"]}
        row = rf"{document['flow']['goal']} +{figures['total', 'area']:,.0f} +{figures['total', 'critical path']:.2f} "
        assert re.search(row, printed)


def test_missing_opensta_is_named(monkeypatch, osu018):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no program 'sta' on the PATH.*; install"):
        critical_paths(netlist(""), osu018)


def test_library_without_timing_is_refused(library):
    with pytest.raises(InputError, match=r"no timing groups.*; give --liberty a characterised one"):
        critical_paths(netlist(""), Library.load())


def test_opensta_errors_are_passed_on(library):
    with pytest.raises(InputError, match=r"OpenSTA refuses m in it .*; check both"):
        critical_paths(netlist("wire {"), library)
