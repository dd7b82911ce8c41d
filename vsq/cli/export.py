"""Quantize a workload's model and write its integers, which 'vsq regress --workload' streams through the RTL.

example: vsq export digits 4/4U/4/6 --out digits.safetensors --rows 4
"""

from argparse import Namespace

from rich.console import Console

from vsq.cli.arguments import WORKLOAD, argument, count, file
from vsq.golden.contract.config import MacConfig
from vsq.golden.workloads import workload

CONTAINERS = (".safetensors", ".npz")

ARGUMENTS = (
    WORKLOAD,
    argument("config", help="configuration or preset"),
    argument("--out", type=file(*CONTAINERS), required=True, metavar="FILE", help=".safetensors or .npz"),
    argument("--rows", type=count, default=4, help="input rows recorded for each layer (default: 4)"),
)


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
