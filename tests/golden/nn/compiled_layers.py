"""Layers compiled by inductor equal eager ones: ``compiled_layers.py SEED``, a process of its own."""

import sys

import numpy as np
import torch
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.nn.modules import QuantizedLinear
from vsq.golden.nn.scheme import Scheme

seed = int(sys.argv[1])
rng = np.random.default_rng(seed)
k, n = int(rng.integers(2, 8)) * 16 + int(rng.integers(1, 16)), int(rng.integers(2, 12))
torch.manual_seed(seed)
parts = [nn.Linear(k, n), nn.Linear(k, n)]
with torch.no_grad():
    parts[1].weight.copy_(-parts[1].weight.abs())
scheme = Scheme(config=MacConfig.parse("4/4/4/6"), input_gamma="row")
layers = [QuantizedLinear(parts[0], scheme), QuantizedLinear(parts[1], scheme, sign=-1)]
for layer in layers:
    layer.freeze()


def outputs(x):
    return [layer(x) for layer in layers]


with torch.no_grad():
    compiled = torch.compile(outputs, backend="inductor", fullgraph=True)
    for _ in range(3):
        x = torch.randn(5, k)
        for got, want in zip(compiled(x), outputs(x), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
