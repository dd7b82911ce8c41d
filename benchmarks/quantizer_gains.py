"""Measured gains of the algorithms, printed as tables: ``python -m benchmarks.quantizer_gains``.

Squared errors on Gaussian data are relative to the maximum's; those of real layers to the squared float output.
"""

import statistics
from collections.abc import Iterator, Sequence

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import element_format
from vsq.golden.nn import mmse
from vsq.golden.nn.calibration import watch
from vsq.golden.nn.layers.registry import fresh_layer
from vsq.golden.nn.methods.hessian import Hessian
from vsq.golden.nn.planes import dual_precision, splitquant
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.scheme import Scheme, WeightScales
from vsq.golden.quantizer.tensor import Granularity
from vsq.golden.workloads import minilm
from vsq.golden.workloads.minilm import CALIBRATION, LONG, SHORT


def _gaussian(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _per_channel(bits: str) -> Quantizer:
    return Quantizer(element=element_format(bits), scale=None, vector_size=16, granularity=Granularity.CHANNEL)


def _error(exact: torch.Tensor, approximation: torch.Tensor) -> float:
    return (exact.double() - approximation.double()).square().sum().item()


def _quantized(weight: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """Return a Linear's weight as its quantized layer sees it; one of a single sign as magnitudes."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = nn.Parameter(weight)
    layer = fresh_layer(linear, scheme, sign=splitquant.plane_sign(weight))
    return layer.sign * layer.quantized_weights().dequantize()[:, 0]


def mmse_table() -> Table:
    """Return the gain of MMSE scales, and of two planes, at 4 bits with one scale per row."""
    table = Table(
        "V",
        "golden section alone",
        "grid and golden section",
        "dual, nested",
        "dual, greedy",
        title="Squared error over that of absmax scales, Gaussian, 4 bits",
    )
    quantizer = _per_channel("4")
    for rows, size in ((4000, 16), (100, 1024), (4, 36864)):
        x = _gaussian(rows, size)
        single = mmse.quantize(quantizer, x).dequantize()
        approximations = (
            mmse.quantize(quantizer, x, points=2, sections=20).dequantize(),
            single,
            torch.stack([plane.dequantize() for plane in mmse.dual(quantizer, x)]).sum(dim=0),
            single + mmse.quantize(quantizer, x - single).dequantize(),
        )
        largest = _error(x, pytorch.quantize(quantizer, x).dequantize())
        table.add_row(str(size), *(f"{_error(x, approximation) / largest:.4f}" for approximation in approximations))
    return table


def split_table() -> Table:
    """Return the gain of splitting a Gaussian 128x128."""
    table = Table(
        "bits", "scales", "unsplit MSE", "split MSE", "ratio", title="SplitQuant, Gaussian 128x128, per channel"
    )
    x = _gaussian(128, 128)
    for bits in ("2", "3", "4"):
        for name, scales in (("maximum", WeightScales.MAX), ("MMSE", WeightScales.MMSE)):
            scheme = Scheme(config=MacConfig.parse(f"{bits}/8/-/-"), weight_scales=scales)
            unsplit = _error(x, _quantized(x, scheme)) / x.numel()
            planes = [_quantized(plane, scheme) for plane in splitquant.split(x)]
            split = _error(x, torch.stack(planes).sum(dim=0)) / x.numel()
            table.add_row(bits, name, f"{unsplit:.4f}", f"{split:.4f}", f"{unsplit / split:.1f}")
    return table


def dual_precision_rows() -> Iterator[tuple[str, float, float]]:
    """Yield name and output errors, rounded to nearest and compensated, of MiniLM's layers on unseen sentences."""
    encoder = minilm.load_encoder()
    linears = {name: module for name, module in encoder.model.named_modules() if isinstance(module, nn.Linear)}

    def inputs(sentences: Sequence[str]) -> dict[str, torch.Tensor]:
        batches: dict[str, list[torch.Tensor]] = {name: [] for name in linears}
        watch(encoder.model, {name: batches[name].append for name in linears}, lambda _: encoder.embed(sentences))
        return {name: torch.cat([batch.flatten(0, 1) for batch in seen]) for name, seen in batches.items()}

    calibration, evaluation = inputs(CALIBRATION + LONG), inputs(SHORT)
    for name, linear in linears.items():
        x, weight = evaluation[name], linear.weight.detach()
        hessian = Hessian()
        hessian.observe(calibration[name])
        scale = dual_precision.activation_scale(calibration[name].abs().max().item())
        rounded = dual_precision.activations(x, scale).float() * scale
        exact = x @ weight.T
        nearest, compensated = (
            _error(exact, rounded @ quantized.dequantize().T) / exact.double().square().sum().item()
            for quantized in (
                dual_precision.round_to_nearest(weight),
                dual_precision.quantize(weight, hessian.matrix()),
            )
        )
        yield name, nearest, compensated


def dual_precision_table() -> Table:
    """Return the gain of compensated rounding on MiniLM's layers."""
    table = Table(
        "layer",
        "nearest",
        "dual precision",
        "ratio",
        title="W4A8-FP8 relative output error on unseen sentences",
    )
    ratios = []
    for name, nearest, compensated in dual_precision_rows():
        ratios.append(compensated / nearest)
        table.add_row(name, f"{nearest:.5f}", f"{compensated:.5f}", f"{ratios[-1]:.2f}")
    table.add_section()
    table.add_row(f"median, worst of {len(ratios)}", "", "", f"{statistics.median(ratios):.2f}, {max(ratios):.2f}")
    return table


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    console = Console()
    console.print(mmse_table(), split_table())
    try:
        console.print(dual_precision_table())
    except InputError as error:
        console.print(f"left out: {error}")


if __name__ == "__main__":
    main()
