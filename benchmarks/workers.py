"""Gain of a second worker: ``python -m benchmarks.workers [--rounds N]``, on an idle machine of two cores or more.

Measures the area of the same vector MACs with one worker and with two, one after the other, into stores of their own.
Start-up of the workers is left out: each has measured one point before.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vsq.explore.measures.area import AreaMeasure
from vsq.explore.space import point
from vsq.explore.store import RecordStore, Task
from vsq.golden.io.engine import local

_WARM = ("2/2/-/-:V=2", "2/2/-/-:V=3")
_POINTS = tuple(f"{w}/{a}/4/6" for w in (3, 4, 6) for a in (3, 4, 6, 8))


def seconds(workers: int) -> float:
    """Return the wall time of all points, from the first point that is done on."""
    tasks = [Task.of(point(name), AreaMeasure()) for name in (*_WARM[:workers], *_POINTS)]
    with TemporaryDirectory() as folder:
        done = local(workers).run(RecordStore(Path(folder)).measure, tasks)
        for _ in range(workers):
            next(done)
        start = time.perf_counter()
        for _ in done:
            pass
        return time.perf_counter() - start


def main() -> None:
    """Print both times and their ratio, medians of rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    args = parser.parse_args()
    found = np.array([[seconds(1), seconds(2)] for _ in range(args.rounds)])
    one, two = np.median(found, axis=0)
    ratios = ", ".join(f"{slow / fast:.2f}" for slow, fast in found)
    print(f"{len(_POINTS)} areas: one worker {one:.1f} s, two {two:.1f} s; ratio {one / two:.2f} (rounds: {ratios})")


if __name__ == "__main__":
    main()
