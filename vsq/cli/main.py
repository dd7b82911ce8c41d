"""The command line: the parser of all commands, and one place for errors."""

import argparse
import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from vsq.cli import costs, designs, exploration, fpga, layout, networks, report, start, verification
from vsq.cli.arguments import Subcommand
from vsq.golden.contract.distribution import NAME, VERSION, missing
from vsq.golden.contract.errors import InputError

COMMANDS = {
    name: each
    for module in (designs, verification, networks, costs, report, fpga, layout, exploration, start)
    for name, each in vars(module).items()
    if isinstance(each, Subcommand)
}

_ABOUT = """\
Generate Verilog for block-scaled (VS-Quant) vector MACs and processing elements, verify it against a bit-exact model,
and measure its area, its energy and its accuracy on a network."""

_EPILOG = """\
examples:
  vsq generate 4/4U/4/6 --out build --vectors 1000
  vsq regress 4/4/4/6 8/8/-/- --sim verilator,icarus --jobs 2
  vsq area 4/4/4/6 8/8/-/-
  vsq demo

A configuration is W/A/ws/as: weight bits, activation bits (U: unsigned), bits of the per-vector scales (-: none).
Options may follow: 4/4U/4/6:V=32,R=6,round=half_even,acc=24,overflow=wrap,pipeline=2. See 'vsq presets' too."""


_ADVICE = {errno.ENOSPC: "free some space", errno.EDQUOT: "free some space", errno.ENAMETOOLONG: "shorten it"}


class _Console(Console):
    """A console that leaves a closed pipe to the caller."""

    def on_broken_pipe(self) -> NoReturn:
        raise


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    layout = argparse.RawDescriptionHelpFormatter
    top = _Parser(prog="vsq", description=_ABOUT, epilog=_EPILOG, formatter_class=layout)
    top.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    commands = top.add_subparsers(metavar="command")
    for name, each in COMMANDS.items():
        summary = (each.run.__doc__ or "").splitlines()[0]
        each.configure(commands.add_parser(name, help=summary, formatter_class=layout))
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, or show the help; return the exit code.

    0 is success, 1 a check that failed, 2 bad input or a full disk, 130 an interrupt, 141 an output that nobody reads.
    """
    if sys.stdout is None:  # the caller closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    top = parser()
    top.set_defaults(run=lambda *_: top.print_help())
    try:
        args = top.parse_args(arguments)
        console = _Console()  # which does not fold tables where the output is no terminal
        code = int(args.run(args, console if console.is_terminal else _Console(width=140)) or 0)
        sys.stdout.flush()
        return code
    except (InputError, ModuleNotFoundError) as error:
        if not (message := error if isinstance(error, InputError) else missing(error)):
            raise
        print(f"vsq: error: {message}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has gone, as head does: end as SIGPIPE ends a program
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        if error.errno != errno.ENAMETOOLONG:
            _discard_output()
        place = error.filename or "standard output"
        print(f"vsq: error: {place}: cannot be written ({error.strerror}); {_ADVICE[error.errno]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        warnings.simplefilter("ignore")  # of Amaranth, about a design that was left half made
        print("vsq: interrupted", file=sys.stderr)
        return 130


def _discard_output() -> None:
    """Let what is still to be written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
