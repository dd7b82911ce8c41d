"""Timing needs OpenSTA and a characterised library; without them these tests are skipped, but for the messages."""

import re
from dataclasses import replace

import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.synth.flow.synthesis import Flow, Goal, Netlist
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import measure
from vsq.synth.measure.timing import critical_paths
from vsq.synth.report.comparison import AreaReport

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


def test_goal_delay_is_faster_and_larger(sweep, library):
    fast = measure([sweep[1].config], Flow(library=library, goal=Goal.DELAY))[0]
    assert fast.total.area > sweep[1].total.area
    delays = [critical_paths(area.netlist, library)["total"].delay for area in (fast, sweep[1])]
    assert delays[0] < delays[1]


def test_table_and_records_tell_the_same(sweep, library):
    paths = [critical_paths(area.netlist, library) for area in sweep]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(AreaReport(flow=Flow(library=library), areas=sweep).timing_table(paths))
    records = paths[0]["total"].records(CONFIG.full_name, "total")
    assert [record.unit for record in records] == ["ns", "MHz"]
    assert re.search(rf"{records[0].value:.2f}.* {records[1].value:.0f}", capture.get())
    assert "…" not in capture.get()


def test_missing_opensta_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no program 'sta' on the PATH.*; install"):
        critical_paths(netlist(""), Library.load())


def test_library_without_timing_is_refused(library):
    with pytest.raises(InputError, match=r"no timing groups.*; give a characterised library"):
        critical_paths(netlist(""), Library.load())


def test_opensta_errors_are_passed_on(library):
    with pytest.raises(InputError, match=r"OpenSTA refuses m in it .*; check both"):
        critical_paths(netlist("wire {"), library)
