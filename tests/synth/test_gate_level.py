"""The mapped netlist under the co-simulation's random regression, against the golden model; no X after reset."""

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.synth.flow.models import gate_level_verilog
from vsq.synth.flow.synthesis import Flow, Goal, synthesize
from vsq.synth.library.liberty import Library
from vsq.tb.designs import RANDOM_TESTS
from vsq.tb.mutation.pins import Pins, rows, run_undefined
from vsq.tb.regression.job import TOP, Job, run_jobs
from vsq.tb.simulation.simulators import SIMULATORS

pytestmark = pytest.mark.slow

CONFIG = MacConfig.parse("4/4U/4/6:V=3,R=6,acc=16")
PE_CONFIGS = [
    PeConfig.parse(text)
    for text in (
        "4/6/4/6:V=2,R=4,acc=14@lanes=4,weight_depth=4,activation_depth=16",
        "3/4/2/3:V=2,acc=9@lanes=2,weight_depth=4,activation_depth=16,reuse=4",
    )
]


@pytest.fixture
def simulate(require_tool, tmp_path):
    """Return a function that simulates a netlist and returns the result."""

    def simulate(verilog, config=CONFIG, beats=200, simulator="icarus"):
        require_tool(simulator)
        job = Job(config=config.full_name, simulator=simulator, seed=1, beats=beats, verilog=verilog, waves=False)
        [(_, result)] = run_jobs([job], tmp_path / "run", workers=1)
        return result

    return simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("goal", Goal)
def test_netlist_equals_golden(goal, simulator, simulate):
    library = Library.load()
    netlist = synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=library, goal=goal))
    result = simulate(gate_level_verilog(netlist, library), simulator=simulator)
    assert result.passed
    assert [outcome.name for outcome in result.outcomes] == [*RANDOM_TESTS, "coverage"]


def test_netlist_of_other_formats_equals_golden(simulate):
    config, library = MacConfig.parse("e2m1/4/-/3:V=3,pipeline=3"), Library.load()
    netlist = synthesize(design(config).rtlil(TOP), TOP, Flow(library=library))
    assert simulate(gate_level_verilog(netlist, library), config=config).passed


@pytest.mark.parametrize("config", PE_CONFIGS, ids=str)
def test_netlist_of_a_processing_element_equals_golden(config, simulate):
    library = Library.load()
    netlist = synthesize(design(config).rtlil(TOP), TOP, Flow(library=library))
    assert simulate(gate_level_verilog(netlist, library), config, 20).passed


def test_netlist_of_a_foundry_library_equals_golden(osu018, simulate):
    netlist = synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=osu018))
    assert simulate(gate_level_verilog(netlist, osu018)).passed


@pytest.mark.parametrize("goal", Goal)
def test_netlist_has_no_undefined_value_after_reset(goal, require_tool, tmp_path):
    require_tool("icarus")
    library, pins = Library.load(), Pins(CONFIG)
    netlist = synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=library, goal=goal))
    assert run_undefined(pins, gate_level_verilog(netlist, library), rows(pins, 300, 1), tmp_path) == "passed"


def test_netlist_of_a_foundry_library_has_no_undefined_value_after_reset(osu018, require_tool, tmp_path):
    require_tool("icarus")
    pins = Pins(CONFIG)
    netlist = synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=osu018))
    assert run_undefined(pins, gate_level_verilog(netlist, osu018), rows(pins, 300, 1), tmp_path) == "passed"


def test_a_wrong_cell_is_found(simulate):
    library = Library.load()
    netlist = synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=library))
    verilog = gate_level_verilog(netlist, library)
    start = verilog.index("  FA ")
    assert not simulate(verilog[:start] + verilog[start:].replace(".A(", ".A(!", 1)).passed
