"""The summary of a quantized model: its layers' figures, and what stays in float."""

from collections import Counter
from collections.abc import Mapping

import torch
from rich.console import Group
from rich.table import Column, Table
from torch import nn

from vsq.golden.nn.fidelity import fidelity
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.work import Work

_NAMED = 3


def in_float(reasons: Mapping[str, str]) -> str:
    """Return one line of the layers that stay in float, by name, counted for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    parts = (
        f"{len(names)} ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}) {reason}"
        for reason, names in by_reason.items()
    )
    return f"{len(reasons)} layer{'s stay' if len(reasons) > 1 else ' stays'} in float: {'; '.join(parts)}"


@torch.no_grad()
def summary(
    model: nn.Module,
    layers: Mapping[str, QuantizedLayer],
    candidates: Mapping[str, nn.Module],
    samples: Mapping[str, torch.Tensor],
    work: Work | None,
    takers: Mapping[str, list[str]],
) -> Group:
    """Return what :func:`vsq.golden.nn.quantize.quantize` prints.

    Args:
        model: The float model.
        layers: What will be replaced, by name.
        candidates: These and others that could have been, or have weights and are not supported, in the model's order.
        samples: Rows that calibration kept of layers' inputs.
        work: The calibration's multiply-accumulates, if it ran.
        takers: The layers whose multipliers normalizations will take up.
    """
    columns = [Column(f"{side} {figure}", justify="right") for side in "wx" for figure in ("SQNR", "clipped", "zero")]
    table = Table(Column("layer", overflow="fold"), Column("configuration", overflow="fold"), *columns)
    for name in candidates:
        if layer := layers.get(name):
            cells = fidelity(layer.magnitudes(), layer.quantized_weights()).cells()
            if name in samples:
                cells += fidelity(layer.grouped(samples[name]), layer.quantized_inputs(samples[name])).cells()
            table.add_row(name, str(layer.scheme), *cells, *["-"] * (len(columns) - len(cells)))
        else:
            table.add_row(name, "float", *["-"] * len(columns))
    kinds = Counter(
        type(module).__name__
        for name, module in model.named_modules()
        if name not in layers and any(True for _ in module.parameters(recurse=False))
    )
    rest = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "nothing with parameters"
    counted = "multiply-accumulates: not counted without a forward_loop" if work is None else str(work)
    folded = {name for names in takers.values() for name in names}
    stated = [name for name, layer in layers.items() if layer.input_multiplier is not None and name not in folded]
    factors = sum(len(layers[name].input_multiplier) for name in stated)
    lines = [f"multiplied before quantization: {len(stated)} layers' inputs, {factors} channels"] if stated else []
    if takers:
        lines.append(f"multiplied by normalizations, folded into {len(takers)}: {len(folded)} layers' inputs")
    return Group(table, f"in float: {rest}", *lines, counted)
