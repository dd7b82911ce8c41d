"""The command that measures designs on FPGAs."""

from argparse import Namespace

from rich.console import Console

from vsq.cli.arguments import CONFIGS, ELEMENTS, JSON, argument, command, count
from vsq.golden.contract.errors import InputError

_SEEDS = 3


@command(
    CONFIGS,
    ELEMENTS,
    argument(
        "--family", default="ice40", metavar="NAMES", help="ice40, ecp5, gowin, xilinx; several separated by commas"
    ),
    argument("--no-dsp", action="store_true", help="keep products that are written as * out of DSP blocks"),
    argument("--pnr", action="store_true", help="also the frequency on an iCE40 HX8K, placed and routed by nextpnr"),
    argument("--seeds", type=count, metavar="N", help=f"placements, with --pnr (default: {_SEEDS})"),
    JSON,
)
def fpga(args: Namespace, console: Console) -> int:
    """Synthesize configurations for FPGAs and report lookup tables, flip-flops, DSP blocks and memories.

    Designs are generated with target=fpga; a style of their own (style=behavioural) stays.

    example: vsq fpga 4/4/4/6 4/4/4/6:style=lut,dsp=scales 8/8/-/- --family ice40,ecp5
    """
    from vsq.synth.fpga.placement import find_nextpnr
    from vsq.synth.fpga.report import fpga
    from vsq.synth.measure.records import heading, write_document

    if args.seeds and not args.pnr:
        raise InputError(f"--seeds {args.seeds}: nothing is placed; give --pnr too, or leave --seeds out")
    if args.pnr:
        find_nextpnr()
    placements = (args.seeds or _SEEDS) if args.pnr else 0
    report = fpga(args.configs, args.family.split(","), pe=args.pe, dsp=not args.no_dsp, placements=placements)
    for table in report.tables():
        console.print(table)
    if args.json:
        write_document(args.json, {**heading("fpga"), **report.document()})
        print(args.json)
    return 0
