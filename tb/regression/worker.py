"""The process of one job: ``python -m vsq.tb.regression.worker FOLDER``.

The folder holds ``job.json`` on entry; ``result.json`` comes last, written atomically.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import cocotb_tools.config
from cocotb_tools.runner import get_runner

from vsq.golden.io.files import write_text
from vsq.hw.emit.design import design
from vsq.tb.coverage import points
from vsq.tb.failures.recording import Recording, rtl_hash
from vsq.tb.formal.rules import rules
from vsq.tb.playback.playback import PlaybackError, play
from vsq.tb.regression.job import RECORDING, TOP, Job, Outcome, Result
from vsq.tb.regression.shell import generated, name_within
from vsq.tb.simulation import objcache, simulators
from vsq.tb.simulation.build import excerpt

_RULES = f"{TOP}_sva.sv"  # beside the design
_TIMESCALE = ("1ns", "1ps")
# cocotb's runner makes every signal public, which keeps Verilator from optimizing; the benches use the pins alone. A
# user's design may have warnings, and delays in the models of its cells, which are ignored.
_BUILD_ARGS = {
    "verilator": [
        "--no-public-flat-rw",
        "--public-depth",
        "1",
        "-Wno-fatal",
        "--no-timing",
        "--assert",
    ],
    "icarus": [],
}


def run(job: Job, folder: Path) -> Result:
    """Build and simulate; after a failure once more with waves and the same seed."""
    start = time.perf_counter()
    source = prepare(job, folder)
    recording = Recording.load(Path(job.playback)) if job.playback else None
    if recording and not recording.simulator:
        outcomes = [_play(job, folder, source, recording)]
    else:
        outcomes = _simulate(job, folder, source, waves=False)
    counts, coverage = (
        json.loads(path.read_text()) if path.exists() else {}
        for path in (folder / "counts.json", folder / "coverage.json")
    )
    result = Result(outcomes=outcomes, counts=counts, coverage=coverage, seconds=time.perf_counter() - start)
    if result.passed:
        return replace(result, outcomes=[*outcomes, *verdict(job, coverage)])
    if not job.waves:
        return result
    _simulate(job, folder, source, waves=True)
    waves = next((path for path in folder.rglob("*") if path.suffix in (".vcd", ".fst")), None)
    return replace(result, waves=str(waves.relative_to(folder)) if waves else None)


def prepare_environment(simulator: str) -> None:
    """Let cocotb's runner find a simulator, or raise an InputError, and report in files."""
    os.environ |= {**simulators.find(simulator).environment(), "OBJCACHE": objcache.COMMAND}
    os.environ.pop("PYTEST_CURRENT_TEST", None)  # cocotb's runner would name and check its results by it


def build(simulator: str, source: Path, folder: Path, *, waves: bool, log: Path, cached: bool = True) -> None:
    """Build a simulation of the module :data:`vsq.tb.regression.job.TOP`, and of its assertions, in ``folder``.

    If ``cached``, one build by Verilator without waves serves every job and run of the same Verilog.
    """
    arguments = [*_BUILD_ARGS[simulator]]
    if waves and simulator == "verilator":  # as FST, if the headers that its writer includes are here, else as VCD
        headers = b"#include <lz4.h>\n#include <zlib.h>\n"
        probe = subprocess.run(["g++", "-E", "-x", "c++", "-"], input=headers, capture_output=True, check=False)
        arguments += [] if probe.returncode else ["--trace-fst"]

    rules_of_design = source.with_name(_RULES)
    sources = [source, *([rules_of_design] if rules_of_design.exists() else [])]

    def make() -> None:
        get_runner(simulator).build(
            sources=sources,
            hdl_toplevel=TOP,
            build_dir=folder,
            build_args=arguments,
            timescale=_TIMESCALE,
            waves=waves,
            log_file=log,
        )

    if not cached or waves or simulator != "verilator":
        make()
        return
    # The simulator names the folder of cocotb's libraries, which another environment at the same place need not have.
    libraries = cocotb_tools.config.libs_dir
    tools = [simulators.find("verilator").version, version("cocotb"), objcache.compiler_version("g++"), libraries]
    kept = objcache.path(TOP, "", tools, arguments, [path.read_text() for path in sources])
    folder.mkdir()
    objcache.make_once(folder / TOP, kept, make)


def prepare(job: Job, folder: Path) -> Path:
    """Write the design and the run's settings, after :func:`prepare_environment`; return the Verilog file."""
    prepare_environment(job.simulator)
    made, source = design(job.design), folder / f"{TOP}.v"
    verilog = job.verilog or generated(job.design)
    source.write_text(verilog)
    # Icarus knows no bind, and other designs than the generated one may hold more results than its assertions allow.
    if job.simulator == "verilator" and not job.verilog:
        (folder / _RULES).write_text(rules(made, name_within(job.design)))
    settings = {**asdict(job), "latency": made.latency, "rtl": rtl_hash(verilog)}
    (folder / "run.json").write_text(json.dumps(settings))
    return source


def _play(job: Job, folder: Path, source: Path, recording: Recording) -> Outcome:
    """Stream a recording without Python in the simulation; a failure leaves one of the beats that led to it."""
    seconds, failure, verilog = 0.0, "", source.read_text()
    pace, simulator = recording.pace(), job.simulator
    try:
        totals = play(job.design, recording.streams, pace, simulator=simulator, verilog=verilog, context=job.config)
        (folder / "counts.json").write_text(json.dumps({**totals.board.counts, "cycles": totals.cycles}))
        seconds = totals.seconds
    except PlaybackError as error:
        failure = str(error)
        cut = replace(recording, streams=error.streams, simulator=job.simulator, seed=job.seed, rtl=rtl_hash(verilog))
        cut.save(folder / RECORDING)
        settings = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**settings, "playback": str(folder / RECORDING)}))  # for its waves
    except RuntimeError as error:
        failure = str(error)
    return Outcome(name=job.tests[0], seconds=seconds, failure=failure)


def _simulate(job: Job, folder: Path, source: Path, *, waves: bool) -> list[Outcome]:
    """Build and run the job's tests; a build or a simulation that breaks counts as a failed test."""
    log, results, found = folder / "build.log", folder / "results.xml", dict[str, Outcome]()
    try:
        build(job.simulator, source, folder / ("waves" if waves else "build"), waves=waves, log=log)
        log = folder / "simulation.log"
        for tests in job.simulations:
            results.unlink(missing_ok=True)
            simulate(job, job.environment.bench, folder, tests=tests, waves=waves)
            found |= report(results)
        broken = False
    except (RuntimeError, SystemExit):  # a command failed; failed tests alone need not make it fail
        broken = True
        found |= report(results)
    outcomes = []
    if found:
        absent = "the test did not run"
        outcomes = [found.get(name, Outcome(name=name, failure=absent)) for name in job.tests]
    if outcomes and (not broken or any(outcome.failure for outcome in outcomes)):
        return outcomes
    return [*outcomes, Outcome(name=log.stem, failure=excerpt(log))]


def simulate(
    job: Job, bench: str, folder: Path, *, tests: Sequence[str] | None, waves: bool = False, **variables: str
) -> Path:
    """Run tests of the module ``bench``, None for all, on what is built in ``folder``; return cocotb's report.

    ``variables`` of the environment stand beside ``VSQ_RUN``, the run that :func:`prepare` describes.
    """
    return get_runner(job.simulator).test(
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        test_module=bench,
        testcase=tests,
        seed=job.seed,
        test_dir=folder,
        build_dir=folder / ("waves" if waves else "build"),
        results_xml=str(folder / "results.xml"),
        timescale=_TIMESCALE,
        waves=waves,
        log_file=folder / "simulation.log",
        extra_env={"VSQ_RUN": str(folder / "run.json"), **variables},
    )


def report(results: Path) -> dict[str, Outcome]:
    """Read cocotb's report, if there is one: the outcome of each test by its name."""
    outcomes = dict[str, Outcome]()
    if not results.exists():
        return outcomes
    for case in ElementTree.parse(results).iter("testcase"):
        problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        failure = "" if problem is None else problem.get("message") or problem.text or problem.tag
        name = case.get("name", "").rpartition(".")[2]
        outcomes[name] = Outcome(name=name, seconds=float(case.get("time", 0)), failure=failure)
    return outcomes


def verdict(job: Job, coverage: points.Hits) -> list[Outcome]:
    """Return the outcome that the coverage of a random job adds to its tests: points that it must close are closed.

    Streams from a file report alone.
    """
    if job.playback:
        return []
    config, required = job.design, job.environment.required
    total = points.merge([job.environment.reachable(config), coverage])
    wanted = {point: bins for point, bins in total.items() if required(config, job.beats, point)}
    return [Outcome(name="coverage", failure=points.report(wanted))]


def _end_with_parent() -> None:
    """Kill the process group that this process leads when the other end of standard input, the parent, is gone."""
    if os.getpgrp() != os.getpid():
        return

    def wait() -> None:
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main(folder: Path) -> None:
    """Run the job that ``folder`` describes."""
    _end_with_parent()
    result = run(Job(**json.loads((folder / "job.json").read_text())), folder)
    write_text(folder / "result.json", json.dumps(asdict(result)))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
