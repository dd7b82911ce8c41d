"""Quantize a workload's model and write its integers, which 'vsq regress --workload' streams through the RTL.

example: vsq export digits 4/4U/4/6 --out digits.safetensors --rows 4
"""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from vsq.cli import arguments
from vsq.golden.contract.config import MacConfig
from vsq.golden.workloads import workload

CONTAINERS = (".safetensors", ".npz")


def configure(parser: ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("workload", help=arguments.WORKLOAD)
    add("config", help="configuration or preset")
    add("--out", type=arguments.file(*CONTAINERS), required=True, metavar="FILE", help=".safetensors or .npz")
    add("--rows", type=arguments.count, default=4, help="input rows recorded for each layer (default: 4)")


def run(args: Namespace, console: Console) -> int:
    """Quantize, print a row for each layer, and write the file."""
    config = MacConfig.parse(args.config)

    from vsq.golden.nn.integer import export
    from vsq.golden.nn.quantize import quantize

    task = workload.load(args.workload)
    model = quantize(task.model(), config, task.calibrate, inplace=True, console=console)
    export(model, args.out, task.calibrate, rows=args.rows)
    print(args.out)
    return 0
