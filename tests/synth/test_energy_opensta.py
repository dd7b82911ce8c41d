"""The energy of a whole MAC against OpenSTA's, with uniform activity.

OpenSTA 2.0.17 (Debian's) attributes internal energy in its own way: it takes an arc's rise *plus* fall energy, times
the related pin's activity and the probability that the output depends on it where it can infer that from the function,
else times half the pin's own activity, and does not normalize. (Later versions take the mean of rise and fall, and
normalize, as `vsq.synth.measure.energy` does.) Here our tables, loads and units get its weights, and then both must
agree.
"""

import re
import subprocess

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.design import design
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.gatesim.netlist import clocks_of, flat
from vsq.synth.gatesim.simulation import Activity
from vsq.synth.library.liberty import Library
from vsq.synth.library.power import Power
from vsq.synth.library.syntax import parse, truth_table
from vsq.synth.measure.energy import CLOCK, INPUTS, energies, pin_loads

CONFIG = MacConfig.parse("3/4/3/3:V=3")
SLEW = 0.1  # ns, on all pins
PERIOD = 10  # ns
TOGGLES, ONES = 0.3, 0.5
TOLERANCE = 0.002  # OpenSTA computes in single precision and takes the larger of rise and fall capacitances
SCRIPT = """
read_liberty {library}
set_cmd_units -time ns
read_verilog mapped.v
link_design {top}
create_clock -name clock -period {period} [get_ports clk]
set inputs {{}}
foreach port [all_inputs] {{if {{[get_property $port full_name] != "clk"}} {{lappend inputs $port}}}}
set_input_delay 0 -clock clock $inputs
set_clock_transition {slew} [get_clocks clock]
set_input_transition {slew} [all_inputs]
set_assigned_transition {slew} [get_pins */*]
set_power_activity -global -activity {toggles} -duty {ones}
report_power -digits 8
"""


@pytest.fixture
def library(osu018, require_tool):
    """OSU's cells without its latch: OpenSTA takes gated clocks for nets like others."""
    require_tool("sta")
    return Library.load(osu018.path, dont_use=["LATCH"])


@pytest.fixture
def opensta(library, tmp_path):
    """Return a function that gives OpenSTA's internal, switching and leakage power of a flat netlist in watts."""

    def report(netlist):
        values = {"period": PERIOD, "slew": SLEW, "toggles": TOGGLES, "ones": ONES}
        script = SCRIPT.format(library=library.path, top=netlist.top, **values)
        (tmp_path / "mapped.v").write_text(re.sub(r"\bsigned ", "", netlist.verilog))
        (tmp_path / "script.tcl").write_text(script)
        command = ["sta", "-no_splash", "-exit", "script.tcl"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "Error" not in done.stdout, done.stdout
        return [float(number) for number in re.search(r"^Total +(.*?) +100", done.stdout, re.MULTILINE)[1].split()[:3]]

    return report


def uniform(gates, library):
    activity = Activity(
        toggles=np.full(gates.nets, TOGGLES),
        ones=np.full(gates.nets, ONES),
        reads=np.zeros(0),
        writes=np.zeros(0),
        cycles=1,
    )
    activity.toggles[list(clocks_of(gates, library).nets)] = 2
    return activity


def factor(function, pin, inputs):
    """OpenSTA's weight of the arc from ``pin``, by which rise plus fall is multiplied; None if it infers nothing."""
    text = function
    while True:
        text = text.strip()
        if text.startswith("!"):
            text = text[1:]
        elif text.startswith("(") and matching(text) == len(text) - 1:
            text = text[1:-1]
        else:
            break
    if text == pin:
        return TOGGLES
    left, operator, right = split(text)
    if pin not in (left, right):
        return None
    table = truth_table(right if pin == left else left, inputs)
    share = table.bit_count() / (1 << len(inputs))
    return TOGGLES * (share if operator == " " else 1 - share)


def matching(text):
    """The position of the parenthesis that closes the first one."""
    depth = 0
    for position, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return position
    raise AssertionError(text)


def split(text):
    """Left operand, operator and right operand of an expression that is not in parentheses."""
    end = matching(text) + 1 if text.startswith("(") else re.match(r"\w+", text).end()
    operator = text[end:].strip()[0]
    operator = operator if operator in "+^" else " "
    return text[:end], operator, text[end:].strip().removeprefix(operator).strip()


def opensta_internal(gates, power, library):
    """Joules a cycle by OpenSTA 2.0.17's rule."""
    functions = {
        (cell.name, name): pin.attributes["function"]
        for cell in parse(library.text).find("cell")
        for pin in cell.find("pin")
        for name in pin.arguments
        if "function" in pin.attributes
    }
    clocks = {name: getattr(logic, "clock", None) for name, logic in library.logic.items()}
    loads = pin_loads(gates, power)
    total = 0.0
    for gate in gates.gates:
        cell = library.cells[gate.cell]
        for arc in power.cells[gate.cell].arcs:
            if arc.pin not in gate.pins:
                continue
            source = arc.related or arc.pin
            if source == clocks[gate.cell]:
                weight = 2 if arc.related is None else TOGGLES
            else:
                weight = None
                if arc.related:
                    weight = factor(functions[gate.cell, arc.pin], arc.related, cell.inputs)
                weight = TOGGLES / 2 if weight is None else weight
            load = loads[[gate.pins[arc.pin]]] if arc.pin not in power.cells[gate.cell].inputs else np.zeros(1)
            total += 2 * weight * arc.energy(SLEW, load)[0]
    return total


def test_a_mac_agrees_with_opensta(library, opensta):
    netlist = synthesize(design(CONFIG).rtlil("mac"), "mac", Flow(library=library, flatten=True))
    gates, power = flat(netlist), Power.of(library)
    found = energies(gates, uniform(gates, library), power, SLEW)
    internal, switching, leakage = opensta(netlist)
    watts = 1e9 / PERIOD
    # Clocks and inputs of the top are no cell's output, and OpenSTA leaves out what they drive.
    driven = sum(energy.switching for component, energy in found.items() if component not in (CLOCK, INPUTS))
    assert driven * watts == pytest.approx(switching, rel=TOLERANCE)
    assert sum(energy.leakage for energy in found.values()) == pytest.approx(leakage, rel=TOLERANCE)
    assert opensta_internal(gates, power, library) * watts == pytest.approx(internal, rel=TOLERANCE)


def test_gates_of_two_inputs_cost_half_of_what_opensta_says(library, opensta):
    """Where all pins are alike, OpenSTA's rule is ours, but for counting rise and fall energy at every transition."""
    rng = np.random.default_rng(1)
    kinds = ["NAND2X1", "NOR2X1", "AND2X2", "OR2X1", "XOR2X1", "XNOR2X1"]
    gates, wires = [], ["a", "b"]
    for number in range(60):
        one, other = rng.choice(wires, 2, replace=False)
        gates.append(f"{kinds[number % 6]} g{number} (.A({one}), .B({other}), .Y(w{number})); ")
        gates.append(f"INVX1 i{number} (.A(w{number}), .Y(n{number}));")
        wires += [f"w{number}", f"n{number}"]
    verilog = f"module m(input clk, a, b, output y); {''.join(gates)} BUFX2 o (.A(n59), .Y(y)); endmodule"
    netlist = Netlist(top="m", modules={"m": {}}, verilog=verilog)
    flattened = flat(netlist)
    found = energies(flattened, uniform(flattened, library), Power.of(library), SLEW)
    internal, switching, _ = opensta(netlist)
    assert 2 * found["top"].internal * 1e9 / PERIOD == pytest.approx(internal, rel=TOLERANCE)
    assert found["top"].switching * 1e9 / PERIOD == pytest.approx(switching, rel=TOLERANCE)
