"""Layers compiled by inductor equal eager ones: ``compiled_layers.py SEED``, a process of its own."""

import sys

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.nn.layers.convolution import QuantizedConv2d
from vsq.golden.nn.layers.linear import QuantizedLinear
from vsq.golden.quantizer.scheme import Scheme

seed = int(sys.argv[1])
rng = np.random.default_rng(seed)
k, n = int(rng.integers(2, 8)) * 16 + int(rng.integers(1, 16)), int(rng.integers(2, 40))
torch.manual_seed(seed)
parts = [nn.Linear(k, n), nn.Linear(k, n)]
with torch.no_grad():
    parts[1].weight.copy_(-parts[1].weight.abs())
scheme = Scheme(config=MacConfig.parse("4/4/4/6"), input_gamma="row")
layers = [QuantizedLinear(parts[0], scheme), QuantizedLinear(parts[1], scheme, sign=-1)]
layers.append(QuantizedLinear(parts[0], Scheme(config=MacConfig.parse("4/8/6/10:R=8"), input_gamma="row")))
for layer in layers:
    layer.freeze()
layers.append(QuantizedLinear(parts[0], scheme))  # whose weights are quantized in the graph
maps = [QuantizedConv2d(nn.Conv2d(channels, n, 3, padding=1), Scheme(config="4/4/4/6")) for channels in (3, 20)]
for layer in maps:
    layer.freeze()
    layer.input_gamma.fill_(0.01)


def outputs(x):
    pixels = x[0, : k // 20 * 20].reshape(1, 20, 1, -1)
    return [layer(x) for layer in layers] + [layer(pixels[:, : layer.in_channels]) for layer in maps]


with torch.no_grad():
    compiled = torch.compile(outputs, backend="inductor", fullgraph=True)
    for _ in range(3):
        x = torch.randn(5, k)
        for got, want in zip(compiled(x), outputs(x), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
