"""Area estimated from the generator's counts beside netlists: ``python -m benchmarks.estimates``.

Random vector MACs are synthesized, and the areas of those that a fit has not seen are estimated: 10-fold, and from the
number of samples that ``vsq explore --front`` takes.
"""

import argparse
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from vsq.explore.estimates import by_component
from vsq.explore.exploration import explore
from vsq.explore.fit import Fit
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.counts import CountsMeasure
from vsq.explore.space import Space
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io.engine import local

FOLDS = 10
DRAWS = 20  # of samples
SHARES = {"median": 0.5, "90th percentile": 0.9, "99th": 0.99, "largest": 1.0}


def drawn(number: int, seed: int) -> list[MacConfig]:
    """Return random vector MACs of 2 to 8 bits, each once."""
    rng, found = np.random.default_rng(seed), dict[MacConfig, None]()
    while len(found) < number:
        weight, activation = rng.integers(2, 9, 2)
        sides = [f"{weight}", f"{activation}{rng.choice(['', 'U'])}", *rng.choice(["-", "4", "6", "8", "10"], 2)]
        rounded = rng.choice(["", "", ",R=8", ",R=6", ",R=4"])
        with suppress(InputError):  # of options that contradict each other
            found[MacConfig.parse(f"{'/'.join(sides)}:V={rng.choice([8, 16, 16, 32, 64])}{rounded}")] = None
    return [*found]


def main() -> None:
    """Print the errors of estimates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimates", description=__doc__)
    parser.add_argument("--number", type=int, default=110, help="of vector MACs (110)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="workers (all cores)")
    parser.add_argument("--liberty", default="nand2", help="library (nand2)")
    parser.add_argument("--out", type=Path, default=Path("build/explore"), help="store, as of vsq explore")
    options = parser.parse_args()
    points, store = drawn(options.number, options.seed), RecordStore(options.out)
    area, counted, console = AreaMeasure(liberty=options.liberty), CountsMeasure(), Console()
    explore(Space([*points]), [area, counted], options.out, local(options.jobs), console=console)
    counts, figures = (
        [by_component(store.read(Task.of(point, one)) or {"records": []}) for point in points]
        for one in (counted, area)
    )
    areas = [{part: found["area"] for part, found in parts.items()} for parts in figures]

    def errors(taught: list[int], held_out: list[int]) -> list[float]:
        fit = Fit.of([counts[i] for i in taught], [areas[i] for i in taught])
        return [abs(fit(counts[i]) / sum(areas[i].values()) - 1) for i in held_out]

    rng, few = np.random.default_rng(options.seed), area.samples
    orders = [[int(place) for place in rng.permutation(len(points))] for _ in range(DRAWS)]
    folds = [orders[0][start::FOLDS] for start in range(FOLDS)]
    rows = {
        f"{FOLDS}-fold": [error for fold in folds for error in errors([*{*orders[0]} - {*fold}], fold)],
        f"{few} samples, {DRAWS} draws": [error for each in orders for error in errors(each[:few], each[few:])],
    }
    title = f"{len(points)} vector MACs, seed {options.seed}: error of areas held out, %"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for heading in ("fitted to", *SHARES):
        table.add_column(heading)
    for name, found in rows.items():
        table.add_row(name, *(f"{100 * float(np.quantile(found, share)):.2f}" for share in SHARES.values()))
    console.print(table)


if __name__ == "__main__":
    main()
