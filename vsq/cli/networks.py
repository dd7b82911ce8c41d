"""Commands on networks: their accuracy, their integers, and their layers on hardware."""

from argparse import ArgumentTypeError, Namespace

from rich.console import Console

from vsq.cli.arguments import WORKLOAD, argument, command, count, file
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.workloads import workload

# The names of what takes long to load: suffixes of files, and options of PyTorch code.
CONTAINERS = (".safetensors", ".npz")
PICTURES = (".html", ".svg", ".png")
MODES = ("ptq", "qat")
INPUT_GAMMAS = ("static", "tensor", "row")
CALIBRATIONS = ("max", "percentile", "entropy", "mse")


@command(
    WORKLOAD,
    argument("config", help="of the processing element, as in 4/4U/4/6:R=6@lanes=32"),
    argument("--images", type=count, metavar="N", help="inputs of the workload, images or tokens (default: all)"),
    argument("--sim", default="verilator", metavar="NAME", help="verilator (default), or icarus"),
)
def network(args: Namespace, console: Console) -> int:
    """Run a workload layer by layer on the RTL of a processing element; exit code 1 if an integer differs.

    example: vsq network digits 4/4U/4/6 --images 60
    """
    from vsq.tb.regression.network import run

    result = run(args.workload, PeConfig.parse(args.config), simulator=args.sim, images=args.images, console=console)
    console.print(result.table())
    return 0 if result.passed else 1


def _modes(text: str) -> list[str]:
    modes = text.split(",")
    if wrong := [mode for mode in modes if mode not in MODES]:
        raise ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(MODES)}")
    return modes


@command(
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
def accuracy(args: Namespace, console: Console) -> int:
    """Measure a workload's accuracy against configuration, per-vector beside per-channel scales.

    example: vsq accuracy digits 3/3U/4/4 2/4U/4/4 --mode ptq,qat --json digits.json --plot digits.html
    """
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


@command(
    WORKLOAD,
    argument("config", help="configuration or preset"),
    argument("--out", type=file(*CONTAINERS), required=True, metavar="FILE", help=".safetensors or .npz"),
    argument("--rows", type=count, default=4, help="input rows recorded for each layer (default: 4)"),
)
def export(args: Namespace, console: Console) -> int:
    """Quantize a workload's model and write its integers, which 'vsq regress --workload' streams through the RTL.

    example: vsq export digits 4/4U/4/6 --out digits.safetensors --rows 4
    """
    config = MacConfig.parse(args.config)

    from vsq.golden.nn.integer import export
    from vsq.golden.nn.quantize import quantize

    task = workload.load(args.workload)
    model = quantize(task.model(), config, task.calibrate, inplace=True, console=console)
    export(model, args.out, task.calibrate, rows=args.rows)
    print(args.out)
    return 0
