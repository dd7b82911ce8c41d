"""Commands that measure the costs of designs: area, energy and time."""

import json
import math
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vsq.cli.arguments import BIT_AREA, CONFIGS, ELEMENTS, JSON, argument, command, folder, path, text
from vsq.golden.contract.config import MAX_PIPELINE
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.workloads.workload import WORKLOADS

_MAX_SLEW = 100  # in the library's unit of time


@command(
    CONFIGS,
    ELEMENTS,
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
def area(args: Namespace, console: Console) -> int:
    """Synthesize configurations and report their area against the 8-bit baseline.

    example: vsq area 4/4/4/6 8/8/-/- --liberty cells.lib --json area.json
    """
    from vsq.synth.measure.timing import critical_paths, find_sta
    from vsq.synth.report.comparison import area, of_one_kind

    configs = of_one_kind(args.configs, pe=args.pe)
    timing = args.timing or args.sweep_pipeline
    if timing and configs[0].kind == "pe":
        raise InputError("--pe: critical paths are those of the vector MAC; leave out --pe, or use 'vsq report'")
    if args.sweep_pipeline:
        configs = [replace(config.mac, pipeline=depth) for config in configs for depth in range(MAX_PIPELINE + 1)]
    if timing:
        find_sta()
    report = area(configs, liberty=args.liberty, goal=args.goal, flatten=args.flatten, bit_area=args.bit_area)
    records = report.records()
    console.print(report.table())
    if timing:
        paths = [critical_paths(one.netlist, report.flow.library) for one in report.areas]
        console.print(report.timing_table(paths))
        for one, components in zip(report.areas, paths, strict=True):
            for component, path in components.items():
                records += path.records(one.config.full_name, component)
    return _finish(args, console, "area", report.flow, records)


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
    JSON,
)
def energy(args: Namespace, console: Console) -> int:
    """Simulate mapped netlists on real data and report the energy of a multiply-accumulate.

    example: vsq energy 4/4/4/6 4/4/-/- --liberty /usr/share/qflow/tech/osu018/osu018_stdcells.lib
    """
    from vsq.synth.report.comparison import energy

    report = energy(args.configs, args.liberty, pe=args.pe, data=args.data, slew=args.slew, hazards=args.hazards)
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


@command(
    argument("configs", nargs="*", metavar="config", help="processing elements (default: the paper's)"),
    argument("--liberty", metavar="FILE", help="library with timing and power, for critical paths and energy"),
    argument("--data", default="digits", metavar="NAME", help="what energy is measured on (default: digits)"),
    BIT_AREA,
    argument(
        "--accuracy", type=path, nargs="*", default=[], metavar="FILE", help="scores that 'vsq accuracy --json' wrote"
    ),
    argument("--out", type=folder, default=Path("build/report"), metavar="DIR", help="folder of the report"),
)
def report(args: Namespace, console: Console) -> int:
    """Report area, energy and critical paths of processing elements beside the paper's, as text, JSON and a page.

    example: vsq report 4/4/4/6 4/8/6/10:R=8 --accuracy minilm.json --out build/report
    """
    from vsq.golden.io.files import write_text
    from vsq.synth.flow.synthesis import Flow
    from vsq.synth.library.liberty import NAND2, Library
    from vsq.synth.measure.area import checked_bit_area, with_baselines
    from vsq.synth.measure.records import document
    from vsq.synth.report.designs import DEFAULT_CONFIGS, Settings, measure
    from vsq.synth.report.page import Report
    from vsq.synth.report.rows import Accuracy, rows_of

    settings = Settings.of(args.liberty, args.data)
    accuracies = [Accuracy.load(path) for path in args.accuracy]
    area_of_bit = checked_bit_area(args.bit_area)
    library = Library.load()
    nand = library.smallest(2, NAND2)
    assert nand is not None  # the built-in library has one
    configs = with_baselines([PeConfig.parse(name) for name in args.configs or DEFAULT_CONFIGS])
    found = measure(configs, settings, args.out / "records", console)
    made = Report(
        rows=rows_of(found, float(area_of_bit * nand.area)),
        accuracies=accuracies,
        notes=settings.notes(area_of_bit),
    )
    console.print(made.table())
    for sentence in made.sentences():
        console.print(sentence, highlight=False, soft_wrap=True)
    heading = document("report", Flow(library=library), [])
    heading = {name: value for name, value in heading.items() if name != "records"}
    tools = ", ".join(f"{tool} {version}" for tool, version in heading["versions"].items())
    for name, content in (
        ("report.json", json.dumps({**heading, "settings": settings.about, **made.document()}, indent=1) + "\n"),
        ("report.html", made.html(f"Made {heading['date']} with {tools}.")),
    ):
        write_text(args.out / name, content)
        print(args.out / name)
    return 0
