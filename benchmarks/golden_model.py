"""Throughput of the golden side on one core, as ratios to named alternatives in the same run (``make bench``)."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before NumPy loads its BLAS

import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import BlockOperand, matmul

_ROWS, _CHANNELS, _GROUPS = 256, 256, 64


def _seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the best of ``repeats`` times, after one run to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def datapath(config: MacConfig, table: Table) -> None:
    """Add the rows of one configuration: a layer through the golden datapath, and plain integer matrix products."""
    rng = np.random.default_rng(0)

    def codes(rows: int, low: int, high: int, *axes: int) -> np.ndarray:
        return rng.integers(low, high, (rows, _GROUPS, *axes), endpoint=True)

    v = config.vector_size
    w = codes(_CHANNELS, config.weight.min, config.weight.max, v)
    a = codes(_ROWS, config.activation.min, config.activation.max, v)
    sw = codes(_CHANNELS, 0, config.weight_scale.max) if config.weight_scale else None
    sa = codes(_ROWS, 0, config.activation_scale.max) if config.activation_scale else None
    w_flat, a_flat = w.reshape(_CHANNELS, -1), a.reshape(_ROWS, -1)
    macs = _ROWS * _CHANNELS * _GROUPS * v
    plain = _seconds(lambda: a_flat @ w_flat.T)
    golden = _seconds(lambda: matmul(config, BlockOperand(w, sw), BlockOperand(a, sa)))
    for name, seconds in (("golden datapath, scales and overflow", golden), ("NumPy int64 matmul, no scales", plain)):
        table.add_row(config.full_name, name, f"{macs / seconds / 1e6:.0f}", f"{plain / seconds:.2f}")


def main() -> None:
    """Print the table."""
    table = Table("configuration", "one core", "million MAC/s", "ratio to NumPy int64 matmul")
    for text in ("4/4/4/6", "4/8/6/10:R=8", "8/8/-/-", "16/16/16/16:V=3"):
        datapath(MacConfig.parse(text), table)
    Console().print(table, f"NumPy {np.__version__}, {_ROWS}x{_CHANNELS} results of {_GROUPS} vectors each")


if __name__ == "__main__":
    main()
