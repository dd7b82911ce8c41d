"""Commands that measure the costs of designs: area, energy and time."""

import math
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from typing import Any

from rich.console import Console

from vsq.cli.arguments import BIT_AREA, CONFIGS, DONT_USE, ELEMENTS, JSON, argument, command, path, text
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.mac_options import MAX_PIPELINE
from vsq.golden.workloads.workload import WORKLOADS

_MAX_SLEW = 100  # in the library's unit of time
_MACRO = argument(
    "--macro",
    type=path,
    nargs="+",
    default=[],
    metavar="FILE",
    help="Liberty files of SRAM macros for the buffers of their shapes; the manifest lists these",
)


@command(
    CONFIGS,
    ELEMENTS,
    BIT_AREA,
    _MACRO,
    argument(
        "--liberty", default="nand2", metavar="FILE", help="standard-cell library, or a built-in one: nand2, gates"
    ),
    DONT_USE,
    argument("--goal", choices=["area", "balanced", "delay"], help="what to minimize (default: area)"),
    argument("--flatten", action="store_true", help="optimize across components; no split by component then"),
    argument("--timing", action="store_true", help="also critical paths, by OpenSTA with the library's timing"),
    argument("--sweep-goal", action="store_true", help="every goal, area against delay"),
    argument("--sweep-pipeline", action="store_true", help="every pipeline depth, area against frequency"),
    JSON,
)
def area(args: Namespace, console: Console) -> int:
    """Synthesize configurations and report their area against the 8-bit baseline.

    example: vsq area 4/4/4/6 8/8/-/- --liberty cells.lib --json area.json
    """
    from vsq.synth.flow.synthesis import Goal
    from vsq.synth.library.liberty import Library
    from vsq.synth.measure.records import document
    from vsq.synth.measure.timing import critical_paths, find_sta
    from vsq.synth.report.comparison import area, of_one_kind, timing_table

    configs = of_one_kind(args.configs, pe=args.pe)
    if args.sweep_goal and args.goal:
        raise InputError(f"--goal {args.goal}: --sweep-goal takes every goal; leave one of them out")
    timing = args.timing or args.sweep_goal or args.sweep_pipeline
    if timing and configs[0].kind == "pe":
        raise InputError("--pe: critical paths are those of the vector MAC; leave out --pe, or use 'vsq report'")
    if args.sweep_pipeline:
        configs = [replace(config.mac, pipeline=depth) for config in configs for depth in range(MAX_PIPELINE + 1)]
    if timing:
        find_sta(Library.load(args.liberty, args.dont_use))
    goals = tuple(Goal) if args.sweep_goal else (args.goal or Goal.AREA,)
    options = {name: getattr(args, name) for name in ("liberty", "dont_use", "flatten", "bit_area")}
    options["macros"] = args.macro
    reports = [area(configs, goal=goal, **options) for goal in goals]
    for goal, report in zip(goals, reports, strict=True):
        if args.sweep_goal:
            console.print(f"goal {goal}:")
        console.print(report.table())
    records = [report.records() for report in reports]
    if timing:
        paths = [[critical_paths(one.netlist, report.flow.library) for one in report.areas] for report in reports]
        console.print(timing_table(reports, paths))
        for report, found, figures in zip(reports, paths, records, strict=True):
            for one, components in zip(report.areas, found, strict=True):
                for component, path in components.items():
                    figures += path.records(one.config.full_name, component)
    others = [document("area", report.flow, figures) for report, figures in zip(reports[1:], records[1:], strict=True)]
    return _finish(args, console, "area", reports[0].flow, records[0], **({"goals": others} if others else {}))


def _slew(text: str) -> float:
    try:
        slew = float(text)
    except ValueError:
        slew = math.nan
    if not 0 < slew <= _MAX_SLEW:
        raise ArgumentTypeError(f"{text!r} is not a number above 0 and up to {_MAX_SLEW}")
    return slew


@command(
    CONFIGS,
    ELEMENTS,
    argument("--liberty", type=text, required=True, metavar="FILE", help="standard-cell library with power data"),
    argument(
        "--data",
        default="gaussian",
        metavar="NAME",
        help=f"{', '.join(WORKLOADS)}, gaussian, or an .npz file of a layer",
    ),
    argument("--slew", type=_slew, default=0.1, metavar="T", help="input transition time (default: 0.1)"),
    argument("--hazards", action="store_true", help="also transitions within a cycle, at one delay a gate"),
    _MACRO,
    DONT_USE,
    JSON,
)
def energy(args: Namespace, console: Console) -> int:
    """Simulate mapped netlists on real data and report the energy of a multiply-accumulate.

    example: vsq energy 4/4/4/6 4/4/-/- --liberty /usr/share/qflow/tech/osu018/osu018_stdcells.lib
    """
    from vsq.synth.report.comparison import energy

    options = {name: getattr(args, name) for name in ("pe", "data", "slew", "hazards", "dont_use")}
    report = energy(args.configs, args.liberty, macros=args.macro, **options)
    setup = report.setup
    console.print(report.table())
    measured = {"data": setup.source, "slew": setup.slew, "hazards": setup.hazards}
    return _finish(args, console, "energy", setup.flow, report.records(), measured=measured)


def _finish(args: Namespace, console: Console, kind: str, flow: Any, records: Any, **more: Any) -> int:
    """Print the library's notes, and write the report as JSON if asked."""
    from vsq.synth.measure.records import document, write_document

    for note in flow.library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    if args.json:
        write_document(args.json, {**document(kind, flow, records), **more})
        print(args.json)
    return 0
