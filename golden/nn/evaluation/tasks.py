"""Evaluation tasks: a model, data for calibration and training, and a score.

A user's own task is one :class:`Task`: with :mod:`vsq.golden.workloads.imagenet`, for example,

    Task(name="imagenet", metric="accuracy", model=lambda: copy.deepcopy(network),
         calibrate=lambda m: [m(pixels) for pixels, _ in some], evaluate=lambda m: accuracy(m, batches(found)))
"""

import copy
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.contract.errors import InputError
from vsq.golden.workloads.convnet import ConvLayer, Floats

_EPOCHS, _BATCH, _LEARNING_RATE = 8, 64, 3e-3


@dataclass(frozen=True, kw_only=True)
class Task:
    """A model with its data and its score.

    Parameters
    ----------
    name, metric
        What tables call it, and what the score is; higher is better.
    model
        Returns a fresh float copy, in evaluation mode.
    calibrate
        Runs a model on calibration data.
    evaluate
        Returns a model's score.
    train
        Trains a quantized model further, in place; None if the task has no training.
    configs
        Configurations that its users care about.
    """

    name: str
    metric: str
    model: Callable[[], nn.Module]
    calibrate: Callable[[nn.Module], Any]
    evaluate: Callable[[nn.Module], float]
    train: Callable[[nn.Module], None] | None = None
    configs: tuple[str, ...] = ()


def digits() -> Task:
    """Return handwritten digits: test accuracy of :mod:`vsq.golden.workloads.digits`' network as a PyTorch module."""
    from vsq.golden.workloads import digits

    data = digits.load()
    images, test_images = (_channels_first(part) for part in (data.train_images, data.test_images))
    labels, test_labels = torch.tensor(data.train_labels), torch.tensor(data.test_labels)

    @digits.one_thread()
    def train(model: nn.Module) -> None:
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(model.parameters())
        batches = -(-len(images) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=_EPOCHS * batches)
        for _ in range(_EPOCHS):
            for batch in torch.chunk(torch.randperm(len(images), generator=generator), batches):
                optimizer.zero_grad()
                functional.cross_entropy(model(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()

    @torch.no_grad()
    def evaluate(model: nn.Module) -> float:
        return int((model(test_images).argmax(dim=1) == test_labels).sum()) / len(test_labels)

    return Task(
        name="digits",
        metric="accuracy",
        model=lambda: _network(data.layers),
        calibrate=lambda model: model(images),
        evaluate=evaluate,
        train=train,
        configs=("4/4U/4/6", "3/3U/4/4", "2/4U/4/4", "2/2U/4/4"),
    )


def minilm() -> Task:
    """Return sentence embeddings: mean cosine to the float model's, by :mod:`vsq.golden.workloads.minilm`'s encoder."""
    from vsq.golden.workloads import minilm
    from vsq.golden.workloads.sentences import CALIBRATION, EVALUATION

    encoder = minilm.load_encoder()
    reference = encoder.embed(EVALUATION)
    return Task(
        name="minilm",
        metric="cosine",
        model=lambda: copy.deepcopy(encoder.model),
        calibrate=lambda model: minilm.Encoder(model, encoder.tokenizer).embed(CALIBRATION),
        evaluate=lambda model: minilm.mean_cosine(
            reference, minilm.Encoder(model, encoder.tokenizer).embed(EVALUATION)
        ),
        configs=("8/8/6/6", "4/8/6/10", "3/8/6/6", "4/4/6/6"),
    )


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "minilm": minilm}


def load(name: str) -> Task:
    """Return the task of that name.

    Raises
    ------
    InputError
        If there is none, or what it needs is not installed.
    """
    if name not in TASKS:
        near = difflib.get_close_matches(name, TASKS) or list(TASKS)
        raise InputError(f"workload {name!r}: there is none of that name; did you mean {' or '.join(near)}?")
    return TASKS[name]()


def _channels_first(images: Floats) -> torch.Tensor:
    return torch.tensor(images).permute(0, 3, 1, 2).contiguous()


def _network(layers: list[ConvLayer]) -> nn.Sequential:
    """Return the layers as PyTorch modules of their names; images are [B, 1, 8, 8]."""
    network = nn.Sequential()
    for layer in layers:
        outputs, _, inputs = layer.weights.shape
        conv = nn.Conv2d(inputs, outputs, layer.kernel, padding=layer.padding)
        weight = torch.tensor(layer.weights).reshape(outputs, layer.kernel, layer.kernel, inputs)
        conv.weight = nn.Parameter(weight.permute(0, 3, 1, 2).contiguous())
        conv.bias = nn.Parameter(torch.tensor(layer.bias))
        network.add_module(layer.name, conv)
        if layer.relu:
            network.add_module(f"{layer.name}_relu", nn.ReLU())
        if layer.pool > 1:
            network.add_module(f"{layer.name}_pool", nn.MaxPool2d(layer.pool))
    network.add_module("flatten", nn.Flatten())
    return network.eval()
