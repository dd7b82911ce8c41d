"""Simulate mapped netlists on real data and report the energy of a multiply-accumulate.

example: vsq energy 4/4/4/6 4/4/-/- --liberty /usr/share/qflow/tech/osu018/osu018_stdcells.lib
"""

import math
from argparse import ArgumentTypeError, Namespace

from rich.console import Console

from vsq.cli.arguments import CONFIGS, JSON, PES, argument
from vsq.golden.workloads.workload import WORKLOADS

_MAX_SLEW = 100  # in the library's unit of time


def _slew(text: str) -> float:
    try:
        slew = float(text)
    except ValueError:
        slew = math.nan
    if not 0 < slew <= _MAX_SLEW:
        raise ArgumentTypeError(f"{text!r} is not a number above 0 and up to {_MAX_SLEW}")
    return slew


ARGUMENTS = (
    CONFIGS,
    PES,
    argument("--liberty", required=True, metavar="FILE", help="standard-cell library with power data"),
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


def run(args: Namespace, console: Console) -> int:
    """Print the energy of vector MACs or processing elements, and write it as JSON if asked."""
    from vsq.synth.measure.records import document, write_document
    from vsq.synth.report.comparison import energy

    report = energy(args.configs, args.liberty, pe=args.pe, data=args.data, slew=args.slew, hazards=args.hazards)
    setup = report.setup
    console.print(report.table())
    for note in setup.flow.library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    if args.json:
        measured = {"data": setup.source, "slew": setup.slew, "hazards": setup.hazards}
        write_document(args.json, {**document("energy", setup.flow, report.records()), "measured": measured})
        print(args.json)
    return 0
