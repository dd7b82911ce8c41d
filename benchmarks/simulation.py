"""Speed of quantized networks as ratios to their float32 models, beside other libraries' fake quantization."""

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from rich.table import Column, Table
from torch import nn

from benchmarks.networks import ResNet18, encoder
from benchmarks.quantizer_peers import take
from vsq.golden.nn.quantize import quantize

REPEATS = 4

Change = Callable[[nn.Module, torch.Tensor], nn.Module]  # of a float model, given a batch, into a quantized one


def ours(config: str, mode: str = "ptq") -> Change:
    """Return our own quantization, with static gammas."""
    return lambda model, x: quantize(model, config, lambda copied: copied(x), mode=mode)


def brevitas_layers(model: nn.Module, _x: torch.Tensor) -> nn.Module:
    """Return the model with brevitas' layers: 8 bits, weights per channel, inputs per tensor."""
    layers = dict(zip((nn.Linear, nn.Conv2d), take("brevitas.nn", "QuantLinear", "QuantConv2d"), strict=True))
    (weight,) = take("brevitas.quant.scaled_int", "Int8WeightPerChannelFloat")
    (inputs,) = take("brevitas.quant.scaled_int", "Int8ActPerTensorFloat")
    names = ("in_features", "out_features", "in_channels", "out_channels", "kernel_size", "stride", "padding")
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in layers:
                geometry = {key: getattr(child, key) for key in names if hasattr(child, key)}
                options = {"bias": child.bias is not None, "weight_quant": weight, "input_quant": inputs}
                setattr(parent, name, layers[type(child)](**geometry, **options))
    return model


def torchao_fake_quantization(model: nn.Module, _x: torch.Tensor) -> nn.Module:
    """Return the model prepared for torchao's QAT: 8-bit inputs per token, 4-bit weights in groups of 32."""
    (apply,) = take("torchao.quantization", "quantize_")
    config, fake = take("torchao.quantization.qat", "QATConfig", "IntxFakeQuantizeConfig")
    inputs, weights = fake(torch.int8, "per_token", is_symmetric=False), fake(vars(torch)["int4"], group_size=32)
    apply(model, config(activation_config=inputs, weight_config=weights, step="prepare"))
    return model


def modelopt_fake_quantization(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """Return the model with modelopt's default of 8 bits, weights per channel, inputs per tensor."""
    (configuration, apply) = take("modelopt.torch.quantization", "INT8_DEFAULT_CFG", "quantize")
    changed: nn.Module = apply(model, configuration, lambda copied: copied(x))
    return changed


OTHERS: dict[str, Change] = {
    "brevitas, INT8 layers": brevitas_layers,
    "torchao, INT8 by INT4 groups": torchao_fake_quantization,
    "modelopt, INT8": modelopt_fake_quantization,
}


def forward(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """Return an evaluation of the model, without gradients."""

    def run() -> None:
        with torch.no_grad():
            model.eval()(x)

    return run


def training_step(model: nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    """Return a step of SGD."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def run() -> None:
        with torch.enable_grad():
            optimizer.zero_grad()
            model.train()(x).square().mean().backward()
            optimizer.step()

    return run


def ratios(title: str, model: nn.Module, x: torch.Tensor, work: Any, changes: Mapping[str, Change]) -> Table:
    """Return least CPU times of several runs, in which the models take turns, and their ratios to the float model's."""
    works, absent = {"float32": work(copy.deepcopy(model), x)}, {}
    for name, change in changes.items():
        try:
            works[name] = work(change(copy.deepcopy(model), x), x)
            works[name]()
        except (ImportError, RuntimeError, TypeError, ValueError) as error:
            works.pop(name, None)
            absent[name] = f"not measured ({str(error).splitlines()[0][:60]})"
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPEATS + 1):
        for name, run in works.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    table = Table(Column(title, min_width=34), Column("ms", justify="right"), Column("to float32", justify="right"))
    base = min(times["float32"][1:])
    for name, spent in times.items():
        table.add_row(name, f"{min(spent[1:]) * 1e3:.0f}", f"{min(spent[1:]) / base:.2f}")
    for name, why in absent.items():
        table.add_row(name, "-", why)
    return table


def tables() -> list[Table]:
    """Return the tables of ResNet-18 and of an encoder of MiniLM's shape: evaluation, and steps of training."""
    torch.manual_seed(0)
    images, tokens, sentence = torch.randn(1, 3, 224, 224), torch.randn(16, 32, 384), torch.randn(1, 32, 384)
    mine = {name: ours(name) for name in ("4/4/4/6", "4/8/6/10", "4/8/6/10:R=8")}
    training = {f"vsq {name}": ours(name, "qat") for name in ("4/4/4/6", "4/8/6/10:R=8")}
    evaluated = {f"vsq {name}": change for name, change in mine.items()}
    whole = {name: change for name, change in evaluated.items() if "R=" not in name}
    convolutions = {name: change for name, change in OTHERS.items() if "torchao" not in name}  # it has Linear alone
    return [
        ratios("ResNet-18, 1 x 224 x 224", ResNet18(), images, forward, {**whole, **convolutions}),
        ratios("MiniLM, 16 x 32 tokens", encoder(), tokens, forward, {**evaluated, **OTHERS}),
        ratios("MiniLM, 1 x 32 tokens", encoder(), sentence, forward, {**evaluated, **OTHERS}),
        ratios("MiniLM, training step", encoder(), tokens, training_step, {**training, **OTHERS}),
    ]
