"""Arguments that several commands share: their types, and groups of options."""

import argparse
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from vsq.golden.contract.config import MacConfig

CONFIG = "configuration or preset; the options of a processing element follow @"
CONFIGS = "configurations or presets; the options of processing elements follow @"
PE = "processing elements, of configurations without @ too"

# Field of a configuration -> its name in the usage, and its help. The option's type is that of the field.
_OVERRIDES = {
    "vector_size": ("V", "elements per vector, 1 to 256"),
    "scale_product_bits": ("R", "bits of the rounded scale product"),
    "rounding": (None, "rounding of the scale product"),
    "accumulator_bits": ("P", "accumulator width, 2 to 96"),
    "max_vectors": ("N", "vectors that the default width must hold"),
    "overflow": (None, "what the accumulator does beyond its bits"),
    "narrow": (None, "assume that signed codes never equal -2^(bits-1)"),
    "pipeline": ("D", "register stages before the accumulator, 0 to 3"),
    "arithmetic": (None, "style of the arithmetic"),
    "target": (None, "what 'auto' arithmetic is chosen for"),
}


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def seed(text: str) -> int:
    """Read a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def drawn(given: int | None) -> int:
    """Return a seed: the given one, or one that is drawn."""
    from secrets import randbelow

    return randbelow(1 << 31) if given is None else given


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the options that override the configuration's, under the names of its fields."""
    group = parser.add_argument_group("configuration")
    defaults = {field.name: field.default for field in fields(MacConfig)}
    for name, (metavar, about) in _OVERRIDES.items():
        kind: dict[str, Any] = {"type": int, "metavar": metavar}
        if isinstance(default := defaults[name], StrEnum):
            kind = {"choices": [*map(str, type(default))]}
        elif isinstance(default, bool):
            kind = {"action": "store_true", "default": None}
        group.add_argument(f"--{name.replace('_', '-')}", help=about, **kind)


def overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that :func:`add_overrides` added, as arguments of a configuration."""
    return {name: getattr(args, name) for name in _OVERRIDES}


def add_dut(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a user's design."""
    parser.add_argument(
        "--dut",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="simulate this Verilog instead of the generated one; once more for each further file, as of cell models",
    )
    parser.add_argument(
        "--top",
        metavar="NAME",
        help="top module, of the first --dut (default: as 'vsq generate' names it, or the one never instantiated)",
    )


def add_bit_area(parser: argparse.ArgumentParser) -> None:
    """Add the option that weighs the bits of buffers."""
    parser.add_argument(
        "--bit-area", default="1", metavar="X", help="area of a buffer bit, in two-input NANDs (default: 1)"
    )
