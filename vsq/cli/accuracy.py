"""Measure a workload's accuracy against configuration, per-vector beside per-channel scales.

example: vsq accuracy digits 3/3U/4/4 2/4U/4/4 --mode ptq,qat --json digits.json --plot digits.html
"""

from argparse import ArgumentTypeError, Namespace

from rich.console import Console

from vsq.cli.arguments import WORKLOAD, argument, file
from vsq.golden.contract.config import MacConfig
from vsq.golden.workloads import workload

# The names of what takes long to load: the suffixes of plots, and options of PyTorch code.
PICTURES = (".html", ".svg", ".png")
MODES = ("ptq", "qat")
INPUT_GAMMAS = ("static", "tensor", "row")
CALIBRATIONS = ("max", "percentile", "entropy", "mse")


def _modes(text: str) -> list[str]:
    modes = text.split(",")
    if wrong := [mode for mode in modes if mode not in MODES]:
        raise ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(MODES)}")
    return modes


ARGUMENTS = (
    WORKLOAD,
    argument("configs", nargs="*", metavar="config", help="configurations or presets (default: some of each)"),
    argument(
        "--mode", type=_modes, default=["ptq"], metavar="NAMES", help="ptq, qat, or both with a comma (default: ptq)"
    ),
    argument(
        "--input-gamma",
        choices=INPUT_GAMMAS,
        default="static",
        help="where gammas of inputs come from (default: static)",
    ),
    argument("--calibration", choices=CALIBRATIONS, default="max", help="of static input gammas (default: max)"),
    argument("--split", action="store_true", help="split weights into three planes first (SplitQuant)"),
    argument("--json", type=file(), metavar="FILE", help="cache the scores there; a second run resumes"),
    argument("--plot", type=file(*PICTURES), metavar="FILE", help="also draw the scores: .html, .svg or .png"),
)


def run(args: Namespace, console: Console) -> int:
    """Measure, print a table, and draw if asked."""
    configs = [MacConfig.parse(name) for name in args.configs]

    from vsq.golden.io import charts

    if args.plot:
        charts.check(args.plot)

    from vsq.golden.nn import accuracy

    task = workload.load(args.workload)
    report = accuracy.measure(
        task,
        configs or [MacConfig.parse(name) for name in task.configs],
        modes=args.mode,
        input_gamma=args.input_gamma,
        calibration=args.calibration,
        split=args.split,
        path=args.json,
        console=console,
    )
    console.print(report.table())
    if args.plot:
        charts.save(report.chart(), args.plot)
    return 0
