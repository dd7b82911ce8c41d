import json
import re
from decimal import Decimal

import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import MacDesign, design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import baseline_of, by_component, measure
from vsq.synth.measure.records import document, write_document
from vsq.synth.report.comparison import AreaReport, components_in_order

CONFIGS = [MacConfig.parse(text) for text in ("3/3/2/2:V=2", "2/2U/-/-:V=2")]


@pytest.fixture(scope="module")
def flow():
    return Flow(library=Library.load())


@pytest.fixture(scope="module")
def areas(flow):
    return measure(CONFIGS, flow)


def test_components_sum_to_the_total(areas):
    for area in areas:
        parts = area.components.values()
        assert sum((part.area for part in parts), Decimal()) == area.total.area
        assert sum((part.sequential for part in parts), Decimal()) == area.total.sequential
        assert sum(part.cells.total() for part in parts) == area.total.cells.total()
        assert 0 < area.total.sequential < area.total.area


def test_components_are_those_of_the_datapath(areas):
    assert set(areas[0].components) >= {"dot", "scale", "accumulator", "control"}
    assert "scale" not in areas[1].components


def test_total_is_what_yosys_counts(areas, flow):
    """Yosys's own statistics on the netlist, as an independent sum."""
    config = CONFIGS[0]
    netlist = synthesize(design(config).rtlil(), design(config).default_name, flow)
    commands = [
        "read_liberty -lib cells.lib",
        "read_verilog mapped.v",
        f"hierarchy -top {netlist.top}",
        "flatten -noscopeinfo",
        "tee -o stat.json stat -liberty cells.lib -json",
    ]
    files = {"cells.lib": flow.library.text, "mapped.v": netlist.verilog}
    statistics = json.loads(run_yosys(commands, files, ["stat.json"])["stat.json"])["design"]
    assert statistics["num_cells_by_type"] == dict(areas[0].total.cells)
    assert statistics["area"] == pytest.approx(float(areas[0].total.area), abs=1e-6)  # Yosys sums floats
    gate = flow.library.clock_gate  # which Yosys does not count as sequential
    gates = float(areas[0].total.cells[gate.name] * gate.area)
    assert gates > 0
    assert statistics["sequential_area"] + gates == pytest.approx(float(areas[0].total.sequential), abs=1e-6)


def test_submodules_count_once_an_instance():
    modules = {"m": {"m_dot": 2, "INV": 1}, "m_dot": {"m_dot_row": 3, "FA": 1}, "m_dot_row": {"NAND2": 5}}
    parts = by_component(Netlist(top="m", modules=modules, verilog=""), Library.load(), MacDesign.components)
    assert {name: dict(part.cells) for name, part in parts.items()} == {
        "top": {"INV": 1},
        "dot": {"NAND2": 30, "FA": 2},
    }


def test_flattening_leaves_one_component(areas, flow):
    flat = measure(CONFIGS[:1], Flow(library=flow.library, flatten=True))[0]
    assert list(flat.components) == ["top"]
    assert flat.total.area != areas[0].total.area


@pytest.mark.parametrize(
    ("text", "baseline"),
    [
        ("4/4/4/6", "8/8/-/-"),
        ("4/4U/4/6:R=4,round=truncate", "8/8U/-/-"),
        ("3/3/-/4:V=24,acc=30,overflow=wrap,pipeline=3", "8/8/-/-:V=24,overflow=wrap,pipeline=3"),
        ("8/8/-/-", "8/8/-/-"),
    ],
)
def test_baseline_keeps_what_is_not_a_format(text, baseline):
    assert baseline_of(MacConfig.parse(text)).full_name == baseline


def test_ratio_is_to_the_baseline_of_the_same_run(areas, flow):
    baseline = measure([baseline_of(CONFIGS[0])], flow)[0]
    assert baseline.ratio == 1
    assert areas[0].ratio == areas[0].total.area / baseline.total.area


def test_document_holds_every_figure_with_its_unit(areas, flow, tmp_path):
    path = tmp_path / "new" / "area.json"
    write_document(path, document("area", flow, [r for area in areas for r in area.records(flow.library.unit)]))
    read = json.loads(path.read_text())
    assert read["library"] == {
        "name": "vsq_nand2",
        "file": "nand2.lib",
        "sha256": flow.library.digest,
        "corrections": [],
        "dont_use": [],
    }
    assert set(read["versions"]) == {"vsq", "amaranth", "pyosys"}
    figures = {(r["configuration"], r["component"], r["quantity"]): (r["value"], r["unit"]) for r in read["records"]}
    assert figures["3/3/2/2:V=2", "total", "area"] == (float(areas[0].total.area), "NAND2")
    assert figures["3/3/2/2:V=2", "dot", "cells FA"] == (areas[0].components["dot"].cells["FA"], "1")
    assert figures["2/2U/-/-:V=2", "total", "ratio"] == (float(areas[1].ratio), "of 8/8U/-/-:V=2")
    assert list(path.parent.iterdir()) == [path]


def test_unwritable_report_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_document(tmp_path / "file" / "area.json", {})


def test_table_shows_the_configurations_on_80_columns(areas, flow):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(AreaReport(flow=flow, areas=areas).table())
    lines = capture.get().splitlines()
    for area in areas:
        row = next(line for line in lines if line.strip().startswith(str(area.config)))
        assert re.search(rf" {area.total.area:,.0f} .* {area.ratio:.3f}\s*$", row)
        assert any(line.strip() == area.config.full_name.partition(":")[2] for line in lines)
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("text", ["w4a8fp8", "w4a8fp8@ppu=off", "8/8/-/-@", "nvfp4@reuse=2"])
def test_every_component_has_a_column(text):
    components = design(configuration(text)).components
    assert {*components_in_order([components])} == {*components}
