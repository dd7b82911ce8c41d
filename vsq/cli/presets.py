"""List the named configurations.

example: vsq presets
"""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from vsq.golden.contract.config import PRESETS


def configure(parser: ArgumentParser) -> None:
    """Add no arguments."""


def run(args: Namespace, console: Console) -> int:
    """Print one row a preset."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    table = Table(Column("preset", no_wrap=True), Column("configuration", no_wrap=True), "meaning", box=SIMPLE_HEAD)
    for name, (text, about) in PRESETS.items():
        table.add_row(name, text, about)
    console.print(table)
    return 0
