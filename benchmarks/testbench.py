"""Speed of two benches and the playback on the same RTL in the same run (``make bench``).

The cost of a beat is the CPU time that a longer stream takes more than a shorter one, so that neither building nor
starting counts. The C++ playback counts its simulation alone, and its whole chain (packing, golden model, comparison)
in a row of its own.
"""

import json
import resource
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from rich.console import Console
from rich.table import Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.stimulus import stream
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.hw.mac.pipeline import latency
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.mac import MacInterface
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import PLAYBACK_TESTS, TOP, Job
from vsq.tb.regression.worker import build, prepare_environment, simulate
from vsq.tb.simulation import simulators

CONFIG = MacConfig.parse("4/4/4/6")
_COCOTB_BEATS = (1_024, 8_192)
_PLAYBACK_BEATS = 1_000_000
_GROUPS = 16  # vectors of each result


def main() -> None:
    """Measure and print."""
    prepare_environment("verilator")
    table = Table("bench", "beats/s", "ratio to the per-cycle bench", title=f"{CONFIG} V={CONFIG.vector_size}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / f"{TOP}.v"
        source.write_text(design(CONFIG).verilog(TOP))
        rates = {
            f"cocotb: {about} ({module})": _rate(folder, source, module)
            for about, module in (
                ("plain, each cycle", "benchmarks.percycle_bench"),
                ("agents and coverage", "vsq.tb.bench.mac"),
            )
        }
    beats = _beats(_PLAYBACK_BEATS)
    interface = MacInterface(CONFIG)
    play(CONFIG, interface.streams(beats.select(slice(1))))  # builds
    before = time.process_time()
    totals = play(CONFIG, interface.streams(beats))
    chain = time.process_time() - before + totals.seconds
    rates["C++: simulation alone (vsq.tb.playback)"] = len(beats) / totals.seconds
    rates["C++: with golden model and comparison"] = len(beats) / chain
    slowest = next(iter(rates.values()))
    for bench, rate in rates.items():
        table.add_row(bench, f"{rate:,.0f}", f"{rate / slowest:.1f}")
    console = Console(width=120)
    console.print(table, f"CPU time; Verilator {simulators.find('verilator').version}, NumPy {np.__version__}")


def _beats(count: int) -> Beats:
    """Return a layer of random codes, ``count`` beats of it."""
    rng = np.random.default_rng(1)
    rows = channels = int(np.ceil(np.sqrt(count / _GROUPS)))

    def codes(number: int, low: int, high: int, *axes: int) -> np.ndarray:
        return rng.integers(low, high, (number, _GROUPS, *axes), endpoint=True)

    c, v = CONFIG, CONFIG.vector_size
    assert c.weight_scale
    assert c.activation_scale
    weights = BlockOperand(codes(channels, c.weight.min, c.weight.max, v), codes(channels, 0, c.weight_scale.max))
    activations = BlockOperand(
        codes(rows, c.activation.min, c.activation.max, v), codes(rows, 0, c.activation_scale.max)
    )
    return stream.layer(weights, activations).select(slice(count - count % _GROUPS))


def _rate(folder: Path, source: Path, module: str) -> float:
    """Return beats per second of a cocotb bench, from the times of a short and a long stream."""
    place = folder / module
    place.mkdir()
    build("verilator", source, place / "build", waves=False, log=place / "build.log")
    short, long = _COCOTB_BEATS
    return (long - short) / (_simulate(place, module, long) - _simulate(place, module, short))


def _simulate(folder: Path, module: str, count: int) -> float:
    """Run a cocotb bench on a stream; return the CPU seconds of the simulation."""
    streams = MacInterface(CONFIG).streams(_beats(count))
    Recording(config=CONFIG.full_name, streams=streams).save(folder / "beats.npz")
    job = Job(config=CONFIG.full_name, simulator="verilator", seed=0, playback=str(folder / "beats.npz"))
    (folder / "run.json").write_text(json.dumps({**vars(job), "rtl": "", "latency": latency(CONFIG)}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = simulate(job, module, folder, tests=PLAYBACK_TESTS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if [case.find("failure") for case in ElementTree.parse(results).iter("testcase")] != [None]:
        raise RuntimeError(f"{module} failed:\n{(folder / 'simulation.log').read_text()[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
