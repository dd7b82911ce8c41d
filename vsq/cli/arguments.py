"""Commands and their arguments: how both are declared, the types of values, and what several commands share."""

import os
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from inspect import cleandoc
from pathlib import Path
from secrets import randbelow
from typing import Any

from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.options import declared
from vsq.golden.workloads.workload import WORKLOADS

Argument = Callable[[ArgumentParser], object]
_MOST_DIGITS = 40  # of a whole number


def argument(*names: str, **options: Any) -> Argument:
    """Return what adds an argument to the parser of a command, as ``ArgumentParser.add_argument`` does."""
    return lambda parser: parser.add_argument(*names, **options)


@dataclass(frozen=True)
class Subcommand:
    """A command, named as its function, which takes the parsed arguments and returns the exit code.

    The first paragraph of the function's docstring is the help; the rest, such as examples, ends it.
    """

    arguments: tuple[Argument, ...]
    run: Callable[[Namespace, Console], int]

    def configure(self, parser: ArgumentParser) -> None:
        """Let a parser read the command, to be run as ``args.run(args, console)``."""
        parser.description, _, parser.epilog = cleandoc(self.run.__doc__ or "").partition("\n\n")
        parser.set_defaults(run=self.run)
        for add in self.arguments:
            add(parser)

    def __call__(self, console: Console, *arguments: str) -> int:
        """Run the command as from the command line; return its exit code."""
        parser = ArgumentParser()
        self.configure(parser)
        return self.run(parser.parse_args(arguments), console)


def command(*arguments: Argument) -> Callable[[Callable[[Namespace, Console], int]], Subcommand]:
    """Return a decorator that makes a command of a function."""
    return partial(Subcommand, arguments)


def count(text: str, low: int = 1) -> int:
    """Read a whole number from ``low`` on."""
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) < low:
        raise ArgumentTypeError(f"{text[:_MOST_DIGITS]!r} is not a whole number from {low}")
    return int(text)


seed = partial(count, low=0)


def text(given: str) -> str:
    """Read a text that is not empty."""
    if not given:
        raise ArgumentTypeError("the text is empty; give one, or leave the option out")
    return given


def path(given: str) -> Path:
    """Read a path that is not empty."""
    return Path(text(given))


def folder(given: str) -> Path:
    """Read the path of a folder that exists or can be made."""
    path = Path(text(given))
    place = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        what = "read-only" if place.is_dir() else "a file"
        raise ArgumentTypeError(f"{given!r}: {place} is {what}; give another folder")
    return path


def file(*suffixes: str) -> Callable[[str], Path]:
    """Return a reader of the path of a file that can be written, with one of these suffixes if there are any."""

    def read(given: str) -> Path:
        path = Path(text(given))
        if suffixes and path.suffix not in suffixes:
            raise ArgumentTypeError(f"{given!r} does not end in one of {', '.join(suffixes)}")
        if path.is_dir():
            raise ArgumentTypeError(f"{given!r} is a folder; give a file")
        folder(str(path.absolute().parent))
        return path

    return read


def drawn(given: int | None) -> int:
    """Return a seed: the given one, or one that is drawn."""
    return randbelow(1 << 31) if given is None else given


def add_overrides(parser: ArgumentParser) -> None:
    """Add the options that override the configuration's, under the names of its fields."""
    group = parser.add_argument_group("configuration")
    for option in declared(MacConfig):
        kind: dict[str, Any] = {"type": int, "metavar": option.symbol}
        if isinstance(option.default, StrEnum):
            kind = {"choices": [*map(str, option.values)]}
        elif isinstance(option.default, bool):
            kind = {"action": BooleanOptionalAction}
        group.add_argument(f"--{option.name.replace('_', '-')}", help=option.help, **kind)


def overrides(args: Namespace) -> dict[str, Any]:
    """Return the options that :func:`add_overrides` added, as arguments of a configuration."""
    return {option.name: getattr(args, option.name) for option in declared(MacConfig)}


WORKLOAD = argument("workload", help="; ".join(f"{name}: {about}" for name, about in WORKLOADS.items()))
CONFIG = argument("config", help="configuration or preset; the options of a processing element follow @")
SEVERAL = "configurations or presets; the options of processing elements follow @"
CONFIGS = argument("configs", nargs="+", metavar="config", help=SEVERAL)
ELEMENT = argument("--pe", action="store_true", help="a processing element even without @")
ELEMENTS = argument("--pe", action="store_true", help="processing elements, of configurations without @ too")
BIT_AREA = argument(
    "--bit-area", default="1", metavar="X", help="area of a buffer bit, in two-input NANDs (default: 1)"
)
DONT_USE = argument(
    "--dont-use",
    nargs="+",
    default=[],
    metavar="GLOB",
    help="cells of the library not to use, by patterns such as '*_probe_*'",
)
JSON = argument("--json", type=file(), metavar="FILE", help="also write the report as JSON")
DUT = argument(
    "--dut",
    type=path,
    action="append",
    default=[],
    metavar="FILE",
    help="simulate this Verilog instead of the generated one; once more for each further file, as of cell models",
)
TOP = argument(
    "--top",
    metavar="NAME",
    help="top module, of the first --dut (default: as 'vsq generate' names it, or the one never instantiated)",
)
