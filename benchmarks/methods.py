"""Gains of fitting MiniLM's integers to calibration data: ``python -m benchmarks.methods [CONFIG ...]``.

    --choose    compare settings on a fifth of the calibration text, with weights fitted to the rest of it

Every figure is a mean cosine to the float model's embeddings; its standard error follows.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.workloads import minilm
from vsq.golden.workloads.metrics import similarity
from vsq.golden.workloads.minilm import EVALUATION, HELD_OUT, WEIGHT_CALIBRATION, Encoder

GPTQ: dict[str, Any] = {"weight_codes": "gptq", "bias_correction": True}
STEPS: dict[str, Any] = {"weight_scales": "hessian", "bias_correction": True}
A4, A8 = GPTQ | {"smoothing": 0.5}, GPTQ | {"smoothing": 0.25}
FEEDBACK = {"feedback": 0.3}

# Rows of the tables: configuration, and the methods on top of rounding to nearest.
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("4/4/4/6", {}),
    ("4/4/4/6", STEPS),
    ("4/4/4/6", GPTQ),
    ("4/4/4/6", A4),
    ("4/4/4/6", A4 | FEEDBACK),
    ("4/4/6/10", {}),
    ("4/4/6/10", A4 | FEEDBACK),
    ("4/8/6/10", {}),
    ("4/8/6/10", A8),
    ("3/8/6/10", {}),
    ("3/8/6/10", A8),
    ("3/4/6/10", {}),
    ("3/4/6/10", A4),
    ("4/8/6/10:R=8", {}),
    ("4/8/6/10:R=8", A8),
    ("4/4/-/-", {"input_gamma": "row"}),
    ("4/4/-/-", {"input_gamma": "row", "weight_scales": "mmse"}),
    ("4/4/-/-", {"input_gamma": "row", "weight_codes": "gptq"}),
    ("4/4/-/-", {"input_gamma": "row", "weight_codes": "gptq", "smoothing": 0.5}),
]
CHOICES: list[tuple[str, dict[str, Any]]] = [
    *(("4/4/4/6", GPTQ | {"smoothing": alpha}) for alpha in (0.25, 0.5, 0.75)),
    *(("4/4/4/6", A4 | {"feedback": strength}) for strength in (0.3, 0.6)),
    *(("4/8/6/10", GPTQ | {"smoothing": alpha}) for alpha in (0.0, 0.25, 0.5)),
]


def table(
    rows: Sequence[tuple[str, dict[str, Any]]], fitted: Sequence[str], scored: Mapping[str, Sequence[str]]
) -> Table:
    """Return the scores of each row on sets of sentences, its weights fitted to others."""
    encoder = minilm.load_encoder()

    def embed(sentences: Sequence[str]) -> Callable[[nn.Module], torch.Tensor]:
        return lambda model: Encoder(model, encoder.tokenizer).embed(sentences)

    references = {name: encoder.embed(sentences).numpy() for name, sentences in scored.items()}
    result = Table("configuration", "methods", *scored, "Spearman", "seconds of CPU")
    for config, options in rows:
        start = time.process_time()
        model = quantize(encoder.model, Scheme(config=MacConfig.parse(config), **options), embed(fitted))
        seconds = time.process_time() - start
        found = {
            name: similarity(references[name], embed(sentences)(model).numpy()) for name, sentences in scored.items()
        }
        cosines = [f"{scores['cosine'].value:.4f} +-{scores['cosine'].error:.4f}" for scores in found.values()]
        spearman = next(iter(found.values()))["Spearman"].value
        methods = ", ".join(f"{name}={value}" for name, value in options.items()) or "-"
        result.add_row(config, methods, *cosines, f"{spearman:.4f}", f"{seconds:.0f}")
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="rows of these alone")
    parser.add_argument("--choose", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for row in (CHOICES if args.choose else ROWS) if not args.configs or row[0] in args.configs]
    fitted, scored = WEIGHT_CALIBRATION, {"evaluation": EVALUATION, "held out": HELD_OUT}
    if args.choose:
        fitted = tuple(sentence for i, sentence in enumerate(WEIGHT_CALIBRATION) if i % 5)
        scored = {"every fifth": WEIGHT_CALIBRATION[::5]}
    Console(width=160).print(table(rows, fitted, scored))


if __name__ == "__main__":
    main()
