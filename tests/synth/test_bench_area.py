import re
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import area as benchmark
from benchmarks.area import Dot, implementations, main, measure_dots, read_document, regressions, sum_of_products
from benchmarks.area_function import check_dot
from benchmarks.area_plot import dot_chart
from benchmarks.area_tables import ALTERNATIVES, BOUND, GENERATOR, dot_table, figures_of, mac_table
from vsq.golden.contract.errors import InputError
from vsq.golden.io import charts
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.synthesis import Flow
from vsq.synth.library.liberty import Library
from vsq.synth.measure.records import Record, document, write_document

DOT = Dot(weight_bits=3, activation_bits=2, vector_size=3)


@pytest.fixture(scope="module")
def library():
    return Library.load()


@pytest.fixture(scope="module")
def records(library):
    return measure_dots([DOT], library, [GENERATOR, *ALTERNATIVES])


def test_the_rivals_compute_the_same_function(library):
    """Both RTLs of the dot product, before mapping, for every input: the comparison is of like with like."""
    netlist = implementations(DOT, library, [GENERATOR])[GENERATOR]()
    bench = """
      module bench(input [8:0] w, input [5:0] a);
        wire [6:0] x, y;
        %s generator(.weights(w), .activations(a), .d(x));
        sum_of_products rival(.w0(w[2:0]), .w1(w[5:3]), .w2(w[8:6]), .a0(a[1:0]), .a1(a[3:2]), .a2(a[5:4]), .d(y));
        always @* assert (x == y);
      endmodule"""
    commands = [
        "read_liberty cells.lib",
        "read_verilog mapped.v",
        "read_rtlil rival.il",
        "read_verilog -formal bench.v",
        "hierarchy -check -top bench",
        "proc",
        "flatten",
        "chformal -lower",
        "sat -verify -prove-asserts -set-def-inputs bench",
    ]
    files = {"cells.lib": library.text, "mapped.v": netlist.verilog, "rival.il": sum_of_products(DOT)}
    run_yosys(commands, files | {"bench.v": bench.replace("%s", netlist.top)})


def test_a_netlist_of_another_function_is_not_measured(library):
    for name in (GENERATOR, "booth + adders"):
        netlist = implementations(DOT, library, [name])[name]()
        check_dot(netlist, library, (DOT.weight_bits, DOT.activation_bits), DOT.vector_size)
        wrong = re.sub(r"\bXOR2\b", "XNOR2", netlist.verilog, count=1)
        assert wrong != netlist.verilog
        with pytest.raises(InputError, match=r"of 64 sums are not sum\(a\*b\)"):
            check_dot(replace(netlist, verilog=wrong), library, (3, 2), 3)


def test_bounds_count_product_bits_and_result_bits(library):
    assert DOT.product_bits == 3 * 2 * 3
    # 3 products from -2*3 to 4*2 need 7 bits in the rule n + m + ceil(log2 V).
    assert DOT.result_bits == 7
    assert DOT.full_adder_bound == 11
    full_adder = library.full_adder.area
    assert DOT.area_bound(library) == pytest.approx(float(18 + 11 * full_adder))
    assert DOT.area_bound(Library.load("gates")) is None


def test_every_implementation_is_measured(records):
    row = figures_of(records)[str(DOT)]
    for name in (GENERATOR, BOUND, *ALTERNATIVES):
        assert row[name, "area"] > 0
    assert row["plain", "full adders"] == row["booth", "full adders"] == 0
    assert row["adders", "full adders"] > 0
    assert row[GENERATOR, "area"] < min(row[name, "area"] for name in ALTERNATIVES)


def test_tables_show_ratios(records):
    ratios = [
        Record(configuration="4/4/4/6", component=component, quantity=quantity, value=value, unit="")
        for component, quantity, value in (
            ("total", "area", 3000),
            ("total", "ratio", 0.444),
            ("paper", "ratio", 0.629),
        )
    ]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(dot_table(records, "title"), mac_table(ratios, "title"))
    row = figures_of(records)[str(DOT)]
    best = min(row[name, "area"] for name in ALTERNATIVES)
    assert f"{row[GENERATOR, 'area'] / best:.2f}" in capture.get()
    assert "0.444" in capture.get()
    assert "…" not in capture.get()


def test_growth_is_found_and_shrinking_is_not(records, library, tmp_path):
    path = tmp_path / "area.json"
    write_document(path, document("area benchmark", Flow(library=library), records))
    baseline = read_document(path)
    assert baseline["records"] == records

    def changed(factor):
        return [replace(r, value=r.value * factor) if r.component == GENERATOR else r for r in records]

    assert regressions(records, baseline, library) == []
    assert regressions(changed(0.9), baseline, library) == []
    assert len(regressions(changed(1.02), baseline, library)) == 1
    unknown = [replace(record, configuration="dot 9x9 V=1") for record in records]
    assert regressions(unknown, baseline, library) == ["dot 9x9 V=1: the baseline does not have it"]
    with pytest.raises(InputError, match="this run uses another"):
        regressions(records, baseline, Library.load("gates"))


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file"), ("{", "not a report"), ("[]", "not a report")])
def test_bad_baseline_is_one_line_and_exit_code_2(tmp_path, capsys, text, reason):
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    assert main(["--check", str(path)]) == 2
    assert reason in capsys.readouterr().err


def test_the_plot_draws_every_area(records, tmp_path):
    path = tmp_path / "area.svg"
    charts.save(dot_chart(records, "NAND2"), path)
    picture = path.read_text()
    for name in (GENERATOR, BOUND, *ALTERNATIVES):
        area = figures_of(records)[str(DOT)][name, "area"]
        assert f"implementation: {name}; widths: 3 x 2 bits; V: 3; area, NAND2: {area:,.1f}" in picture
    assert "3 x 2 bits" in picture


def test_a_plot_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "measure_dots", lambda *arguments: pytest.fail("measured"))
    assert benchmark.main(["--plot", str(tmp_path / "area.jpg")]) == 2
    assert "the suffix chooses the format" in capsys.readouterr().err
