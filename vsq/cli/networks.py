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
WEIGHT_SCALES = ("max", "mmse", "hessian")
WEIGHT_CODES = ("nearest", "gptq")
SCALE_RULES = ("floor", "ceil", "even")


@command(
    WORKLOAD,
    argument("config", help="of the processing element, as in 4/4U/4/6:R=6@lanes=32"),
    argument("--images", type=count, metavar="N", help="inputs of the workload, images or tokens (default: all)"),
    argument("--split", action="store_true", help="run each layer as three planes on one accumulator (SplitQuant)"),
    argument("--sim", default="verilator", metavar="NAME", help="verilator (default), or icarus"),
)
def network(args: Namespace, console: Console) -> int:
    """Run a workload layer by layer on the RTL of a processing element; exit code 1 if an integer differs.

    example: vsq network digits 4/4U/4/6 --images 60
    """
    from vsq.tb.regression.network import run

    config, options = PeConfig.parse(args.config), {"simulator": args.sim, "images": args.images, "split": args.split}
    result = run(args.workload, config, **options, console=console)
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
    argument("--weight-scales", choices=WEIGHT_SCALES, help="of weights (default: max; with gptq: hessian)"),
    argument("--weight-codes", choices=WEIGHT_CODES, default="nearest", help="rounding of weights (default: nearest)"),
    argument("--bias-correction", action="store_true", help="biases restore the means of outputs"),
    argument("--smoothing", type=float, default=0.0, metavar="ALPHA", help="of normalized inputs, 0 to 1 (default: 0)"),
    argument("--feedback", type=float, default=0.0, metavar="STRENGTH", help="of inputs' errors, 0 to 1 (default: 0)"),
    argument(
        "--scale-rule", choices=SCALE_RULES, default="floor", help="of scales that are exponents (default: floor)"
    ),
    argument(
        "--four-over-six", action="store_true", help="the better of two scales for each vector (e2m1 with ue4m3, ue5m3)"
    ),
    argument("--calibration", choices=CALIBRATIONS, default="max", help="of static input gammas (default: max)"),
    argument("--split", action="store_true", help="split weights into three planes first (SplitQuant)"),
    argument("--seeds", type=count, default=1, metavar="N", help="models to draw, for means over them (default: 1)"),
    argument("--jobs", type=count, default=1, metavar="N", help="processes that measure (default: 1)"),
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
        weight_scales=args.weight_scales,
        weight_codes=args.weight_codes,
        bias_correction=args.bias_correction,
        smoothing=args.smoothing,
        feedback=args.feedback,
        scale_rule=args.scale_rule,
        four_over_six=args.four_over_six,
        input_gamma=args.input_gamma,
        calibration=args.calibration,
        split=args.split,
        seeds=args.seeds,
        jobs=args.jobs,
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
    argument(
        "--out", type=file(*CONTAINERS, ".onnx"), required=True, metavar="FILE", help=".safetensors, .npz or .onnx"
    ),
    argument("--rows", type=count, default=4, help="input rows recorded for each layer (default: 4)"),
)
def export(args: Namespace, console: Console) -> int:
    """Quantize a workload's model and write its integers, for 'vsq regress --workload', or the model as ONNX.

    example: vsq export digits 4/4U/4/6 --out digits.safetensors --rows 4
    """
    config = MacConfig.parse(args.config)

    from vsq.golden.nn.integer import export
    from vsq.golden.nn.quantize import quantize

    if args.out.suffix == ".onnx":
        from vsq.golden.nn.onnx.export import called_with, to_onnx

    task = workload.load(args.workload)
    model = quantize(task.model(), config, task.calibrate, inplace=True, console=console)
    if args.out.suffix == ".onnx":
        to_onnx(model, args.out, called_with(model, task.calibrate))
    else:
        export(model, args.out, task.calibrate, rows=args.rows)
    print(args.out)
    return 0
