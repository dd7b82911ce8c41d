"""The mapped netlist does what its RTL does: proved by Yosys, with the cell models that it reads from the Liberty."""

import dataclasses

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.synth.flow.memory import BIT
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
    """Prove equality of all outputs for every input over ``steps`` cycles from the all-zero state."""
    commands = [
        "read_rtlil gold.il",
        f"hierarchy -top {netlist.top}",
        "flatten",
        f"rename {netlist.top} gold",
        "design -stash gold",
        "read_liberty cells.lib",
        "read_verilog mapped.v",
        f"hierarchy -check -top {netlist.top}",
        "flatten",
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
    run_yosys(commands, {"gold.il": gold, "mapped.v": netlist.verilog, "cells.lib": library.text})


def library_of(tmp_path, text):
    path = tmp_path / "cells.lib"
    path.write_text(text)
    return Library.load(path)


@pytest.mark.parametrize("text", [SMALL, "2/1U/-/1:V=1,overflow=wrap,acc=3,pipeline=1"])
@pytest.mark.parametrize("options", [{}, {"goal": Goal.DELAY}, {"flatten": True}], ids=str)
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
    prove(gold, netlist, osu018)


def test_flip_flops_with_enable_are_used_where_there_are_some():
    config = MacConfig.parse(SMALL)
    gold, library = design(config).rtlil(), Library.load("gates")
    netlist = synthesize(gold, design(config).default_name, Flow(library=library))
    assert netlist.modules[f"{netlist.top}_accumulator"]["DFFE"]
    prove(gold, netlist, library)


def test_a_flip_flop_that_no_design_can_use_is_named(tmp_path):
    odd = TINY.replace('next_state : "I"', 'next_state : "I ^ S"')
    config = MacConfig.parse(SMALL)
    with pytest.raises(InputError, match=r"D flip-flops are not supported.*; give one that has them") as error:
        synthesize(design(config).rtlil(), design(config).default_name, Flow(library=library_of(tmp_path, odd)))
    assert "\n" not in str(error.value)


def test_memories_are_counted_in_bits():
    """Each memory of a processing element, and no flip-flop in its place."""
    config = PeConfig.parse("3/4/2/3:V=2@lanes=4,weight_depth=4,activation_depth=16")
    name = design(config).default_name
    netlist = synthesize(design(config).rtlil(), name, Flow(library=Library.load()))
    bits = {module.removeprefix(f"{name}_"): cells[BIT] for module, cells in netlist.modules.items() if BIT in cells}
    params = config.multiplier_bits + config.shift_bits + config.bias_bits
    assert bits == {
        "weight_buffer": 2 * 4 * 4 * (2 * 3 + 2),
        "activation_buffer": 2 * 16 * (2 * 4 + 3),
        "params_buffer": 2 * 4 * params,
        "ppu_scale": (2 + 2) * (1 + config.z_range[1].bit_length()),
    }
