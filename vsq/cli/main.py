"""``vsq``, the command line: a thin front over the packages. Bad input is one line on stderr and exit code 2."""

import argparse
import errno
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from vsq.golden.contract.config import Arithmetic, Overflow, Rounding, Target
from vsq.golden.contract.distribution import EXTRAS, install
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.presets import PRESETS, resolve

_EPILOG = """\
examples:
  vsq generate 4/4U/4/6 --out build --vectors 1000
  vsq regress 4/4/4/6 8/8/-/- --sim verilator,icarus --jobs 2
  vsq area 4/4/4/6 8/8/-/-
  vsq demo

A configuration is W/A/ws/as: weight bits, activation bits (U: unsigned), bits of the per-vector scales (-: none).
Options may follow: 4/4U/4/6:V=32,R=6,round=half_even,acc=24,overflow=wrap,pipeline=2. See 'vsq presets' too."""


_MAX_VECTORS = 1_000_000
_MAX_SLEW = 100  # in the library's unit of time
# The names of what takes long to load: the suffixes of plots, and options of PyTorch code.
_PICTURES = (".html", ".svg", ".png")
_MODES = ("ptq", "qat")
_INPUT_GAMMAS = ("static", "tensor", "row")
_CALIBRATIONS = ("max", "percentile", "entropy", "mse")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, or show the help; return the exit code.

    0 is success, 1 a check that failed, 2 bad input or a full disk, 130 an interrupt, 141 an output that nobody reads.
    """
    parser = _parser()
    parser.set_defaults(run=lambda _: parser.print_help())
    parsed = parser.parse_args(arguments)
    try:
        code = int(parsed.run(parsed) or 0)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"vsq: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(f"vsq: error: {package} is not installed; {install(package)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has gone, as head does: end as SIGPIPE ends a program
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _discard_output()
        place = error.filename or "standard output"
        print(f"vsq: error: {place}: cannot be written ({error.strerror}); free some space", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vsq: interrupted", file=sys.stderr)
        return 130


def _discard_output() -> None:
    """Let what is still to be written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vsq", description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="command")

    def command(run: Any, example: str) -> argparse.ArgumentParser:
        name = run.__name__.lstrip("_")
        about = run.__doc__.strip()
        sub = commands.add_parser(
            name,
            help=about.splitlines()[0],
            description=about,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    sub = command(_generate, "vsq generate 4/4U/4/6 --scale-product-bits 6 --vectors 1000 --out build")
    sub.add_argument("config", help="configuration or preset")
    sub.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder of the files (default: here)")
    sub.add_argument("--name", help="module and file name (default: vsq_mac_ and the configuration)")
    sub.add_argument("--pe", action="store_true", help="a whole processing element; its options follow @")
    sub.add_argument(
        "--vectors",
        type=_vectors,
        metavar="N",
        help="also write N test vectors, or more where overflow takes them, and a plain-Verilog bench",
    )
    sub.add_argument("--seed", type=_seed, default=1, help="seed of the test vectors (default: 1)")
    sub.add_argument("--interface", choices=["native", "axis"], default="native", help="axis: AXI4-Stream ports")
    _add_overrides(sub)

    sub = command(_regress, "vsq regress 4/4/4/6 8/8U/-/- --sim verilator,icarus --jobs 2 --beats 5000")
    sub.add_argument(
        "configs",
        nargs="*",
        metavar="config",
        help="configurations or presets, with @ of processing elements (default: all presets)",
    )
    sub.add_argument("--pe", action="store_true", help="configurations without @ are of processing elements too")
    sub.add_argument("--preset", help="one preset by name, or 'all'")
    sub.add_argument("--full", action="store_true", help="the pairwise covering regression")
    sub.add_argument("--sim", metavar="NAMES", help="simulators, separated by commas (default: those that are found)")
    sub.add_argument("--jobs", type=_count, help="jobs at a time (default: one a core)")
    sub.add_argument(
        "--beats",
        type=_count,
        help="vectors for each MAC (default: 2000, with which a preset closes its coverage), or commands for each "
        "processing element (default: 120)",
    )
    sub.add_argument("--seed", type=_seed, help="seed of all jobs (default: drawn, and printed)")
    _add_dut(sub)
    sub.add_argument(
        "--out",
        type=Path,
        default=Path("build/regress"),
        metavar="DIR",
        help="reports of the last run; each run keeps its own and its failures in DIR/run-<number>",
    )
    sub.add_argument(
        "--workload", type=Path, metavar="FILE", help="stream the layers of a file that 'vsq export' wrote"
    )
    sub.add_argument("--layer", default="*", metavar="PATTERN", help="layers of the workload (default: all)")
    sub.add_argument(
        "--reproduce", type=Path, metavar="FILE", help="replay the recording of a failed job, and shrink it"
    )

    sub = command(_verify, "vsq verify 4/4/4/6 --seed 7")
    sub.add_argument("config", help="configuration or preset; the options of a processing element follow @")
    sub.add_argument("--pe", action="store_true", help="a processing element even without @")
    sub.add_argument("--seed", type=_seed, help="seed of all streams and mutants (default: drawn, and printed)")
    sub.add_argument("--sim", metavar="NAMES", help="simulators, separated by commas (default: all, present or not)")
    sub.add_argument("--mutants", type=_count, default=50, metavar="N", help="single-bit mutants to find (default: 50)")
    sub.add_argument("--out", type=Path, default=Path("build/verify"), metavar="DIR", help="folder of the results")
    _add_dut(sub)

    sub = command(_network, "vsq network digits 4/4U/4/6 --images 60")
    sub.add_argument("workload", help="digits, the whole network; or minilm, a layer of 384x384 with 128 tokens")
    sub.add_argument("config", help="of the processing element, as in 4/4U/4/6:R=6@lanes=32")
    sub.add_argument("--images", type=_count, metavar="N", help="test images of digits (default: all)")
    sub.add_argument("--sim", default="verilator", metavar="NAME", help="verilator (default), or icarus")

    sub = command(
        _accuracy, "vsq accuracy digits 3/3U/4/4 2/4U/4/4 --mode ptq,qat --json digits.json --plot digits.html"
    )
    sub.add_argument("workload", help="digits, or minilm")
    sub.add_argument("configs", nargs="*", metavar="config", help="configurations or presets (default: some of each)")
    sub.add_argument(
        "--mode", type=_modes, default=["ptq"], metavar="NAMES", help="ptq, qat, or both with a comma (default: ptq)"
    )
    sub.add_argument(
        "--input-gamma",
        choices=_INPUT_GAMMAS,
        default="static",
        help="where gammas of inputs come from (default: static)",
    )
    sub.add_argument(
        "--calibration", choices=_CALIBRATIONS, default="max", help="of static input gammas (default: max)"
    )
    sub.add_argument("--split", action="store_true", help="split weights into three planes first (SplitQuant)")
    sub.add_argument("--json", type=Path, metavar="FILE", help="keep the scores there; a second run takes them up")
    sub.add_argument("--plot", type=_picture, metavar="FILE", help="also draw the scores: .html, .svg or .png")

    sub = command(_export, "vsq export digits 4/4U/4/6 --out digits.safetensors --rows 4")
    sub.add_argument("workload", help="digits, or minilm")
    sub.add_argument("config", help="configuration or preset")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help=".safetensors or .npz")
    sub.add_argument("--rows", type=_count, default=4, help="input rows recorded for each layer (default: 4)")

    sub = command(_area, "vsq area 4/4/4/6 8/8/-/- --liberty cells.lib --json area.json")
    sub.add_argument("configs", nargs="+", metavar="config", help="configurations or presets")
    sub.add_argument("--pe", action="store_true", help="whole processing elements, as in 4/4/4/6:R=6@lanes=32")
    sub.add_argument(
        "--bit-area", default="1", metavar="X", help="area of a buffer bit, in two-input NANDs (default: 1)"
    )
    sub.add_argument(
        "--liberty", default="nand2", metavar="FILE", help="standard-cell library, or a built-in one: nand2, gates"
    )
    sub.add_argument("--goal", choices=["area", "delay"], default="area", help="what to minimise (default: area)")
    sub.add_argument("--flatten", action="store_true", help="optimise across components; no split by component then")
    sub.add_argument("--timing", action="store_true", help="also critical paths, by OpenSTA with the library's timing")
    sub.add_argument("--sweep-pipeline", action="store_true", help="every pipeline depth, area against frequency")
    sub.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")

    sub = command(_energy, "vsq energy 4/4/4/6 4/4/-/- --liberty /usr/share/qflow/tech/osu018/osu018_stdcells.lib")
    sub.add_argument("configs", nargs="+", metavar="config", help="configurations or presets")
    sub.add_argument("--pe", action="store_true", help="whole processing elements, as in 4/4/4/6:R=6@lanes=32")
    sub.add_argument("--liberty", required=True, metavar="FILE", help="standard-cell library with power data")
    sub.add_argument(
        "--data", default="gaussian", metavar="NAME", help="digits, minilm, gaussian, or an .npz file of a layer"
    )
    sub.add_argument("--slew", type=_slew, default=0.1, metavar="T", help="input transition time (default: 0.1)")
    sub.add_argument("--hazards", action="store_true", help="also transitions within a cycle, at one delay a gate")
    sub.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON")

    sub = command(_report, "vsq report 4/4/4/6 4/8/6/10:R=8 --accuracy minilm.json --out build/report")
    sub.add_argument("configs", nargs="*", metavar="config", help="processing elements (default: the paper's)")
    sub.add_argument("--liberty", metavar="FILE", help="library with timing and power, for critical paths and energy")
    sub.add_argument("--data", default="digits", metavar="NAME", help="what energy is measured on (default: digits)")
    sub.add_argument("--bit-area", default="1", metavar="X", help="a buffer bit's area in two-input NANDs (default: 1)")
    sub.add_argument(
        "--accuracy", type=Path, nargs="*", default=[], metavar="FILE", help="scores that 'vsq accuracy --json' wrote"
    )
    sub.add_argument("--out", type=Path, default=Path("build/report"), metavar="DIR", help="folder of the report")

    sub = command(_demo, "vsq demo --out build/demo")
    sub.add_argument("--out", type=Path, default=Path("build/demo"), metavar="DIR", help="folder of the files")

    command(_presets, "vsq presets")
    command(_doctor, "vsq doctor")
    return parser


def _add_dut(sub: argparse.ArgumentParser) -> None:
    """Add the options that name a user's design."""
    sub.add_argument(
        "--dut",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="simulate this Verilog instead of the generated one; once more for each further file, as of cell models",
    )
    sub.add_argument(
        "--top",
        metavar="NAME",
        help="top module, of the first --dut (default: as 'vsq generate' names it, or the one never instantiated)",
    )


def _add_overrides(sub: argparse.ArgumentParser) -> None:
    """Add the options that override the configuration's, under the names of its fields."""
    group = sub.add_argument_group("configuration")
    group.add_argument("--vector-size", type=int, metavar="V", help="elements per vector, 1 to 256")
    group.add_argument("--scale-product-bits", type=int, metavar="R", help="bits of the rounded scale product")
    group.add_argument("--rounding", choices=[*map(str, Rounding)], help="rounding of the scale product")
    group.add_argument("--accumulator-bits", type=int, metavar="P", help="accumulator width, 2 to 96")
    group.add_argument("--max-vectors", type=int, metavar="N", help="vectors that the default width must hold")
    group.add_argument("--overflow", choices=[*map(str, Overflow)], help="what the accumulator does beyond its bits")
    group.add_argument("--narrow", action="store_true", default=None, help="promise that -2^(bits-1) never occurs")
    group.add_argument("--pipeline", type=int, metavar="D", help="register stages before the accumulator, 0 to 3")
    group.add_argument("--arithmetic", choices=[*map(str, Arithmetic)], help="style of the arithmetic")
    group.add_argument("--target", choices=[*map(str, Target)], help="what 'auto' arithmetic is chosen for")


def _console() -> Any:
    """Return a console that does not fold tables where the output is no terminal."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise  # the error that is being handled; main ends the program

    console = Plain()
    return console if console.is_terminal else Plain(width=140)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _vectors(text: str) -> int:
    if _count(text) > _MAX_VECTORS:
        raise argparse.ArgumentTypeError(f"{text} are more than {_MAX_VECTORS:,}; 'vsq regress --beats' simulates more")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _slew(text: str) -> float:
    try:
        slew = float(text)
    except ValueError:
        slew = math.nan
    if not 0 < slew <= _MAX_SLEW:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to {_MAX_SLEW}")
    return slew


def _modes(text: str) -> list[str]:
    modes = text.split(",")
    if wrong := [mode for mode in modes if mode not in _MODES]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(_MODES)}")
    return modes


def _picture(text: str) -> Path:
    if Path(text).suffix not in _PICTURES:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in one of {', '.join(_PICTURES)}")
    return Path(text)


def _generate(args: argparse.Namespace) -> int:
    """Write Verilog and its manifest, and test vectors if asked."""
    from vsq.generation import generate
    from vsq.golden.contract.pe_config import PeConfig, resolve_design
    from vsq.golden.stimulus.stream import unreached

    overrides = (
        "vector_size",
        "scale_product_bits",
        "rounding",
        "accumulator_bits",
        "max_vectors",
        "overflow",
        "narrow",
    )
    options = {name: getattr(args, name) for name in (*overrides, "pipeline", "arithmetic", "target")}
    config = resolve_design(args.config, pe=args.pe, **options)
    files = generate(config, args.out, args.name, vectors=args.vectors, seed=args.seed, interface=args.interface)
    mac = config.mac if isinstance(config, PeConfig) else config
    print(f"{config.full_name}: accumulator {mac.acc_bits} bits, scale shift {mac.scale_shift}")
    for path in files:
        print(f"  {path}")
    if args.vectors and (missed := unreached(mac)):
        print(f"  {missed}")
    return 0


def _presets(args: argparse.Namespace) -> int:
    """List the named configurations."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    table = Table(Column("preset", no_wrap=True), Column("configuration", no_wrap=True), "stands for", box=SIMPLE_HEAD)
    for name, (text, about) in PRESETS.items():
        table.add_row(name, text, about)
    _console().print(table)
    return 0


def _regress(args: argparse.Namespace) -> int:
    """Co-simulate configurations against the golden model; exit code 1 tells of a failure."""
    from secrets import randbelow

    from vsq.golden.contract.pe_config import resolve_design
    from vsq.golden.io import layers
    from vsq.tb.failures.reproduce import reproduce
    from vsq.tb.regression.covering import full_regression
    from vsq.tb.regression.dut import Dut
    from vsq.tb.regression.pe_covering import full_pe_regression
    from vsq.tb.regression.run import play, regress
    from vsq.tb.simulation.simulators import probe

    asked = args.configs or args.preset or args.full
    if (args.workload or args.reproduce) and asked:
        raise InputError("--workload and --reproduce: the file names the configurations; leave out all others")
    if args.dut and (args.workload or (not args.reproduce and (len(args.configs) != 1 or args.preset or args.full))):
        raise InputError("--dut: it is a design of one configuration; name that one and no other")
    if args.top and not args.dut:
        raise InputError(f"--top {args.top}: it is a module of --dut; give its file too")
    if args.reproduce:
        return reproduce(args.reproduce, out=args.out, console=_console(), files=args.dut, top=args.top)
    if args.pe and not args.configs:
        raise InputError("--pe: it says what configurations are of, and there are none; write for example 4/4/4/6:V=4")
    names = list(PRESETS) if args.preset == "all" or not asked else []
    names += args.configs + ([args.preset] if args.preset and args.preset != "all" else [])
    seed = randbelow(1 << 31) if args.seed is None else args.seed
    configs = [resolve_design(name, pe=args.pe) for name in names]
    if args.full:
        configs += [*full_regression(), *full_pe_regression(seed)]
    if args.sim:
        sims = args.sim.split(",")
    else:
        found = probe()
        sims = [name for name, tool in found.items() if not isinstance(tool, InputError)]
        errors = [tool for tool in found.values() if isinstance(tool, InputError)]
        if not sims:
            raise errors[0]
        for error in errors:
            print(f"skipped: {error}", file=sys.stderr)
    if args.workload:
        streams = layers.streams(layers.load(args.workload), args.layer)
        return max(
            play(config, beats, sims=sims, out=args.out / config.slug, console=_console()).exit_code
            for config, beats in streams.items()
        )
    jobs = args.jobs or os.cpu_count() or 1
    dut = Dut.read(configs[0], args.dut, args.top) if args.dut else None
    summary = regress(
        configs, sims=sims, workers=jobs, out=args.out, beats=args.beats, seed=seed, dut=dut, console=_console()
    )
    return summary.exit_code


def _verify(args: argparse.Namespace) -> int:
    """Verify a design by simulation, mutants, proofs and its netlist; exit code 1 if anything fails or cannot run."""
    from secrets import randbelow

    from vsq.golden.contract.pe_config import resolve_design
    from vsq.synth.gatesim.verilog import mapped
    from vsq.tb.regression.dut import Dut
    from vsq.tb.regression.verify import Verifier, verify
    from vsq.tb.simulation.simulators import SIMULATORS

    config = resolve_design(args.config, pe=args.pe)
    if args.top and not args.dut:
        raise InputError(f"--top {args.top}: it is a module of --dut; give its file too")
    sims = tuple(args.sim.split(",") if args.sim else SIMULATORS)
    if unknown := [sim for sim in sims if sim not in SIMULATORS]:
        raise InputError(f"simulator {unknown[0]!r}: choose among {', '.join(SIMULATORS)}")
    seed = randbelow(1 << 31) if args.seed is None else args.seed
    verifier = Verifier(
        config=config,
        sims=sims,
        seed=seed,
        out=args.out,
        mapped=mapped,
        dut=Dut.read(config, args.dut, args.top) if args.dut else None,
        mutants=args.mutants,
    )
    console = _console()
    console.print(f"{config.full_name}, seed {seed}")
    code = verify(verifier.stages(), console)
    if args.dut:
        console.print("mutants and proofs are of generated designs; 'vsq verify' without --dut runs them")
    console.print(f"{'NOT verified' if code else 'verified'}: {config.full_name}, seed {seed}")
    return code


def _network(args: argparse.Namespace) -> int:
    """Run a workload layer by layer on the RTL of a processing element; exit code 1 tells of a wrong integer."""
    from vsq.golden.contract.pe_config import PeConfig
    from vsq.tb.regression.network import run

    config = PeConfig.parse(args.config)
    result = run(args.workload, config, simulator=args.sim, images=args.images, console=_console())
    _console().print(result.table())
    return 0 if result.passed else 1


def _accuracy(args: argparse.Namespace) -> int:
    """Measure a workload's accuracy against configuration, per-vector beside per-channel scales."""
    configs = [resolve(name) for name in args.configs]

    from vsq.golden.io import charts

    if args.plot:
        charts.check(args.plot)

    from vsq.golden.nn.evaluation import accuracy, tasks

    task = tasks.load(args.workload)
    report = accuracy.measure(
        task,
        configs or [resolve(name) for name in task.configs],
        modes=args.mode,
        input_gamma=args.input_gamma,
        calibration=args.calibration,
        split=args.split,
        path=args.json,
        console=_console(),
    )
    _console().print(report.table())
    if args.plot:
        from vsq.golden.nn.evaluation.score_plot import score_chart

        charts.save(score_chart(report), args.plot)
    return 0


def _export(args: argparse.Namespace) -> int:
    """Quantize a workload's model and write its integers, which 'vsq regress --workload' streams through the RTL."""
    config = resolve(args.config)

    from vsq.golden.io import layers
    from vsq.golden.nn.evaluation import tasks
    from vsq.golden.nn.integer import integers
    from vsq.golden.nn.quantize import quantize

    task = tasks.load(args.workload)
    model = quantize(task.model(), config, task.calibrate, console=_console())
    layers.save(args.out, integers(model, task.calibrate, rows=args.rows))
    print(args.out)
    return 0


def _area(args: argparse.Namespace) -> int:
    """Synthesise configurations and report their area against the 8-bit baseline."""
    from vsq.cli import area as area_command

    args.pe |= any("@" in name for name in args.configs)
    return area_command.area(args, _console())


def _energy(args: argparse.Namespace) -> int:
    """Simulate mapped netlists on real data and report the energy of a multiply-accumulate."""
    from vsq.cli import energy as energy_report

    args.pe |= any("@" in name for name in args.configs)
    return energy_report.energy(args, _console())


def _report(args: argparse.Namespace) -> int:
    """Report area, energy and critical paths of processing elements beside the paper's, as text, JSON and a page."""
    from vsq.cli import report as report_command

    return report_command.report(args, _console())


def _demo(args: argparse.Namespace) -> int:
    """Generate 4/4U/4/6, co-simulate a layer of a real network, print accuracy and area."""
    from vsq.golden.stimulus.stream import layer as layer_beats
    from vsq.golden.workloads import digits
    from vsq.tb.regression.run import play
    from vsq.tb.simulation.simulators import find

    find("verilator")
    console = _console()
    name = "4/4U/4/6"
    console.rule(f"1. Verilog, manifest and test vectors of {name}")
    code = main(["generate", name, "--out", str(args.out), "--vectors", "1000"])
    console.rule("2. A real layer on the generated hardware")
    config = resolve(name)
    network = digits.load()
    tensors = network.quantize(config).layer("conv2")
    beats = layer_beats(config, *tensors.weights.operand(), *tensors.activations.operand())
    console.print(f"digits network, layer conv2: {len(beats)} vectors, {int(beats.last.sum())} results")
    summary = play(config, beats, sims=["verilator"], out=args.out, console=console)
    console.rule("3. Accuracy of the network in golden integers (360 test images)")
    report = network.report(config)
    console.print(
        f"FP32 {report.fp32:.1%}   {name} {report.quantized:.1%}   per-channel {config.weight}/{config.activation}/-/- "
        f"{report.per_channel:.1%}"
    )
    console.rule("4. Area against the 8-bit baseline")
    code |= main(["area", name, "8/8U/-/-"])
    return code | summary.exit_code


def _doctor(args: argparse.Namespace) -> int:
    """Show which tools are present and work, and how to install the others; exit code 1 if a required one does not."""
    from vsq.doctor import examine

    return 0 if examine(_console()) else 1


if __name__ == "__main__":
    sys.exit(main())
