"""Commands for the start: a demonstration, and what is missing for it."""

import shutil
import subprocess
import tempfile
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vsq.cli.arguments import argument, command, folder
from vsq.cli.costs import area
from vsq.cli.designs import generate
from vsq.golden.contract import distribution
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.tb.regression.job import module
from vsq.tb.simulation.simulators import probe


@command(argument("--out", type=folder, default=Path("build/demo"), metavar="DIR", help="folder of the files"))
def demo(args: Namespace, console: Console) -> int:
    """Generate 4/4U/4/6, co-simulate a layer of a real network, print accuracy and area.

    example: vsq demo --out build/demo
    """
    from vsq.golden.nn.integer import inference
    from vsq.golden.workloads import digits
    from vsq.tb.regression.run import play
    from vsq.tb.simulation.simulators import find

    find("verilator")
    name = "4/4U/4/6"
    console.rule(f"1. Verilog, manifest and test vectors of {name}")
    code = generate(console, name, "--out", str(args.out), "--vectors", "1000")
    console.rule("2. A real layer on the generated hardware")
    config, plain = MacConfig.parse(name), "4/4U/-/-"
    workload = digits.workload()
    chain = workload.chain()
    beats = chain.first(1).layer(config, "conv2").beats()
    console.print(f"digits network, layer conv2: {len(beats)} vectors, {int(beats.last.sum())} results")
    summary = play(config, beats, sims=["verilator"], out=args.out, console=console)
    console.rule("3. Accuracy of the network in golden integers (360 test images)")
    scores = [workload.scores(workload.model())]
    for quantized in map(chain.quantized, (config, MacConfig.parse(plain))):
        with inference(quantized):
            scores.append(workload.scores(quantized))
    named = zip(("FP32", name, f"per-channel {plain}"), scores, strict=True)
    console.print("   ".join(f"{what} {found[workload.metric]:.1%}" for what, found in named))
    console.rule("4. Area against the 8-bit baseline")
    code |= area(console, name, "8/8U/-/-")
    return code | summary.exit_code


# what pip installs -> what ``import`` names
CORE = {"numpy": "numpy", "amaranth": "amaranth", "pyosys": "pyosys", "rich": "rich"}
OPTIONAL = {"cocotb": "cocotb", "torch": "torch", "safetensors": "safetensors", "scikit-learn": "sklearn"}
PROGRAMS = {
    "g++": "Verilator and fast simulation of networks",
    "make": "Verilator",
    "perl": "Verilator",
    "sta": "critical paths (OpenSTA)",
    "qflow": "layouts (with graywolf and qrouter)",
}


@command()
def doctor(args: Namespace, console: Console) -> int:
    """Show which tools are present and work, and how to install the others; exit code 1 if a required one does not.

    example: vsq doctor
    """
    table = Table("tool", "version", "what to do")
    table.add_row(distribution.NAME, distribution.VERSION, "")
    absent = set()
    for package, name in {**CORE, **OPTIONAL}.items():
        try:
            table.add_row(package, version(package), "")
        except PackageNotFoundError:
            table.add_row(package, "-", escape(distribution.install(name)))
            absent.add(package)
    problems: dict[str, str] = {}
    with console.status("simulating a design of three lines"):
        for name, found in probe().items():
            if isinstance(found, InputError):
                table.add_row(name, "-", escape(str(found)))
                continue
            problems[name] = _try(name)
            table.add_row(name, found.version, "does not work; see below" if problems[name] else "")
    for program, user in PROGRAMS.items():
        path = shutil.which(program)
        table.add_row(program, path or "-", "" if path else f"for {user}: install it from the system's packages")
    console.print(table)
    for name, problem in problems.items():
        if problem:
            console.print(f"[red]{name} does not work:[/] {escape(problem)}", soft_wrap=True)
    if not problems:
        console.print("[red]no simulator:[/] install one of those above")
    return 1 if absent & CORE.keys() or not problems or any(problems.values()) else 0


def _try(simulator: str) -> str:
    """Build and simulate a small design; return what failed, or an empty string."""
    with tempfile.TemporaryDirectory(prefix="vsq-doctor-") as folder:
        command = module("vsq.tb.simulation.trial", simulator, folder)
        done = subprocess.run(**command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""
