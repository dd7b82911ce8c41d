"""Generate 4/4U/4/6, co-simulate a layer of a real network, print accuracy and area.

example: vsq demo --out build/demo
"""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import argument, folder
from vsq.cli.main import parser
from vsq.golden.contract.config import MacConfig

ARGUMENTS = (argument("--out", type=folder, default=Path("build/demo"), metavar="DIR", help="folder of the files"),)


def run(args: Namespace, console: Console) -> int:
    """Run the four steps."""
    from vsq.golden.nn.integer import inference
    from vsq.golden.workloads import digits
    from vsq.tb.regression.run import play
    from vsq.tb.simulation.simulators import find

    find("verilator")
    name = "4/4U/4/6"
    console.rule(f"1. Verilog, manifest and test vectors of {name}")
    code = _command(console, "generate", name, "--out", str(args.out), "--vectors", "1000")
    console.rule("2. A real layer on the generated hardware")
    config, plain = MacConfig.parse(name), "4/4U/-/-"
    workload = digits.workload()
    chain = workload.chain()
    beats = chain.first(1).layer(config, "conv2").beats()
    console.print(f"digits network, layer conv2: {len(beats)} vectors, {int(beats.last.sum())} results")
    summary = play(config, beats, sims=["verilator"], out=args.out, console=console)
    console.rule("3. Accuracy of the network in golden integers (360 test images)")
    scores = [workload.evaluate(workload.model())]
    for quantized in map(chain.quantized, (config, MacConfig.parse(plain))):
        with inference(quantized):
            scores.append(workload.evaluate(quantized))
    console.print(f"FP32 {scores[0]:.1%}   {name} {scores[1]:.1%}   per-channel {plain} {scores[2]:.1%}")
    console.rule("4. Area against the 8-bit baseline")
    code |= _command(console, "area", name, "8/8U/-/-")
    return code | summary.exit_code


def _command(console: Console, *arguments: str) -> int:
    """Run another command; return its exit code."""
    args = parser().parse_args(arguments)
    return int(args.run(args, console))
