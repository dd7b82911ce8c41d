"""The mapped netlist does what its RTL does: proved by Yosys, with the cell models that it reads from the Liberty."""

import dataclasses
import re

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow.models import gate_level_verilog
from vsq.synth.flow.netlist import Netlist, smallest
from vsq.synth.flow.synthesis import Flow, Goal, synthesize
from vsq.synth.library.liberty import Library

SMALL = "2/2/1/2:V=2,R=2,acc=7,pipeline=0"
TINY = """
library (tiny) {
  cell (N) { area : 1; pin (I) { direction : input; } pin (O) { direction : output; function : "!I"; } }
  cell (R) { area : 2; pin (I) { direction : input; }
    pin (J) { direction : input; } pin (O) { direction : output; function : "!(I+J)"; } }
  cell (B) { area : 2; pin (I) { direction : input; } pin (O) { direction : output; function : "I"; } }
  cell (F) { area : 7; ff (S, T) { next_state : "I"; clocked_on : "K"; } pin (K) { direction : input; }
    pin (I) { direction : input; }
    pin (O) { direction : output; function : "S"; } }
}
"""


def prove(gold, netlist, library, steps=3):
    """Prove equality of all outputs for every input over ``steps`` cycles from the all-zero state.

    Registers behind a clock gate count as registers with an enable.
    """
    commands = [
        "read_rtlil gold.il",
        f"hierarchy -top {netlist.top}",
        "flatten",
        f"rename {netlist.top} gold",
        "design -stash gold",
        "read_verilog -sv gate.v",
        f"hierarchy -check -top {netlist.top}",
        "proc",
        "flatten",
        "opt_clean",
        *(["opt_expr"] if library.clock_gate is None else []),  # an inverter before a latch becomes its polarity
        "formalff -declockgate",
        "opt_clean",
        "select -assert-none t:$dlatch",
        f"rename {netlist.top} gate",
        "design -stash gate",
        "design -copy-from gold gold",
        "design -copy-from gate gate",
        "async2sync",
        "miter -equiv -flatten -make_assert gold gate miter",
        "hierarchy -top miter",
        "opt -full",
        f"sat -verify -prove-asserts -set-init-zero -seq {steps} miter",
    ]
    run_yosys(commands, {"gold.il": gold, "gate.v": gate_level_verilog(netlist, library)})


def library_of(tmp_path, text):
    path = tmp_path / "cells.lib"
    path.write_text(text)
    return Library.load(path)


@pytest.mark.parametrize("text", [SMALL, "2/1U/-/1:V=1,overflow=wrap,acc=3,pipeline=1"])
@pytest.mark.parametrize("options", [{}, {"goal": Goal.BALANCED}, {"goal": Goal.DELAY}, {"flatten": True}], ids=str)
def test_mapped_netlist_equals_rtl(text, options):
    config = MacConfig.parse(text)
    gold, library = design(config).rtlil(), Library.load()
    netlist = synthesize(gold, design(config).default_name, Flow(library=library, **options))
    prove(gold, netlist, library, steps=3 + config.pipeline)


def test_a_wrong_netlist_is_not_proved():
    config = MacConfig.parse(SMALL)
    gold, library = design(config).rtlil(), Library.load()
    netlist = synthesize(gold, design(config).default_name, Flow(library=library))
    assert netlist.modules[f"{netlist.top}_dot"]["FA"]
    start = netlist.verilog.index("  FA ")
    wrong = netlist.verilog[:start] + netlist.verilog[start:].replace(".CO(", ".tmp(", 1).replace(".S(", ".CO(", 1)
    wrong = wrong.replace(".tmp(", ".S(", 1)
    with pytest.raises(YosysError, match="proof did fail"):
        prove(gold, dataclasses.replace(netlist, verilog=wrong), library)


def test_library_without_adder_cells_works(tmp_path):
    config = MacConfig.parse(SMALL)
    gold, library = design(config).rtlil(), library_of(tmp_path, TINY)
    netlist = synthesize(gold, design(config).default_name, Flow(library=library))
    used = {cell for cells in netlist.modules.values() for cell in cells} - netlist.modules.keys()
    assert used >= {"N", "R", "F"}
    prove(gold, netlist, library)


def test_a_foundry_library_maps_to_its_own_adders(osu018):
    config = MacConfig.parse(SMALL)
    gold = design(config).rtlil()
    netlist = synthesize(gold, design(config).default_name, Flow(library=osu018))
    assert (osu018.full_adder.name, osu018.half_adder.name) == ("FAX1", "HAX1")
    assert sum(cells.get("FAX1", 0) for cells in netlist.modules.values())
    assert netlist.modules[f"{netlist.top}_accumulator"]["LATCH"] == 1  # with an AND a clock gate, of which it has none
    prove(gold, netlist, osu018)


def test_flip_flops_with_enable_are_used_where_there_are_some():
    config = MacConfig.parse(SMALL)
    gold, library = design(config).rtlil(), Library.load("gates")
    netlist = synthesize(gold, design(config).default_name, Flow(library=library))
    assert netlist.modules[f"{netlist.top}_accumulator"]["DFFE"]
    prove(gold, netlist, library)


GATE = """
  cell (G) { area : 3; clock_gating_integrated_cell : latch_posedge_precontrol;
    statetable ("K E T", "S") { table : "L L L : - : L, L - - : - : H, H - - : - : N"; }
    pin (K) { direction : input; clock_gate_clock_pin : true; }
    pin (E) { direction : input; clock_gate_enable_pin : true; }
    pin (T) { direction : input; clock_gate_test_pin : true; }
    pin (O) { direction : output; clock_gate_out_pin : true; } }
}
"""


def test_a_foundry_clock_gate_with_a_pin_for_tests_is_used(tmp_path):
    """Its table of states is not what Yosys reads; the pin for tests is tied to 0."""
    config = MacConfig.parse(SMALL)
    gold, library = design(config).rtlil(), library_of(tmp_path, TINY.rstrip().removesuffix("}") + GATE)
    netlist = synthesize(gold, design(config).default_name, Flow(library=library))
    assert netlist.modules[f"{netlist.top}_accumulator"]["G"] == 1
    prove(gold, netlist, library)
    assert netlist.verilog.count(".T(1'h0)") == 1
    enabled = netlist.verilog.replace(".T(1'h0)", ".T(1'h1)")
    with pytest.raises(YosysError, match="proof did fail"):
        prove(gold, dataclasses.replace(netlist, verilog=enabled), library)


def test_each_module_is_that_of_the_smaller_mapping():
    library = Library.load()
    mappings = [
        Netlist(
            top="m",
            modules={"m": {"m_a": 1, "m_b": 1, "INV": count}, "m_a": {"FA": count}, "m_b": {"DFF": 3 - count}},
            verilog="".join(f"module {name} (x{count});\nendmodule\n" for name in ("m", "m_a", "m_b")),
        )
        for count in (1, 2)
    ]
    found = smallest(mappings, library)
    assert found.modules == {"m": {"m_a": 1, "m_b": 1, "INV": 1}, "m_a": {"FA": 1}, "m_b": {"DFF": 1}}
    assert re.findall(r"module (\w+) \((\w+)\)", found.verilog) == [("m", "x1"), ("m_a", "x1"), ("m_b", "x2")]
    assert smallest(mappings[::-1], library).modules == found.modules


def test_a_flip_flop_that_no_design_can_use_is_named(tmp_path):
    odd = TINY.replace('next_state : "I"', 'next_state : "I ^ S"')
    config = MacConfig.parse(SMALL)
    with pytest.raises(InputError, match=r"D flip-flops are not supported.*; give one that has them") as error:
        synthesize(design(config).rtlil(), design(config).default_name, Flow(library=library_of(tmp_path, odd)))
    assert "\n" not in str(error.value)


def test_memories_are_counted_by_shape():
    """Each shape of memories is a module of one, and no flip-flop is in its place; so is the queue of outputs."""
    config = PeConfig.parse("3/4/2/3:V=2@lanes=4,weight_depth=4,activation_depth=16")
    name = design(config).default_name
    netlist = synthesize(design(config).rtlil(), name, Flow(library=Library.load()))
    found = {
        module.removeprefix(f"{name}_"): {cell: count for cell, count in cells.items() if MemoryShape.of(cell)}
        for module, cells in netlist.modules.items()
    }
    params = config.multiplier_bits + config.shift_bits + config.bias_bits
    queue = MemoryShape(1 + config.z_range[1].bit_length(), 2 + 2, registered=False)
    weight, activation = MemoryShape(2 * 3 + 2, 2 * 4), MemoryShape(2 * 4 + 3, 2 * 16)
    own = [weight.kind, activation.kind, MemoryShape(params, 2 * 4, registered=False).kind]
    expected = {**{kind: {kind: 1} for kind in own}, "ppu_scale": {queue.kind: 1}}
    assert {module: memories for module, memories in found.items() if memories} == expected
    assert netlist.modules[f"{name}_weight_buffer"][f"{name}_{weight.kind}"] == 4
