"""Convolutions of every geometry: their outputs are those of plain sums over their integers."""

import itertools
import secrets

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import scale_factor
from vsq.golden.quantizer.core import Quantizer, ScaleRounding

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.layers.registry import quantized_kind
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme

GAMMA = 2.0**-5  # of inputs and weights: all float32 arithmetic is exact


def drawn(rng, kind, axes, groups):
    """Return a float layer of random geometry, and a batch for it."""

    def sizes(low, high):
        return tuple(int(size) for size in rng.integers(low, high, axes))

    stride, dilation = sizes(1, 4), sizes(1, 3 if axes < 3 else 2)
    options = {"kernel_size": sizes(1, 4), "stride": stride, "padding": sizes(0, 2), "dilation": dilation}
    if "Transpose" in kind.__name__:
        options["output_padding"] = tuple(int(rng.integers(0, size)) for size in stride)
    channels = groups * int(rng.integers(1, 12))
    layer = kind(channels, groups * int(rng.integers(1, 3)), groups=groups, **options)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(rng.integers(-9, 9, layer.bias.shape)))
    smallest = (8, 5, 3)[axes - 1]
    shape = (3 - axes // 2, channels, *sizes(smallest, smallest + 3))
    return layer, rng.standard_normal(shape).astype(np.float32)


def window(layer, sizes, position):
    """Yield tap and input pixel of each product of an output, in the input's order; None where there is no pixel."""
    axes = []
    for axis, (size, out) in enumerate(zip(sizes, position, strict=True)):
        kernel, stride, padding, dilation = (
            getattr(layer, name)[axis] for name in ("kernel_size", "stride", "padding", "dilation")
        )
        if layer.transposed:  # out = pixel * stride - padding + tap * dilation
            places = [(tap, divmod(out + padding - tap * dilation, stride)) for tap in reversed(range(kernel))]
        else:
            places = [(tap, (out * stride - padding + tap * dilation, 0)) for tap in range(kernel)]
        axes.append([(tap, at if not rest and 0 <= at < size else None) for tap, (at, rest) in places])
    for place in itertools.product(*axes):
        yield tuple(tap for tap, _ in place), tuple(at for _, at in place)


def plain_sums(config, layer, x, weight_gamma):
    """Return the output by loops: vectors along the channels of a group, or along the window if there is one."""
    weights = Quantizer.for_weights(config)
    inputs = Quantizer.for_activations(config, scale_rounding=ScaleRounding.CEIL)
    kernel = layer.weight.detach().numpy()
    if layer.transposed:  # [C, N / G, ...]: the channels of a group after one another
        kernel = np.concatenate(np.split(kernel, layer.groups), axis=1).swapaxes(0, 1)
    outputs, depth = kernel.shape[:2]
    shape = layer(torch.tensor(x)).shape
    y = np.zeros(shape)
    for m, n, *position in itertools.product(*map(range, (len(x), outputs, *shape[2:]))):
        first = n // (outputs // layer.groups) * depth
        taps, pixels = zip(*window(layer, x.shape[2:], position), strict=True)
        w = np.stack([kernel[(n, slice(None), *tap)] for tap in taps])  # [P, C]
        none = np.zeros(depth, np.float32)
        a = np.stack([none if None in at else x[(m, slice(first, first + depth), *at)] for at in pixels])
        if depth == 1:
            w, a = w.T, a.T
        left = weights.quantize(w[None], gamma=weight_gamma[n : n + 1])
        right = inputs.quantize(a[None], gamma=np.float32(GAMMA))
        dots = (left.codes.astype(np.int64) * right.codes).sum(axis=-1)
        scales = [1 if side.scales is None else side.scales.astype(np.int64) for side in (left, right)]
        y[(m, n, *position)] = (dots * scale_factor(config, *scales)[1]).sum()
    bias = layer.bias.detach().numpy().reshape(-1, *[1] * (y.ndim - 2))
    return y * 2.0**config.scale_shift * GAMMA * GAMMA + bias


@pytest.mark.parametrize("text", ["4/4/4/6:V=5", "4/4/4/6:R=6", "4/8/-/-", "3/4/6/-:V=3,R=4"])
@pytest.mark.parametrize(
    ("kind", "axes"),
    [
        *((nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)),
        *((nn.ConvTranspose1d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)),
    ],
)
def test_outputs_are_sums_over_the_integers(kind, axes, text):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    config = MacConfig.parse(text)
    for groups in (1, int(rng.integers(2, 4))):
        layer, x = drawn(rng, kind, axes, groups)
        quantized = quantized_kind(layer)(layer, Scheme(config=config))
        quantized.input_gamma.fill_(GAMMA)
        rows = quantized.magnitudes()
        gamma = torch.full((len(rows), 1, 1), GAMMA)
        quantized.freeze(pytorch.quantize(quantized.scheme.weights, rows, gamma=gamma))
        want = plain_sums(config, layer, x, gamma.numpy())
        got = quantized(torch.tensor(x)).detach().numpy()
        np.testing.assert_array_equal(got, want)
