"""Report area, energy and critical paths of processing elements beside the paper's, as text, JSON and a page.

example: vsq report 4/4/4/6 4/8/6/10:R=8 --accuracy minilm.json --out build/report
"""

import json
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from vsq.cli.arguments import BIT_AREA, argument, folder
from vsq.golden.contract.pe_config import PeConfig

ARGUMENTS = (
    argument("configs", nargs="*", metavar="config", help="processing elements (default: the paper's)"),
    argument("--liberty", metavar="FILE", help="library with timing and power, for critical paths and energy"),
    argument("--data", default="digits", metavar="NAME", help="what energy is measured on (default: digits)"),
    BIT_AREA,
    argument(
        "--accuracy", type=Path, nargs="*", default=[], metavar="FILE", help="scores that 'vsq accuracy --json' wrote"
    ),
    argument("--out", type=folder, default=Path("build/report"), metavar="DIR", help="folder of the report"),
)


def run(args: Namespace, console: Console) -> int:
    """Measure processing elements, and write the report beside the paper's figures."""
    from vsq.golden.io.files import write_text
    from vsq.synth.flow.synthesis import Flow
    from vsq.synth.library.liberty import NAND2, Library
    from vsq.synth.measure.area import checked_bit_area, with_baselines
    from vsq.synth.measure.records import document, versions
    from vsq.synth.report.designs import DEFAULT_CONFIGS, Settings, measure, notes
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
        notes=[*notes(settings, area_of_bit), *settings.omissions],
    )
    console.print(made.table())
    for sentence in made.sentences():
        console.print(sentence, highlight=False, soft_wrap=True)
    heading = document("report", Flow(library=library), [])
    heading = {name: value for name, value in heading.items() if name != "records"}
    tools = ", ".join(f"{tool} {version}" for tool, version in versions().items())
    for name, text in (
        ("report.json", json.dumps({**heading, "settings": settings.about, **made.document()}, indent=1) + "\n"),
        ("report.html", made.html(f"Made {heading['date']} with {tools}.")),
    ):
        write_text(args.out / name, text)
        print(args.out / name)
    return 0
