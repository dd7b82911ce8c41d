"""Energy by hand on a library of four cells, and the whole command on a real one."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow
from vsq.synth.gatesim.netlist import flat
from vsq.synth.gatesim.simulation import Activity
from vsq.synth.gatesim.stimulus import operands
from vsq.synth.library.liberty import Library
from vsq.synth.library.power import Power
from vsq.synth.measure import energy as measured
from vsq.synth.measure.energy import (
    MEMORIES,
    Energy,
    Setup,
    bit_energy,
    difference,
    energies,
    energy_per_operation,
)
from vsq.synth.report.comparison import EnergyReport

# Energies in fJ (1 fF * 1 V^2), so that numbers are easy: an inverter's rise costs 2 + load, its fall 4 + load.
LIBERTY = """
library (hand) {
  capacitive_load_unit (1, ff); voltage_unit : "1V"; leakage_power_unit : "1nW"; nom_voltage : 2.0;
  power_lut_template (load) { variable_1 : total_output_net_capacitance; index_1 ("0, 10"); }
  power_lut_template (both) {
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("0, 1"); index_2 ("0, 10");
  }
  cell (INV) { area : 1; cell_leakage_power : 3;
    pin (A) { direction : input; capacitance : 5; }
    pin (Y) { direction : output; function : "!A";
      internal_power () { related_pin : "A";
        rise_power (load) { values ("2, 12"); } fall_power (load) { values ("4, 14"); } } } }
  cell (NAND) { area : 2; cell_leakage_power : 4;
    pin (A) { direction : input; capacitance : 6;
      internal_power () { when : "B"; power (scalar) { values ("1"); } }
      internal_power () { when : "!B"; power (scalar) { values ("3"); } } }
    pin (B) { direction : input; capacitance : 7; }
    pin (Y) { direction : output; function : "!(A B)";
      internal_power () { related_pin : "A"; power (scalar) { values ("10"); } }
      internal_power () { related_pin : "B";
        rise_power (both) { values ("20, 40", "30, 50"); } fall_power (both) { values ("20, 40", "30, 50"); } } } }
  cell (XOR) { area : 3;
    pin (A) { direction : input; capacitance : 1; } pin (B) { direction : input; capacitance : 1; }
    pin (Y) { direction : output; function : "A ^ B"; } }
  cell (FF) { area : 7; cell_leakage_power : 5;
    ff (Q0, Q1) { next_state : "D"; clocked_on : "C"; }
    pin (C) { direction : input; capacitance : 8; clock : true;
      internal_power () { rise_power (scalar) { values ("6"); } fall_power (scalar) { values ("2"); } } }
    pin (D) { direction : input; capacitance : 9; }
    pin (Q) { direction : output; function : "Q0";
      internal_power () { related_pin : "C"; power (scalar) { values ("11"); } } } }
  cell (GATE) { area : 8; cell_leakage_power : 6;
    clock_gating_integrated_cell : "latch_posedge_precontrol";
    statetable ("C E T", "S") { table : "L L L : - : L, L L H : - : H, L H L : - : H, L H H : - : H, H - - : - : N"; }
    pin (S) { direction : internal; internal_node : "S"; }
    pin (C) { direction : input; capacitance : 3; clock : true; clock_gate_clock_pin : true;
      internal_power () { rise_power (scalar) { values ("5"); } fall_power (scalar) { values ("3"); } } }
    pin (E) { direction : input; capacitance : 2; clock_gate_enable_pin : true; }
    pin (T) { direction : input; capacitance : 2; clock_gate_test_pin : true; }
    pin (G) { direction : output; clock_gate_out_pin : true; state_function : "C * S";
      internal_power () { related_pin : "C"; power (scalar) { values ("13"); } } } }
}
"""
FJ = 1e-15
SWITCH = 0.5 * 2.0**2 * FJ  # of 1 fF
SMALL = "2/2/2/2:V=2"


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "hand.lib"
    path.write_text(LIBERTY)
    return Library.load(path)


@pytest.fixture
def setup(osu018):
    return Setup(flow=Flow(library=osu018), power=Power.of(osu018), source="gaussian", slew=0.1, hazards=False)


def measure(library, body, toggles, ones, slew=0.5):
    """Energies of a module with inputs a, b, clk and output y; activities by net name."""
    verilog = f"module m(input a, b, clk, output y); wire n; {body} endmodule"
    gates = flat(Netlist(top="m", modules={"m": {}}, verilog=verilog))
    activity = Activity(
        toggles=np.zeros(gates.nets), ones=np.zeros(gates.nets), reads=np.zeros(0), writes=np.zeros(0), cycles=1
    )
    for values, given in ((activity.toggles, toggles), (activity.ones, ones)):
        for name, value in given.items():
            values[gates.names[name]] = value
    return energies(gates, activity, Power.of(library), slew)


def test_an_inverter_by_hand(library):
    """Of two inverters in a row the first one drives 5 fF, the second one nothing; wires count as nothing."""
    found = measure(library, "INV i (.A(a), .Y(n)); INV j (.A(n), .Y(y));", {"a": 0.5, "n": 0.5, "y": 0.25}, {})
    assert found["top"].internal == pytest.approx((0.5 * (3 + 5) + 0.25 * 3) * FJ)
    assert found["top"].switching == pytest.approx(0.5 * 5 * SWITCH)
    assert found["inputs"] == Energy(switching=pytest.approx(0.5 * 5 * SWITCH))
    assert found["top"].leakage == pytest.approx(6e-9)


def test_arcs_are_weighted_by_states_and_by_who_moves(library):
    """A moves the output where B is 1, B where A is 1; the slew of 0.5 lies half-way between 20 and 30."""
    toggles, ones = {"a": 0.4, "b": 0.2, "y": 0.3}, {"a": 0.5, "b": 0.25}
    found = measure(library, "NAND i (.A(a), .B(b), .Y(y));", toggles, ones)
    by_a, by_b = 0.4 * 0.25, 0.2 * 0.5
    pin = 0.4 * (0.25 * 1 + 0.75 * 3)
    output = 0.3 * (by_a * 10 + by_b * 25) / (by_a + by_b)
    assert found["top"].internal == pytest.approx((pin + output) * FJ)


def test_clock_pins_are_the_clock(library):
    found = measure(library, "FF f (.C(clk), .D(a), .Q(y));", {"clk": 2, "a": 1, "y": 0.5}, {})
    assert found["clock"].internal == pytest.approx((6 + 2) * FJ)
    assert found["clock"].switching == pytest.approx(2 * 8 * SWITCH)
    assert found["top"].internal == pytest.approx(0.5 * 11 * FJ)


def test_clock_gates_are_the_clock(library):
    """The clock drives the gate's pin alone, and its output the register's, in half of the cycles."""
    body = "GATE g (.C(clk), .E(b), .T(1'b0), .G(n)); FF f (.C(n), .D(a), .Q(y));"
    found = measure(library, body, {"clk": 2, "n": 1, "a": 1, "b": 0.5, "y": 0.25}, {"b": 0.5})
    assert found["clock"].internal == pytest.approx((2 * 4 + 1 * 13 + 1 * 4) * FJ)
    assert found["clock"].switching == pytest.approx((2 * 3 + 1 * 8) * SWITCH)
    assert found["top"].internal == pytest.approx(0.25 * 11 * FJ)
    assert found["inputs"].switching == pytest.approx((1 * 9 + 0.5 * 2) * SWITCH)


def test_tables_go_on_straight_beyond_their_ends(library):
    (arc,) = Power.of(library).cells["INV"].arcs
    assert arc.energy(7.0, np.array([0, 3, 10, 20]) * FJ) == pytest.approx(np.array([3, 6, 13, 23]) * FJ)


def test_a_function_depends_on_an_input_where_its_halves_differ():
    table = 0b1110_1000  # majority
    for k in range(3):
        expected = sum(
            1 << code for code in range(8) if table >> (code | 1 << k) & 1 != table >> (code & ~(1 << k)) & 1
        )
        assert difference(table, k, 3) == expected


def test_units_follow_the_file(library, tmp_path):
    (tmp_path / "pf.lib").write_text(LIBERTY.replace("(1, ff)", "(2,pf)").replace('"1nW"', '"10uW"'))
    power, other = Power.of(Library.load(tmp_path / "pf.lib")), Power.of(library)
    assert power.cells["INV"].inputs["A"] == pytest.approx(2000 * other.cells["INV"].inputs["A"])
    assert power.cells["INV"].leakage == pytest.approx(10_000 * other.cells["INV"].leakage)
    assert power.voltage == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("internal_power", "no_power", "it has no internal_power groups.*; give a characterised library"),
        ("(load)", "(absent)", "its power data is not read .*; give one with NLDM tables"),
        ('"1V"', '"1mV"', "its power data is not read .*voltage_unit.*; give one with NLDM tables"),
    ],
)
def test_libraries_without_usable_power_are_refused(tmp_path, old, new, message):
    path = tmp_path / "bad.lib"
    path.write_text(LIBERTY.replace("power_lut_template (load)", "power_lut_template (kept)").replace(old, new))
    with pytest.raises(InputError, match=message):
        Power.of(Library.load(path))


def test_parts_add_up_and_records_tell_the_same(setup):
    (found,) = energy_per_operation([MacConfig.parse(SMALL)], setup)
    parts = found.components
    assert set(parts) == {"inputs", "dot", "scale", "accumulator", "control", "clock"}
    assert found.total == pytest.approx(sum(energy.internal + energy.switching for energy in parts.values()))
    assert 0 < found.ratio < 1
    assert found.ratio_at(0) == found.ratio_at(4) == found.ratio
    values = {(one.component, one.quantity): (one.value, one.unit) for one in found.records()}
    assert values["total", "energy per operation"] == (pytest.approx(found.total * 1e12), "pJ")
    assert values["total", "ratio"] == (found.ratio, "of 8/8/-/-:V=2")
    assert values["clock", "energy per operation"][0] == pytest.approx(parts["clock"].total * 1e12)


def test_memories_cost_by_the_bit(setup):
    """Two elements that differ in nothing but what an element of data is made of."""
    (found,) = energy_per_operation(
        [PeConfig.parse("2/2/2/2:V=2@lanes=2,weight_depth=4,activation_depth=8,ppu=off")], setup
    )
    assert found.components[MEMORIES].total > 0
    without = sum(energy.total for name, energy in found.components.items() if name != MEMORIES)
    base = sum(energy.total for name, energy in found.baseline_components.items() if name != MEMORIES)
    mine, others = (parts[MEMORIES].total for parts in (found.components, found.baseline_components))
    for price in (0, 0.25, 1, 4):
        assert found.ratio_at(price) == pytest.approx((without + price * mine) / (base + price * others))
    figures = {one.quantity: one.value for one in found.records() if one.component == "total"}
    assert figures["ratio at 4 x memories"] == found.ratio_at(4)
    table = EnergyReport(setup=setup, energies=[found]).table()
    shown = {column.header: [*column.cells] for column in table.columns[-4:]}
    assert shown == {
        name: [f"{found.ratio_at(price):.3f}"]
        for name, price in (("logic", 0), ("x0.25", 0.25), ("ratio", 1), ("x4", 4))
    }
    # 2 codes of 2 bits and a scale of 2 bits against 2 codes of 8 bits, each written and read as often.
    ratio = found.components[MEMORIES].total / found.baseline_components[MEMORIES].total
    assert ratio == pytest.approx((2 * 2 + 2) / (2 * 8))


def test_a_memory_has_no_hazards(setup, monkeypatch):
    """Its bit is priced by a multiplier, here a small one, of which hazards are most of the energy."""
    monkeypatch.setattr(measured, "_REFERENCE", MacConfig.parse("6/6/-/-:V=1"))
    assert bit_energy(replace(setup, hazards=True)) == bit_energy(setup)


def test_the_command_prints_and_writes(osu018, tmp_path, capsys):
    path, data = tmp_path / "energy.json", tmp_path / "layer.npz"
    rng = np.random.default_rng(0)
    np.savez(data, weights=rng.standard_normal((4, 8)), inputs=rng.standard_normal((200, 8)))
    code = vsq.main(["energy", SMALL, "--liberty", str(osu018.path), "--data", str(data), "--json", str(path)])
    assert code == 0
    out = capsys.readouterr().out
    assert "Ratio to 8/8/-/-:V=2 on the same data" in out.replace("\n", " ")
    assert "areas corrected to those of its LEF: LATCH 0 -> 56, NAND3X1 36 -> 32, OAI21X1 23 -> 32." in out
    report = json.loads(path.read_text())
    assert report["kind"] == "energy"
    assert report["measured"] == {"data": str(data), "slew": 0.1, "hazards": False}
    assert {record["component"] for record in report["records"]} >= {"total", "dot", "scale", "clock"}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (None, "not one of digits, minilm, stdlib, gaussian, nor an .npz file.*; give one of these"),
        (b"", "not one of digits, minilm, stdlib, gaussian, nor an .npz file.*; give one of these"),
        (b"PK\x03\x04 and no more", "nor an .npz file of weights"),
        ({"weights": np.zeros((2, 3))}, "nor an .npz file of weights"),
        ({"weights": np.zeros((2, 3)), "inputs": np.zeros((2, 4))}, r"\(2, 3\) and inputs \(2, 4\).*; reshape them"),
    ],
)
def test_bad_data_is_refused_in_one_line(tmp_path, arrays, message):
    path = tmp_path / "data.npz"
    if isinstance(arrays, bytes):
        path.write_bytes(arrays)
    elif arrays is not None:
        np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as error:
        operands(MacConfig.parse(SMALL), str(path))
    assert "\n" not in str(error.value)


def test_every_pin_of_every_cell_has_arcs(osu018):
    """The real library gives internal energy for each output of each combinational cell from each of its inputs."""
    power = Power.of(osu018)
    for name, cell in osu018.cells.items():
        arcs = {(arc.pin, arc.related) for arc in power.cells[name].arcs}
        assert arcs >= set(product(cell.functions, cell.inputs)), name
