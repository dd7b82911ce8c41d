"""Commands that look for designs: a whole space measured, and a configuration for each layer of a network."""

import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import WORKLOAD, argument, command, count, file, folder, text
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError


def _part(parser: ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--front",
        action="store_true",
        help="estimate every point first (accuracy by a part of the data, area by the generator's counts), and measure "
        "those alone that may be on the front",
    )
    group.add_argument(
        "--trials",
        type=count,
        metavar="N",
        help="of a large space measure N points, each chosen by what those before have shown (extra sampler: Optuna)",
    )


@command(
    argument("space", nargs="+", help="configurations with braces, presets, or .toml files with space and [where]"),
    argument(
        "--measure",
        action="append",
        metavar="NAME[:SETTINGS]",
        help="area, energy:liberty=FILE, layout:liberty=FILE,lef=FILE, fpga, storage, accuracy:workload=NAME; once "
        "more for each further one, "
        "braces for several settings (default: area and storage)",
    ),
    argument("--out", type=folder, default=Path("build/explore"), metavar="DIR", help="store of the figures"),
    argument("--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="workers (default: one a core)"),
    argument(
        "--scheduler", type=text, metavar="ADDRESS", help="of a Dask cluster, in place of --jobs: tcp://host:8786"
    ),
    _part,
    argument("--retry", action="store_true", help="measure points again that failed"),
    argument("--page", type=file(".html"), metavar="FILE", help="also write an interactive page; needs two measures"),
    argument("--export", type=file(".csv", ".parquet"), metavar="FILE", help="also write every figure as a table"),
)
def explore(args: Namespace, console: Console) -> int:
    """Measure every point of a design space, on every core or a cluster, and show the ones that no other beats.

    An interrupted run resumes, and what was measured once is not measured again.

    example: vsq explore '{3,4,6,8}/{4,8}/{4,6}/{6,10}:R={-,8}' --measure area --measure accuracy:workload=minilm
    """
    import numpy as np

    from vsq.explore.cluster import cluster
    from vsq.explore.exploration import explore, measures
    from vsq.explore.space import read
    from vsq.explore.store import RecordStore, Task, export
    from vsq.golden.io.engine import local
    from vsq.golden.io.files import write_text

    if args.page:
        from vsq.explore import page
        from vsq.golden.io.charts import check

        check(args.page)
    sys.path.insert(0, "")  # a user's own workload may be in this folder
    space = read(args.space)
    chosen = measures(args.measure or ["area", "storage"])
    if args.page and len({one.name for one in chosen}) == 1:
        raise InputError(f"--page: {chosen[0].name} is the only measure; give a second one to draw it against")
    for reason, number in space.left_out.most_common():
        console.print(f"{number} left out: {reason}", highlight=False, soft_wrap=True)
    engine = cluster(args.scheduler) if args.scheduler else local(args.jobs)
    part = {"front": args.front, "trials": args.trials}
    results = explore(space, chosen, args.out, engine, **part, retry=args.retry, console=console)
    console.print(results.table())
    for kind, found in results.deviations.items():
        if found:
            middle, most = (f"{100 * float(np.quantile(found, share)):.2g} %" for share in (0.5, 0.99))
            console.print(
                f"{kind}: {len(found)} estimates beside measured figures: median {middle}, 99th percentile {most}",
                highlight=False,
                soft_wrap=True,
            )
    for reason, number in results.failures.most_common():
        console.print(f"{number} failed: {reason}", highlight=False, soft_wrap=True)
    if args.page and results.points:
        write_text(args.page, page.html(results, " ".join(args.space)))
        print(args.page)
    if args.export:
        tasks = dict.fromkeys(Task.of(config, measure) for measure in chosen for config in space.points)
        entries = ((task.key, entry) for task in tasks if (entry := RecordStore(args.out).read(task)))
        export(entries, args.export)
        print(args.export)
    return 0 if results.points else 1


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return amount


def _budgets(parser: ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--bits", type=_amount, metavar="B", help="bits of a weight on average, scales not counted")
    area = "area of a vector MAC on average, as if each layer had its own, in the library's unit"
    group.add_argument("--area", type=_amount, metavar="A", help=area)
    group.add_argument("--energy", type=_amount, metavar="E", help="pJ of a multiply-accumulate on average")


@command(
    WORKLOAD,
    argument("space", nargs="+", help="configurations that layers may have, with braces: {3,4,6,8}/8/6/10"),
    _budgets,
    argument("--liberty", type=text, metavar="FILE", help="library of area (default: nand2) and energy (needed)"),
    argument("--out", type=folder, metavar="DIR", help="store of areas and energies (default: build/explore)"),
    argument("--weight-codes", choices=["nearest", "gptq"], default="nearest", help="rounding of the chosen weights"),
    argument("--json", type=file(), metavar="FILE", help="also write each layer's configuration as JSON"),
)
def search(args: Namespace, console: Console) -> int:
    """Choose a configuration for each layer of a network, so that its outputs change least within a budget.

    Bits save storage of weights; a vector MAC is as wide as the widest layer that it runs.

    example: vsq search minilm '{3,4,6,8}/8/6/10' --bits 4
    """
    import json

    from rich import box
    from rich.table import Table

    from vsq.explore.measures.measure import numerics
    from vsq.explore.space import read
    from vsq.golden.io.files import write_text
    from vsq.golden.nn.methods.mixed import Sensitivities
    from vsq.golden.nn.quantize import quantize
    from vsq.golden.nn.rules import Rule
    from vsq.golden.quantizer.scheme import Scheme
    from vsq.golden.workloads import workload

    if unused := [name for name in ("liberty", "out") if args.bits and getattr(args, name)]:
        raise InputError(f"--{unused[0]}: bits need none; leave it out, or give --area or --energy in place of --bits")
    if args.energy and not args.liberty:
        raise InputError("--energy: no library is given; add --liberty FILE, one with power data")
    space = read(args.space)
    for reason, number in space.left_out.most_common():
        console.print(f"{number} left out: {reason}", highlight=False, soft_wrap=True)
    task = workload.load(args.workload)
    designs: dict[MacConfig, MacConfig] = {}
    for point in space.points:
        if not isinstance(point, MacConfig):
            raise InputError(f"{point.full_name}: layers run on vector MACs; leave out the @ and what follows it")
        designs.setdefault(numerics(point), point)  # of several that compute the same, the first one is built
    configs = [*designs]
    [(kind, budget)] = [(name, value) for name in ("bits", "area", "energy") if (value := getattr(args, name))]
    costs = (
        [float(config.weight.bits) for config in configs] if args.bits else _costs(args, [*designs.values()], console)
    )
    if budget < min(costs):
        raise InputError(
            f"--{kind} {budget:g}: the narrowest configuration has {min(costs):g}; give more, or narrower ones"
        )
    schemes = [Scheme(config=config) for config in configs]
    found = Sensitivities.of(task.model(), schemes, task.calibrate, console)
    mix = found.choose(budget) if args.bits else found.choose_by_cost(budget, costs)
    loop = task.fit if args.weight_codes == "gptq" and task.fit else task.calibrate
    title = f"{task.name}: {kind} at most {budget:g}, codes {args.weight_codes}"
    table = Table("layers", title=title, box=box.SIMPLE_HEAD)
    for heading in dict.fromkeys(("bits", kind, task.metric)):
        table.add_column(heading, justify="right")
    uniform = [
        (str(scheme), dict.fromkeys(mix.schemes, scheme), float(scheme.config.weight.bits), cost)
        for scheme, cost in zip(schemes, costs, strict=True)
    ]
    for name, chosen, bits, cost in [("mixed", mix.schemes, mix.bits, mix.average), *uniform]:
        rules = [
            Rule(pattern=layer, scheme=Scheme(config=scheme.config, weight_codes=args.weight_codes))
            for layer, scheme in chosen.items()
        ]
        model = quantize(task.model(), schemes[0], loop, rules=rules, inplace=True)
        table.add_row(
            name, f"{bits:.2f}", *[] if args.bits else [f"{cost:.5g}"], f"{task.scores(model)[task.metric]:.4f}"
        )
    console.print(table)
    for layer, scheme in mix.schemes.items():
        console.print(f"{scheme}  {layer}", highlight=False, soft_wrap=True)
    if args.json:
        layers = {layer: str(scheme) for layer, scheme in mix.schemes.items()}
        write_text(args.json, json.dumps({"workload": task.name, "bits": mix.bits, "layers": layers}, indent=1) + "\n")
        print(args.json)
    return 0


def _costs(args: Namespace, configs: Sequence[MacConfig], console: Console) -> list[float]:
    """Return the area or the energy of each configuration, measured unless the store has it."""
    from vsq.explore.exploration import explore, measures
    from vsq.explore.space import Space
    from vsq.golden.io.engine import local

    liberty = f":liberty={args.liberty}" if args.liberty else ""
    [measure] = measures([f"{'area' if args.area else 'energy'}{liberty}"])
    store = args.out or Path("build/explore")
    results = explore(Space([*configs]), [measure], store, local(os.cpu_count() or 1), console=console)
    for reason in results.failures:
        raise InputError(f"{reason}; leave such configurations out")
    return [point.values[0] for point in results.points]
