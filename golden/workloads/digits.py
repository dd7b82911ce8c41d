"""A small network on real images: scikit-learn's 1,797 bundled handwritten digits, 8 by 8 pixels of 0 to 16.

    conv1  3x3,  1 -> 16, ReLU, 2x2 max-pooling      vectors along the window
    conv2  3x3, 16 -> 32, ReLU                       vectors along the channels, as in all the following
    conv3  3x3, 32 -> 32, ReLU, 2x2 max-pooling
    fc     2x2, 32 -> 10                             a linear layer, as a convolution over the whole 2x2 map

Pixels are scaled to 0 .. 1, so that every layer's inputs are non-negative and unsigned activation formats apply.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn import functional

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.workloads.convnet import ConvLayer, Floats, LayerTensors, QuantizedNetwork, input_peaks, quantize

# name, output channels, input channels, kernel, padding, ReLU, pooling
ARCHITECTURE = [
    ("conv1", 16, 1, 3, 1, True, 2),
    ("conv2", 32, 16, 3, 1, True, 1),
    ("conv3", 32, 32, 3, 1, True, 2),
    ("fc", 10, 32, 2, 0, False, 1),
]
TEST_IMAGES = 360
SEED = 0
EPOCHS = 10
BATCH = 64
LEARNING_RATE = 1e-2


@dataclass(frozen=True)
class Report:
    """Test accuracies, 0 to 1.

    Parameters
    ----------
    config
        The configuration.
    fp32
        Of the trained network.
    quantized
        Of its golden integers at ``config``.
    per_channel
        Of its golden integers at the same element formats without per-vector scales.
    overflows
        Accumulators that overflowed at ``config``, over all layers and test images.
    """

    config: MacConfig
    fp32: float
    quantized: float
    per_channel: float
    overflows: int


@dataclass(frozen=True, eq=False)
class Digits:
    """The trained network with its data: images [B, 8, 8, 1] and labels [B]."""

    layers: list[ConvLayer]
    train_images: Floats
    train_labels: NDArray[Any]
    test_images: Floats
    test_labels: NDArray[Any]

    @cached_property
    def fp32_accuracy(self) -> float:
        """Test accuracy in float32."""
        features = self.test_images
        for layer in self.layers:
            features = layer.forward(features)
        return self.accuracy(features)

    @cached_property
    def peaks(self) -> list[float]:
        """Each layer's largest input on the training images."""
        return input_peaks(self.layers, self.train_images)

    def quantize(self, config: MacConfig) -> "QuantizedDigits":
        """Return the network in golden integers, calibrated on the training images."""
        return QuantizedDigits(self, quantize(self.layers, config, self.peaks))

    def report(self, config: MacConfig) -> Report:
        """Return the accuracies at ``config`` beside those in float32 and without per-vector scales."""
        plain = MacConfig(weight=config.weight, activation=config.activation, vector_size=config.vector_size)
        quantized, overflows = self.quantize(config).evaluate()
        per_channel, _ = self.quantize(plain).evaluate()
        return Report(config, self.fp32_accuracy, quantized, per_channel, overflows)

    def accuracy(self, logits: Floats) -> float:
        """Return the share of test images whose largest logit, of [B, 1, 1, 10], is their label's."""
        return float(np.mean(logits.reshape(len(logits), -1).argmax(axis=1) == self.test_labels))


@dataclass(frozen=True, eq=False)
class QuantizedDigits:
    """The network in golden integers."""

    digits: Digits
    network: QuantizedNetwork

    @property
    def names(self) -> list[str]:
        """The layers' names, from input to output."""
        return self.network.names

    def layer(self, name: str, images: int = 1) -> LayerTensors:
        """Return one layer's integers for the first ``images`` test images.

        Raises
        ------
        InputError
            If there is no layer of that name, or there are not so many images.
        """
        available = len(self.digits.test_images)
        if not 1 <= images <= available:
            raise InputError(f"{images} images: there are {available} test images; choose 1 to {available}")
        return self.network.layer(name, self.digits.test_images[:images])

    def evaluate(self) -> tuple[float, int]:
        """Return the test accuracy of the golden integers, and how many accumulators overflowed."""
        overflows = 0
        for tensors in self.network.trace(self.digits.test_images):
            overflows += int(tensors.result.overflow.sum())
            logits = tensors.features
        return self.digits.accuracy(logits), overflows


@cache
def load() -> Digits:
    """Return the network, trained once per process in about 2 s; the seed fixes split, weights and accuracy.

    The weights are reproducible on one machine with one release of PyTorch; between machines, low bits may differ.
    """
    data = load_digits()
    images = (data.images[..., None] / 16).astype(np.float32)
    order = np.random.default_rng(SEED).permutation(len(images))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return Digits(
        layers=_fit(torch.tensor(images[train]).permute(0, 3, 1, 2), torch.tensor(data.target[train])),
        train_images=images[train],
        train_labels=data.target[train],
        test_images=images[test],
        test_labels=data.target[test],
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread, so that training is reproducible."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def _fit(images: torch.Tensor, labels: torch.Tensor) -> list[ConvLayer]:
    """Return the trained layers; a generator of its own keeps the result reproducible."""
    generator = torch.Generator().manual_seed(SEED)
    weights, biases = [], []
    for _, outputs, inputs, kernel, *_ in ARCHITECTURE:
        weight = torch.empty(outputs, inputs, kernel, kernel)
        torch.nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
        weights.append(weight.requires_grad_())
        biases.append(torch.zeros(outputs, requires_grad=True))

    batches = -(-len(images) // BATCH)
    optimizer = torch.optim.Adam([*weights, *biases])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * batches)
    for _ in range(EPOCHS):
        for batch in torch.chunk(torch.randperm(len(images), generator=generator), batches):
            features = images[batch]
            for weight, bias, (*_, padding, relu, pool) in zip(weights, biases, ARCHITECTURE, strict=True):
                features = functional.conv2d(features, weight, bias, padding=padding)
                features = functional.max_pool2d(features.relu() if relu else features, pool)
            optimizer.zero_grad()
            loss = functional.cross_entropy(features.flatten(1), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
            optimizer.step()
            schedule.step()
    return [
        ConvLayer(
            name=name,
            weights=weight.detach().permute(0, 2, 3, 1).reshape(outputs, kernel**2, inputs).numpy(),
            bias=bias.detach().numpy(),
            kernel=kernel,
            padding=padding,
            relu=relu,
            pool=pool,
        )
        for weight, bias, (name, outputs, inputs, kernel, padding, relu, pool) in zip(
            weights, biases, ARCHITECTURE, strict=True
        )
    ]
