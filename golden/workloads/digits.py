"""A small network on real images: scikit-learn's 1,797 bundled handwritten digits, 8 by 8 pixels of 0 to 16.

    conv1  3x3,  1 -> 16, ReLU, 2x2 max-pooling      vectors along the window
    conv2  3x3, 16 -> 32, ReLU                       vectors along the channels, as in all the following
    conv3  3x3, 32 -> 32, ReLU, 2x2 max-pooling
    fc     2x2, 32 -> 10                             a linear layer, as a convolution over the whole 2x2 map

Pixels are scaled to 0 .. 1, so that every layer's inputs are non-negative and unsigned activation formats apply.
"""

import copy
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from vsq.golden.workloads.chain import Chain
from vsq.golden.workloads.metrics import Score, share
from vsq.golden.workloads.workload import Workload

# name, output channels, input channels, kernel, padding, ReLU, pooling
ARCHITECTURE = [
    ("conv1", 16, 1, 3, 1, True, 2),
    ("conv2", 32, 16, 3, 1, True, 1),
    ("conv3", 32, 32, 3, 1, True, 2),
    ("fc", 10, 32, 2, 0, False, 1),
]
TEST_IMAGES = 360
BATCH = 64


@dataclass(frozen=True, eq=False)
class Digits:
    """The trained network with its data: images [B, 1, 8, 8] and labels [B]."""

    network: nn.Sequential
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


@cache
def load(seed: int = 0) -> Digits:
    """Return the network, trained once per process in about 2 s; the seed fixes split, weights and accuracy.

    The weights are reproducible on one machine with one release of PyTorch; between machines, low bits may differ.
    """
    data = load_digits()
    pixels = torch.tensor((data.images[..., None] / 16).astype(np.float32)).permute(0, 3, 1, 2)
    labels, order = torch.tensor(data.target), np.random.default_rng(seed).permutation(len(pixels))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    generator = torch.Generator().manual_seed(seed)
    network = _network(generator)
    _train(network, pixels[train], labels[train], generator, epochs=10, rate=1e-2)
    return Digits(network.eval(), pixels[train], labels[train], pixels[test], labels[test])


def workload(seed: int = 0) -> Workload:
    """Return the network with its test accuracy."""
    digits = load(seed)

    def train(model: nn.Module) -> None:
        _train(
            model, digits.train_images, digits.train_labels, torch.Generator().manual_seed(seed), epochs=8, rate=3e-3
        )

    @torch.no_grad()
    def evaluate(model: nn.Module) -> Score:
        return accuracy(model(digits.test_images).numpy())

    def accuracy(logits: NDArray[Any]) -> Score:
        labels = digits.test_labels[: len(logits)].numpy()
        return share(int(np.sum(logits.argmax(axis=1) == labels)), len(labels))

    chain = Chain(
        digits.network,
        digits.train_images,
        digits.test_images,
        "images",
        "accuracy",
        lambda logits: accuracy(logits).value,
    )
    return Workload(
        name="digits",
        metric="accuracy",
        model=lambda: copy.deepcopy(digits.network),
        calibrate=lambda model: model(digits.train_images),
        evaluate=evaluate,
        train=train,
        drawn=workload,
        configs=("4/4U/4/6", "3/3U/4/4", "2/4U/4/4", "2/2U/4/4"),
        chain=lambda: chain,
        sample=lambda: (chain.first(64), "conv3"),
    )


def _network(generator: torch.Generator) -> nn.Sequential:
    """Return the untrained network, whose modules have the layers' names; the global random state is left alone."""
    network = nn.Sequential()
    for name, outputs, inputs, kernel, padding, relu, pool in ARCHITECTURE:
        conv: Any = nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, padding=padding)  # type: ignore[no-untyped-call]
        nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(conv.bias)
        network.add_module(name, conv)
        if relu:
            network.add_module(f"{name}_relu", nn.ReLU())
        if pool > 1:
            network.add_module(f"{name}_pool", nn.MaxPool2d(pool))
    network.add_module("flatten", nn.Flatten())
    return network


def _train(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator, epochs: int, rate: float
) -> None:
    """Train a model in place; a generator of its own and one thread keep the result reproducible."""
    optimizer = torch.optim.Adam(model.parameters())
    batches = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        for _ in range(epochs):
            for batch in torch.chunk(torch.randperm(len(images), generator=generator), batches):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(images[batch]), labels[batch])
                loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
                optimizer.step()
                schedule.step()
