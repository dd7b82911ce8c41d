"""Proofs about the emitted MAC on small configurations: ``python -m vsq.tb.formal.prove``.

For each, with inputs and times without bound: the stream protocol (:mod:`vsq.tb.formal.protocol`), equality with the
formula in plain Verilog (:mod:`vsq.tb.formal.reference`), and that the registers' values at power-up are never seen.
Besides, every input of the datapath is simulated and compared with the golden model.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.tb.formal.equivalence import Verdict, compare_starts, compare_with
from vsq.tb.formal.protocol import prove, transitions
from vsq.tb.formal.reference import reference
from vsq.tb.interface.mac import MacInterface
from vsq.tb.mutation.pins import Pins
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP

# Every pipeline depth, both policies, both styles, every rounding, with and without scales, promises and signs.
CONFIGS = tuple(
    map(
        MacConfig.parse,
        (
            "2/2U/2/2:V=2,R=3,acc=6,pipeline=0",
            "2/2U/2/2:V=2,R=3,acc=6,pipeline=1",
            "3/2U/-/2:V=3,R=1,round=truncate,acc=7,pipeline=1,style=behavioural",
            "2/2/2/-:V=2,acc=6,overflow=wrap,pipeline=2",
            "2/3U/2/2:V=2,R=2,round=half_even,acc=8,pipeline=2",
            "2/2/-/-:V=2,acc=6,narrow=1,pipeline=3",
            "2/2U/2/2:V=2,R=3,acc=6,pipeline=3",
            "e2m1/2U/2/-:V=1,acc=8,pipeline=1",
        ),
    )
)
_SECONDS = 300  # for a proof
_MOST_STEPS = 8  # of induction


def protocol(config: MacConfig) -> str:
    """Prove the stream protocol; return by how many steps of induction, or nothing."""
    steps = prove(transitions(config, design(config).rtlil(TOP)), _MOST_STEPS)
    return f"{steps}-induction" if steps else ""


def formula(config: MacConfig) -> str:
    """Prove equality with the formula; return the verdict, or nothing if it is another."""
    return _proved(compare_with(Pins(config), design(config).rtlil(TOP), reference(config, "other"), _SECONDS))


def power_up(config: MacConfig) -> str:
    """Prove that no register's value at power-up is ever seen; return the verdict, or nothing if it is another."""
    return _proved(compare_starts(Pins(config), design(config).rtlil(TOP), _SECONDS))


def every_input(config: MacConfig) -> str:
    """Simulate all inputs of the datapath, a result for each, and return how many.

    Raises:
        AssertionError: If a result is not the golden model's.
    """
    sides = (config.weight, config.activation)
    formats = [fmt for fmt in sides for _ in range(config.vector_size)]
    formats += [fmt for fmt in (config.weight_scale, config.activation_scale) if fmt]
    codes = np.array(list(product(*(fmt.values for fmt in formats))))
    w, a, *scales = np.split(codes, [config.vector_size, 2 * config.vector_size, 2 * config.vector_size + 1], axis=1)
    columns = iter(column[:, 0] for column in scales if column.size)
    sw, sa = (next(columns) if fmt else None for fmt in (config.weight_scale, config.activation_scale))
    marks = np.ones(len(codes), np.bool_)
    streams = MacInterface(config).streams(Beats(w, a, sw, sa, marks, marks))
    return f"{play(config, streams).board.results:,}"


def _proved(verdict: Verdict) -> str:
    return verdict if verdict == Verdict.EQUIVALENT else ""


CHECKS: dict[str, Callable[[MacConfig], str]] = {
    "protocol": protocol,
    "formula": formula,
    "power-up": power_up,
    "every input": every_input,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if everything is proved."""
    parser = argparse.ArgumentParser(prog="python -m vsq.tb.formal.prove", description=__doc__.partition("\n\n")[0])
    parser.parse_args(arguments)
    console, proved = Console(), True
    table = Table(Column("configuration", overflow="fold"), *CHECKS, "s")
    for config in CONFIGS:
        start = time.perf_counter()
        cells = []
        for name, check in CHECKS.items():
            with console.status(f"{config.full_name}: {name}"):
                cells.append(check(config))
        proved = proved and all(cells)
        table.add_row(
            config.full_name, *(cell or "[red]not proved[/]" for cell in cells), f"{time.perf_counter() - start:.0f}"
        )
        console.print(f"{config.full_name}: {'done' if all(cells) else 'not proved'}")
    console.print(table)
    return int(not proved)


if __name__ == "__main__":
    sys.exit(main())
