"""Synthesize configurations and report their area against the 8-bit baseline.

example: vsq area 4/4/4/6 8/8/-/- --liberty cells.lib --json area.json
"""

from argparse import Namespace

from rich.console import Console

from vsq.cli.arguments import BIT_AREA, CONFIGS, JSON, PES, argument
from vsq.golden.contract.errors import InputError

ARGUMENTS = (
    CONFIGS,
    PES,
    BIT_AREA,
    argument(
        "--liberty", default="nand2", metavar="FILE", help="standard-cell library, or a built-in one: nand2, gates"
    ),
    argument("--goal", choices=["area", "delay"], default="area", help="what to minimize (default: area)"),
    argument("--flatten", action="store_true", help="optimize across components; no split by component then"),
    argument("--timing", action="store_true", help="also critical paths, by OpenSTA with the library's timing"),
    argument("--sweep-pipeline", action="store_true", help="every pipeline depth, area against frequency"),
    JSON,
)


def run(args: Namespace, console: Console) -> int:
    """Print the area of vector MACs or processing elements, and write it as JSON if asked."""
    from vsq.synth.measure.records import document, write_document
    from vsq.synth.measure.timing import critical_paths, find_sta, pipeline_sweep
    from vsq.synth.report.comparison import area, of_one_kind

    configs = of_one_kind(args.configs, pe=args.pe)
    timing = args.timing or args.sweep_pipeline
    if timing and configs[0].kind == "pe":
        raise InputError("--pe: critical paths are those of the vector MAC; leave out --pe, or use 'vsq report'")
    if args.sweep_pipeline:
        configs = [point for config in configs for point in pipeline_sweep(config.mac)]
    if timing:
        find_sta()
    report = area(configs, liberty=args.liberty, goal=args.goal, flatten=args.flatten, bit_area=args.bit_area)
    library, records = report.flow.library, report.records()
    console.print(report.table())
    if timing:
        paths = [critical_paths(one.netlist, library) for one in report.areas]
        console.print(report.timing_table(paths))
        for one, components in zip(report.areas, paths, strict=True):
            for component, path in components.items():
                records += path.records(one.config.full_name, component)
    for note in library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    if args.json:
        write_document(args.json, document("area", report.flow, records))
        print(args.json)
    return 0
