"""List the named configurations.

example: vsq presets
"""

from argparse import Namespace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from vsq.golden.contract.config import PRESETS

ARGUMENTS = ()


def run(args: Namespace, console: Console) -> int:
    """Print one row a preset."""
    table = Table(Column("preset", no_wrap=True), Column("configuration", no_wrap=True), "meaning", box=SIMPLE_HEAD)
    for name, (text, about) in PRESETS.items():
        table.add_row(name, text, about)
    console.print(table)
    return 0
