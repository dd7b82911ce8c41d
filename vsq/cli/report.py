"""The report: processing elements beside the paper's figures, and block formats beside each other."""

import json
import os
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import BIT_AREA, DONT_USE, argument, command, folder, path
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig


@command(
    argument("configs", nargs="*", metavar="config", help="processing elements (default: the paper's)"),
    argument(
        "--formats",
        nargs="*",
        metavar="FORMAT",
        help="the table of block formats instead, all of them or some: NVFP4 MXFP4; with --liberty it takes an hour, "
        "and resumes",
    ),
    argument("--liberty", metavar="FILE", help="library with timing and power, for critical paths and energy"),
    argument("--data", metavar="NAME", help="what energy is measured on, with --liberty (default: digits)"),
    DONT_USE,
    BIT_AREA,
    argument(
        "--accuracy", type=path, nargs="*", default=[], metavar="FILE", help="scores that 'vsq accuracy --json' wrote"
    ),
    argument(
        "--layout",
        type=path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="layouts that 'vsq layout --json' wrote, for figures without and with wires",
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
    from vsq.synth.report.layouts import Layouts
    from vsq.synth.report.page import Report
    from vsq.synth.report.rows import Accuracy, rows_of

    if args.data is not None and not args.liberty:
        raise InputError(
            f"--data {args.data}: energy needs a library with power; give it by --liberty, or leave out --data"
        )
    if args.dont_use and not args.liberty:
        raise InputError("--dont-use: the cells are those of a library; give it by --liberty, or leave out --dont-use")
    settings = Settings.of(args.liberty, "digits" if args.data is None else args.data, args.dont_use)
    accuracies = [Accuracy.load(path) for path in args.accuracy]
    layouts = [Layouts.load(path) for path in args.layout]
    area_of_bit = checked_bit_area(args.bit_area)
    if args.formats is not None:
        return _formats(args, console)
    library = Library.load()
    nand = library.smallest(2, NAND2)
    assert nand is not None  # the built-in library has one
    configs = with_baselines([PeConfig.parse(name) for name in args.configs or DEFAULT_CONFIGS])
    found = measure(configs, settings, args.out / "records", console)
    made = Report(
        rows=rows_of(found, float(area_of_bit * nand.area)),
        accuracies=accuracies,
        notes=settings.notes(area_of_bit),
        layouts=layouts,
    )
    console.print(made.table())
    for sentence in made.sentences():
        console.print(sentence, highlight=False, soft_wrap=True)
    for one in layouts:
        console.print(one.table())
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


def _formats(args: Namespace, console: Console) -> int:
    """Print the table of block formats, and write it as JSON."""
    from vsq.explore.formats import FormatMeasures, format_table
    from vsq.golden.io.engine import local
    from vsq.golden.io.files import write_text
    from vsq.synth.measure.records import heading

    given = {"config": args.configs, "--accuracy": args.accuracy, "--layout": args.layout, "--dont-use": args.dont_use}
    if others := [name for name, value in given.items() if value]:
        raise InputError(f"--formats: {', '.join(others)} is of the paper's report; leave it out")
    measures = FormatMeasures.of(args.liberty, args.data or "digits")
    progress = Console(stderr=True)
    table = format_table(args.formats, measures, args.out / "records", local(os.cpu_count() or 1), progress)
    for part in table.tables():
        console.print(part)
    for sentence in table.sentences():
        console.print(sentence, highlight=False, soft_wrap=True)
    write_text(args.out / "formats.json", json.dumps({**heading("formats"), **table.document()}, indent=1) + "\n")
    print(args.out / "formats.json")
    return 0
