"""One wrong bit in any component is found: each output of each component in turn has a bit stuck at 0."""

import re

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.design import MacDesign, design
from vsq.tb.designs import RANDOM_TESTS
from vsq.tb.regression.job import TOP, Job, Result, run_jobs
from vsq.tb.simulation.simulators import Simulator, probe

pytestmark = pytest.mark.slow

CONFIG = MacConfig.parse("4/4U/4/6:V=4,R=6,acc=16")
PARTS = {part: CONFIG for part in MacDesign.parts.values() if part != "decoder"}
PARTS["decoder"] = MacConfig.parse("4/4U/ue4m3/-:V=2,dpq=1")
PORT = re.compile(r"^  (input|output) +(?:wire|reg) +(?:signed )?(?:\[(\d+):0\])? *(\w+)", re.MULTILINE)


def outputs(verilog: str, module: str) -> dict[str, int]:
    """Return the output ports of a module with their widths."""
    return {name: int(high or 0) + 1 for kind, high, name in ports(verilog, module) if kind == "output"}


def ports(verilog: str, module: str) -> list[tuple[str, str, str]]:
    start = verilog.index(f"module {module}(")
    return PORT.findall(verilog[start : verilog.index("endmodule", start)])


def with_bits_kept(verilog: str, module: str, port: str, mask: int) -> str:
    """Return the design with a module's output reduced to the bits of ``mask``."""
    high = outputs(verilog, module)[port] - 1
    declarations = "".join(f"  {kind} [{top or 0}:0] {name};\n" for kind, top, name in ports(verilog, module))
    names = [name for _, _, name in ports(verilog, module)]
    connections = ", ".join(f".{name}({'sound' if name == port else name})" for name in names)
    return verilog.replace(f"module {module}(", f"module {module}_sound(") + (
        f"module {module}({', '.join(names)});\n{declarations}  wire [{high}:0] sound;\n"
        f"  {module}_sound part({connections});\n  assign {port} = sound & {high + 1}'h{mask:x};\nendmodule\n"
    )


@pytest.fixture
def simulate(require_tool, tmp_path):
    """Return a function that simulates a design with the faster simulator that is here, and returns the result."""
    simulator = "icarus" if isinstance(probe()["icarus"], Simulator) else "verilator"
    require_tool(simulator)

    def simulate(name: str, verilog: str, config: MacConfig = CONFIG) -> Result:
        job = Job(config=config.full_name, simulator=simulator, seed=1, beats=300, verilog=verilog, waves=False)
        [(_, result)] = run_jobs([job], tmp_path / name, workers=1)
        return result

    return simulate


def test_the_wrapper_itself_is_harmless(simulate):
    verilog = design(CONFIG).verilog(TOP)
    for component in (part for part, config in PARTS.items() if config == CONFIG):
        module = f"{TOP}_{component}"
        port, width = next(iter(outputs(verilog, module).items()))
        verilog = with_bits_kept(verilog, module, port, (1 << width) - 1)
    assert simulate("sound", verilog).passed


@pytest.mark.parametrize(("component", "config"), PARTS.items())
def test_one_wrong_bit_is_found(component, config, simulate):
    sound, module = design(config).verilog(TOP), f"{TOP}_{component}"
    assert outputs(sound, module)
    for port, width in outputs(sound, module).items():
        bit = width // 2
        result = simulate(port, with_bits_kept(sound, module, port, (1 << width) - 1 - (1 << bit)), config)
        failed = {outcome.name for outcome in result.outcomes if outcome.failure}
        assert failed, f"{module}: {port}[{bit}] stuck at 0 is not found"
        assert failed <= set(RANDOM_TESTS), f"{module}: {port}[{bit}] stuck at 0 broke the simulation: {result}"
