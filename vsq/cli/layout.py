"""The command that places and routes designs."""

import os
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import DONT_USE, JSON, argument, command, count, folder, path, text
from vsq.golden.workloads.workload import WORKLOADS


@command(
    argument("configs", nargs="+", metavar="config", help="configurations or presets of vector MACs"),
    argument("--route", action="store_true", help="route too; otherwise wires are estimated from the placement"),
    argument("--seeds", type=count, default=1, metavar="N", help="layouts of each design (default: 1)"),
    argument(
        "--liberty", type=text, metavar="FILE", help="standard-cell library with timing and power (default: OSU's)"
    ),
    argument("--lef", type=path, nargs="+", default=[], metavar="FILE", help="its LEF files, that of the layers first"),
    DONT_USE,
    argument(
        "--data",
        type=text,
        default="gaussian",
        metavar="NAME",
        help=f"what energy is of: {', '.join(WORKLOADS)}, gaussian, or an .npz file of a layer",
    ),
    argument("--gds", action="store_true", help="also a GDS file of each layout, by klayout"),
    argument("--png", action="store_true", help="also a picture of all layers of each layout, by klayout"),
    argument("--out", type=folder, default=Path("build/layout"), metavar="DIR", help="folder of the layouts"),
    JSON,
)
def layout(args: Namespace, console: Console) -> int:
    """Place vector MACs, or place and route them, and report area, timing and energy with their wires.

    Layouts are kept in the folder as DEF, SPEF and SVG, and taken from there by the next run. The exit code is 1 if a
    net of a layout is open or touches another: such a layout has no figures.

    example: vsq layout 4/4/4/6 8/8/-/- --route --seeds 2 --out build/layout
    """
    from vsq.synth.layout.run import layout
    from vsq.synth.measure.records import document, write_document

    report = layout(
        args.configs,
        args.out,
        route=args.route,
        seeds=args.seeds,
        liberty=args.liberty,
        lef=args.lef,
        data=args.data,
        dont_use=args.dont_use,
        pictures=[name for name in ("gds", "png") if getattr(args, name)],
        console=Console(stderr=True),
    )
    if report.layouts:
        for table in report.tables():
            console.print(table)
    for (config, seed), reason in report.refused.items():
        console.print(f"{config.full_name}, seed {seed}: no figures: {reason}", highlight=False, soft_wrap=True)
    for note in report.setup.flow.library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    print(args.out)
    if args.json:
        folder = os.path.relpath(args.out.resolve(), args.json.resolve().parent)
        heading = document("layout", report.setup.flow, [])
        write_document(args.json, {**heading, "folder": folder, **report.document()})
        print(args.json)
    return 1 if report.refused else 0
