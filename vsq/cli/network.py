"""Run a workload layer by layer on the RTL of a processing element; exit code 1 if an integer differs.

example: vsq network digits 4/4U/4/6 --images 60
"""

from argparse import Namespace

from rich.console import Console

from vsq.cli.arguments import WORKLOAD, argument, count
from vsq.golden.contract.pe_config import PeConfig

ARGUMENTS = (
    WORKLOAD,
    argument("config", help="of the processing element, as in 4/4U/4/6:R=6@lanes=32"),
    argument("--images", type=count, metavar="N", help="inputs of the workload, images or tokens (default: all)"),
    argument("--sim", default="verilator", metavar="NAME", help="verilator (default), or icarus"),
)


def run(args: Namespace, console: Console) -> int:
    """Run the workload and print its table."""
    from vsq.tb.regression.network import run

    result = run(args.workload, PeConfig.parse(args.config), simulator=args.sim, images=args.images, console=console)
    console.print(result.table())
    return 0 if result.passed else 1
