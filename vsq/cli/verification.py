"""Commands that verify designs."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import (
    CONFIG,
    DUT,
    ELEMENT,
    ELEMENTS,
    SEVERAL,
    TOP,
    argument,
    command,
    count,
    drawn,
    folder,
    path,
    seed,
    text,
)
from vsq.golden.contract.config import PRESETS
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, configuration

# The options that a file leaves without meaning.
_UNUSED = {"reproduce": ("workload", "layer", "sim", "jobs", "beats", "seed"), "workload": ("jobs", "beats", "seed")}


@command(
    argument("configs", nargs="*", metavar="config", help=f"{SEVERAL} (default: all presets)"),
    ELEMENTS,
    argument("--preset", type=text, help="one preset by name, or 'all'"),
    argument("--full", action="store_true", help="the pairwise covering regression"),
    argument("--sim", metavar="NAMES", help="simulators, separated by commas (default: those that are found)"),
    argument("--jobs", type=count, help="jobs at a time (default: one a core)"),
    argument(
        "--beats",
        type=count,
        help="vectors for each MAC (default: 2000, with which a preset closes its coverage), or commands for each "
        "processing element (default: 600)",
    ),
    argument("--seed", type=seed, help="seed of all jobs (default: drawn, and printed)"),
    DUT,
    TOP,
    argument(
        "--out",
        type=folder,
        default=Path("build/regress"),
        metavar="DIR",
        help="reports of the last run; each run keeps its own and its failures in DIR/run-<number>",
    ),
    argument("--workload", type=path, metavar="FILE", help="stream the layers of a file that 'vsq export' wrote"),
    argument("--layer", metavar="PATTERN", help="layers of the workload (default: all)"),
    argument("--reproduce", type=path, metavar="FILE", help="replay the recording of a failed job, and shrink it"),
)
def regress(args: Namespace, console: Console) -> int:
    """Co-simulate configurations against the golden model; exit code 1 if a result differs or a job fails.

    example: vsq regress 4/4/4/6 8/8U/-/- --sim verilator,icarus --jobs 2 --beats 5000
    """
    from vsq.golden.io import layers
    from vsq.tb.failures.reproduce import reproduce
    from vsq.tb.regression.dut import Dut
    from vsq.tb.regression.run import play, regress

    _check(args)
    if args.reproduce:
        return reproduce(args.reproduce, out=args.out, console=console, files=args.dut, top=args.top)
    seed = drawn(args.seed)
    configs = _configs(args, seed)
    sims = args.sim.split(",") if args.sim is not None else _found()
    if args.workload:
        streams = layers.streams(layers.load(args.workload), args.layer or "*")
        return max(
            play(config, beats, sims=sims, out=args.out / config.slug, console=console).exit_code
            for config, beats in streams.items()
        )
    jobs = args.jobs or os.cpu_count() or 1
    dut = Dut.read(configs[0], args.dut, args.top) if args.dut else None
    summary = regress(
        configs, sims=sims, jobs=jobs, out=args.out, beats=args.beats, seed=seed, dut=dut, console=console
    )
    return summary.exit_code


def _check(args: Namespace) -> None:
    """Refuse arguments that contradict each other."""
    asked = args.configs or args.preset or args.full
    if (args.workload or args.reproduce) and asked:
        raise InputError("--workload and --reproduce: the file names the configurations; leave out all others")
    for name, unused in _UNUSED.items():
        if getattr(args, name) and (given := [each for each in unused if getattr(args, each) is not None]):
            raise InputError(f"--{name}: its file is replayed as it is; leave out --{given[0]}")
    if args.dut and (args.workload or (not args.reproduce and (len(args.configs) != 1 or args.preset or args.full))):
        raise InputError("--dut: it is a design of one configuration; name that one and no other")
    if args.layer is not None and not args.workload:
        raise InputError(f"--layer {args.layer}: it is of a workload; give its file by --workload too")
    if args.top and not args.dut:
        raise InputError(f"--top {args.top}: it is a module of --dut; give its file too")
    if args.pe and not args.configs and not args.reproduce:
        raise InputError("--pe: it says what configurations are of, and there are none; write for example 4/4/4/6:V=4")


def _configs(args: Namespace, seed: int) -> list[Configuration]:
    """Return what is simulated: what is named, or all presets."""
    from vsq.tb.regression.covering import full_pe_regression, full_regression

    every = args.preset == "all" or not (args.configs or args.preset or args.full)
    names = [*(PRESETS if every else []), *args.configs, *([args.preset] if args.preset and not every else [])]
    configs: list[Configuration] = [configuration(name, pe=args.pe) for name in names]
    return [*configs, *full_regression(), *full_pe_regression(seed)] if args.full else configs


def _found() -> list[str]:
    """Return the simulators that are there; say which are not."""
    from vsq.tb.simulation.simulators import probe

    tools = probe()
    errors = {name: tool for name, tool in tools.items() if isinstance(tool, InputError)}
    if len(errors) == len(tools):
        raise next(iter(errors.values()))
    for error in errors.values():
        print(f"skipped: {error}", file=sys.stderr)
    return [name for name in tools if name not in errors]


@command(
    CONFIG,
    ELEMENT,
    argument("--seed", type=seed, help="seed of all streams and mutants (default: drawn, and printed)"),
    argument("--sim", metavar="NAMES", help="simulators, separated by commas (default: all, present or not)"),
    argument("--mutants", type=count, default=50, metavar="N", help="single-bit mutants to find (default: 50)"),
    argument("--out", type=folder, default=Path("build/verify"), metavar="DIR", help="folder of the results"),
    DUT,
    TOP,
)
def verify(args: Namespace, console: Console) -> int:
    """Verify a design by simulation, mutants, proofs and its netlist; exit code 1 if anything fails or cannot run.

    example: vsq verify 4/4/4/6 --seed 7
    """
    from vsq.hw.emit.design import design
    from vsq.hw.emit.emission import Clocking
    from vsq.synth.flow.models import mapped
    from vsq.tb.regression.dut import Dut
    from vsq.tb.regression.verify import Verifier, verify
    from vsq.tb.simulation.simulators import SIMULATORS

    config = configuration(args.config, pe=args.pe)
    if design(config).clocking != Clocking():
        rule = "proofs and netlists are of designs with a synchronous reset, active high, and no clock enable"
        raise InputError(f"{config.full_name}: {rule}; verify that one, and this one by 'vsq regress'")
    if args.top and not args.dut:
        raise InputError(f"--top {args.top}: it is a module of --dut; give its file too")
    sims = tuple(args.sim.split(",") if args.sim is not None else SIMULATORS)
    if unknown := [sim for sim in sims if sim not in SIMULATORS]:
        raise InputError(f"simulator {unknown[0]!r}: choose among {', '.join(SIMULATORS)}")
    seed = drawn(args.seed)
    dut = Dut.read(config, args.dut, args.top) if args.dut else None
    run = Verifier(config=config, sims=sims, seed=seed, out=args.out, mapped=mapped, dut=dut, mutants=args.mutants)
    console.print(f"{config.full_name}, seed {seed}")
    code = verify(run.stages(), console)
    if args.dut:
        console.print("mutants and proofs are of generated designs; 'vsq verify' without --dut runs them")
    console.print(f"{'NOT verified' if code else 'verified'}: {config.full_name}, seed {seed}")
    return code
