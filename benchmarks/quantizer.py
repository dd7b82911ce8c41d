"""Speed of the quantizer and of quantized networks on one thread, beside others in the same run.

A 4096 x 4096 float32 tensor becomes 4-bit codes with a scale for each 16 elements: all compiled by inductor, then all
eager, the one that is most alike first (two levels). Then whole networks, as ratios to their float32 models, eager.
Others run as their users call them; those that are not installed are named. Times are the process's CPU time, which
other load on the machine hardly moves, the best of several.

    python -m benchmarks.quantizer [--no-compile] [--no-networks]     # make bench-quantizer
"""

import argparse
import time
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table

from benchmarks.quantizer_peers import OTHERS, SIZE, VECTOR, Work
from benchmarks.simulation import tables
from vsq.golden.contract.config import MacConfig
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer

CONFIG = "4/4/4/6"
REPEATS = 5


def ours() -> Work:
    """Return the two-level quantizer: int8 codes, as others give them, scales, and gammas per channel."""
    quantizer = Quantizer.for_weights(MacConfig.parse(CONFIG, vector_size=VECTOR))

    def work(x: torch.Tensor) -> Any:
        result = pytorch.quantize(quantizer, x)
        return result.codes.to(torch.int8), result.scales, result.gamma

    return work


def seconds(work: Work, x: torch.Tensor) -> float:
    """Return the least CPU time of several runs, after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        work(x)
        times.append(time.process_time() - start)
    return min(times[1:])


def quantizers(x: torch.Tensor, *, compiled: bool) -> Table:
    """Return the times of all quantizers, compiled or eager, over ours."""
    title = f"{SIZE} x {SIZE} float32, {'compiled' if compiled else 'eager'}"
    table = Table(Column(title, min_width=34), *(Column(name, justify="right") for name in ("ms", "to vsq")))
    times, absent = {}, {}
    for name, make in {f"vsq {CONFIG}, two levels": ours, **OTHERS}.items():
        try:
            work = make()
            times[name] = seconds(torch.compile(work) if compiled else work, x)
        except (ImportError, RuntimeError) as error:
            absent[name] = f"not measured ({str(error).splitlines()[0][:60]})"
    first = next(iter(times.values()))
    for name, spent in {**times, "copy": seconds(torch.clone, x)}.items():
        table.add_row(name, f"{spent * 1e3:.0f}", f"{spent / first:.2f}")
    for name, why in absent.items():
        table.add_row(name, "-", why)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which needs a C++ compiler")
    parser.add_argument("--no-networks", action="store_true", help="leave out the networks")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    console = Console()
    with torch.no_grad():
        if not arguments.no_compile:
            if not all(map(torch.equal, torch.compile(ours(), fullgraph=True)(x), ours()(x))):
                raise SystemExit("the compiled quantizer's integers differ from the eager one's")
            console.print(quantizers(x, compiled=True))
        console.print(quantizers(x, compiled=False))
    if not arguments.no_networks:
        console.print(*tables(), sep="\n")
    console.print(f"PyTorch {torch.__version__}, 1 thread")


if __name__ == "__main__":
    main()
