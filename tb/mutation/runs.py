"""Runs every variant of a design through the benches that ship: cocotb's, and the plain-Verilog one."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

from vsq.golden.contract.configuration import Configuration
from vsq.tb.designs import environment
from vsq.tb.mutation.mutants import Mutants
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job
from vsq.tb.simulation import simulators
from vsq.tb.simulation.build import compiled
from vsq.tb.vectors.generation import generate

_FLAGS = ("--binary", "--timing", "--x-initial", "unique", "-CFLAGS", "-fcoroutines", "-CFLAGS", "-O1")
_SECONDS = 120  # after which a variant has hung the plain bench


def run_cocotb(config: Configuration, mutants: Mutants, seed: int, folder: Path) -> list[str]:
    """Return for each variant the test of the bench that fails and how; empty if all pass.

    Raises:
        InputError: If Verilator is missing or too old.
        RuntimeError: If the simulation breaks.
    """
    source = folder / "variants.v"
    source.write_text(mutants.verilog)
    bench = environment(config)
    job = Job(config=config.full_name, simulator="verilator", seed=seed, beats=bench.beats, verilog=str(source))
    worker.prepare_environment(job.simulator)
    path = worker.prepare(job, folder)
    worker.build(job.simulator, path, folder / "build", waves=False, log=folder / "build.log")
    results = get_runner(job.simulator).test(
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        test_module="vsq.tb.mutation.bench",
        seed=seed,
        test_dir=folder,
        build_dir=folder / "build",
        results_xml=str(folder / "results.xml"),
        timescale=worker.TIMESCALE,
        log_file=folder / "simulation.log",
        extra_env={
            "VSQ_RUN": str(folder / "run.json"),
            "VSQ_BENCH": bench.bench,
            "VSQ_TESTS": ",".join(bench.tests),
            "VSQ_VARIANTS": str(mutants.variants),
        },
    )
    found = [""] * mutants.variants
    cases = list(ElementTree.parse(results).iter("testcase"))
    if len(cases) != len(job.tests) * mutants.variants:
        raise RuntimeError(f"{config.full_name}: {len(cases)} tests ran; see {folder / 'simulation.log'}")
    for case in cases:
        test, _, variant = case.get("name", "").rpartition("/variant=")
        problem = next((child for tag in ("failure", "error") if (child := case.find(tag)) is not None), None)
        if problem is not None:
            reason = (problem.get("message") or problem.text or problem.tag).splitlines()
            found[int(variant)] = f"{test.rpartition('.')[2]}: {' '.join(reason[:1])}"
    return found


def run_plain(config: Configuration, mutants: Mutants, seed: int, folder: Path) -> list[str]:
    """Return for each variant what the plain-Verilog bench says; empty if it passes.

    Raises:
        InputError: If Verilator is missing or too old.
        RuntimeError: If the bench does not build.
    """
    verilator, name = simulators.find("verilator"), "selected"
    generate(config, folder, name, vectors=environment(config).mutant_vectors, seed=seed)
    bench = f"{name}_tb"
    texts = {f"{bench}.v": (folder / f"{bench}.v").read_text(), "wrapper.v": mutants.selected(name)}
    program = compiled(verilator, {**texts, "variants.v": mutants.verilog}, folder, _FLAGS, top=bench)

    def result(variant: int) -> str:
        command = [*program, f"+variant={variant}"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return "it hangs"
        lines = done.stdout.splitlines() or [f"exit code {done.returncode}"]
        return "" if done.returncode == 0 and any(line.startswith("PASS") for line in lines) else lines[0]

    return [result(variant) for variant in range(mutants.variants)]


RUNS: dict[str, Callable[[Configuration, Mutants, int, Path], list[str]]] = {
    "cocotb": run_cocotb,
    "plain": run_plain,
}
