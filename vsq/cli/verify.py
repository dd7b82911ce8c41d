"""Verify a design by simulation, mutants, proofs and its netlist; exit code 1 if anything fails or cannot run.

example: vsq verify 4/4/4/6 --seed 7
"""

from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import CONFIG, DUT, PE, TOP, argument, count, drawn, folder, seed
from vsq.golden.contract.configuration import configuration
from vsq.golden.contract.errors import InputError

ARGUMENTS = (
    CONFIG,
    PE,
    argument("--seed", type=seed, help="seed of all streams and mutants (default: drawn, and printed)"),
    argument("--sim", metavar="NAMES", help="simulators, separated by commas (default: all, present or not)"),
    argument("--mutants", type=count, default=50, metavar="N", help="single-bit mutants to find (default: 50)"),
    argument("--out", type=folder, default=Path("build/verify"), metavar="DIR", help="folder of the results"),
    DUT,
    TOP,
)


def run(args: Namespace, console: Console) -> int:
    """Run all stages and print the verdict."""
    from vsq.synth.flow.synthesis import mapped
    from vsq.tb.regression.dut import Dut
    from vsq.tb.regression.verify import Verifier, verify
    from vsq.tb.simulation.simulators import SIMULATORS

    config = configuration(args.config, pe=args.pe)
    if args.top and not args.dut:
        raise InputError(f"--top {args.top}: it is a module of --dut; give its file too")
    sims = tuple(args.sim.split(",") if args.sim is not None else SIMULATORS)
    if unknown := [sim for sim in sims if sim not in SIMULATORS]:
        raise InputError(f"simulator {unknown[0]!r}: choose among {', '.join(SIMULATORS)}")
    seed = drawn(args.seed)
    verifier = Verifier(
        config=config,
        sims=sims,
        seed=seed,
        out=args.out,
        mapped=mapped,
        dut=Dut.read(config, args.dut, args.top) if args.dut else None,
        mutants=args.mutants,
    )
    console.print(f"{config.full_name}, seed {seed}")
    code = verify(verifier.stages(), console)
    if args.dut:
        console.print("mutants and proofs are of generated designs; 'vsq verify' without --dut runs them")
    console.print(f"{'NOT verified' if code else 'verified'}: {config.full_name}, seed {seed}")
    return code
