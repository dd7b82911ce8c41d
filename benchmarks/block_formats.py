"""MiniLM in block formats: ``python -m benchmarks.block_formats [CONFIG ...]``.

Every figure is a mean cosine to the float model's embeddings, as :mod:`benchmarks.methods` has them; gammas, and
weights where methods fit them, are of the same calibration text.
"""

import argparse
from typing import Any

import torch
from rich.console import Console

from benchmarks.methods import A4, FEEDBACK, table
from vsq.golden.workloads.minilm import EVALUATION, HELD_OUT, WEIGHT_CALIBRATION

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("nvfp4", {}),
    ("nvfp4", {"four_over_six": True}),
    ("nvint4", {}),
    ("mxfp4", {}),
    ("mxfp4", {"scale_rule": "ceil"}),
    ("mxfp4", {"scale_rule": "even"}),
    ("mxfp6-e2m3", {}),
    ("mxfp6-e3m2", {}),
    ("mxfp8-e4m3", {}),
    ("mxfp8-e5m2", {}),
    ("mxint8", {}),
    ("mxfp4", {"weight_codes": "gptq", "scale_rule": "ceil"}),
    ("nvfp4", A4 | FEEDBACK),
    ("nvint4", A4 | FEEDBACK),
    ("nvfp4", A4 | FEEDBACK | {"four_over_six": True}),
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="rows of these alone")
    configs = parser.parse_args().configs
    torch.set_num_threads(1)
    rows = [row for row in ROWS if not configs or row[0] in configs]
    Console(width=160).print(table(rows, WEIGHT_CALIBRATION, {"evaluation": EVALUATION, "held out": HELD_OUT}))


if __name__ == "__main__":
    main()
