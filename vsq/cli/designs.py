"""Commands on designs: generate them, and list the named ones."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from vsq.cli.arguments import CONFIG, ELEMENT, add_overrides, argument, command, count, folder, overrides, seed, text
from vsq.golden.contract.config import FORMATS, PRESETS
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.companions.kinds import KINDS

_MAX_VECTORS = 1_000_000


def _vectors(text: str) -> int:
    if count(text) > _MAX_VECTORS:
        raise ArgumentTypeError(f"{text} are more than {_MAX_VECTORS:,}; 'vsq regress --beats' simulates more")
    return int(text)


@command(
    CONFIG,
    argument("--out", type=folder, default=Path(), metavar="DIR", help="folder of the files (default: here)"),
    argument("--name", type=text, help="module and file name (default: vsq_mac_ and the configuration)"),
    ELEMENT,
    argument(
        "--vectors",
        type=_vectors,
        metavar="N",
        help="also write N test vectors, or more where overflow takes them, and a plain-Verilog bench",
    ),
    argument("--seed", type=seed, help="seed of the test vectors, with --vectors (default: 1)"),
    argument("--interface", choices=["native", "axis"], default="native", help="axis: AXI4-Stream ports"),
    argument(
        "--with",
        dest="companions",
        type=lambda given: [kind.strip() for kind in given.split(",")],
        action="extend",
        default=[],
        metavar="KIND,...",
        help="also write files for other tools; " + "; ".join(f"{name}: {kind.about}" for name, kind in KINDS.items()),
    ),
    argument("--freq", type=float, metavar="MHZ", help="of the clock in constraints, with --with (default: 100)"),
    add_overrides,
)
def generate(args: Namespace, console: Console) -> int:
    """Write Verilog and its manifest, and test vectors if asked.

    example: vsq generate 4/4U/4/6 --scale-product-bits 6 --vectors 1000 --out build
    """
    from vsq.golden.contract.pe_config import configuration
    from vsq.golden.stimulus.stream import unreached
    from vsq.tb.vectors.generation import generate

    config = configuration(args.config, pe=args.pe, **overrides(args))
    if args.seed is not None and not args.vectors:
        raise InputError(f"--seed {args.seed}: it draws test vectors, and there are none; give --vectors too")
    settings = {name: getattr(args, name) for name in ("vectors", "interface", "companions")}
    drawn = 1 if args.seed is None else args.seed
    files = generate(config, args.out, args.name, seed=drawn, frequency=args.freq, **settings)
    print(f"{config.full_name}: accumulator {config.mac.acc_bits} bits, scale shift {config.mac.scale_shift}")
    for path in files:
        print(f"  {path}")
    if args.vectors and (missed := unreached(config.mac)):
        print(f"  {missed}")
    return 0


@command()
def presets(args: Namespace, console: Console) -> int:
    """List the named configurations: presets of hardware, and block formats for networks.

    example: vsq presets
    """
    table = Table(Column("preset", no_wrap=True), Column("configuration", no_wrap=True), "meaning", box=SIMPLE_HEAD)
    for name, (config, about) in (PRESETS | FORMATS).items():
        table.add_row(name, config, about)
    console.print(table)
    return 0
