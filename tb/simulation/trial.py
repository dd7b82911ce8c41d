"""A design of three lines, built and simulated: ``python -m vsq.tb.simulation.trial SIMULATOR FOLDER``.

Nothing of it is cached: a cached build would hide that a compiler has been removed since.
"""

import sys
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer
from cocotb_tools.check_results import get_results

from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job
from vsq.tb.simulation.build import excerpt

DESIGN = f"""module {TOP}(input [3:0] d, output [3:0] q);
  assign q = ~d;
endmodule
"""


@cocotb.test()
async def inverts(dut: Any) -> None:
    """Compare one output."""
    dut.d.value = 5
    await Timer(1, "ns")
    assert dut.q.value == 10


def main(simulator: str, folder: Path) -> str:
    """Build and simulate in an empty folder; return what failed, or an empty string."""
    worker.prepare_environment(simulator)
    source, log = folder / f"{TOP}.v", folder / "build.log"
    source.write_text(DESIGN)
    try:
        worker.build(simulator, source, folder / "build", waves=False, log=log, cached=False)
        log = folder / "simulation.log"
        job = Job(config="", simulator=simulator, seed=0)
        passed = get_results(worker.simulate(job, __spec__.name, folder, tests=None)) == (1, 0)
    except (RuntimeError, SystemExit):  # a command failed
        passed = False
    return "" if passed else excerpt(log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])) or 0)
