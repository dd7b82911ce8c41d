"""Quantized layers against the float layers on dequantized tensors, and against the integer datapath."""

import copy
import itertools
import secrets
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model import datapath
from vsq.golden.quantizer.core import Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Granularity

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.layers import convolution
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.linear import QuantizedLinear
from vsq.golden.nn.layers.registry import quantized_kind
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme

GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "padding": 1, "padding_mode": "circular", "bias": False},
    {"kernel_size": 1},
]


def gaussian(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def scheme(text, **options):
    return Scheme(config=MacConfig.parse(text), **options)


def calibrated(kind, layer, x, text="4/4/4/6:V=8", **options):
    quantized = kind(layer, scheme(text, **options), "layer")
    if quantized.scheme.calibrated:
        quantized.input_gamma.copy_(pytorch.gamma(quantized.scheme.inputs, quantized.rows(x)).reshape(()))
    return quantized


def along_channels(x, quantizer, **options):
    """Return ``x`` [N, C, ...] as quantized along its channels."""
    return pytorch.quantize(quantizer, x.detach().movedim(1, -1), **options).dequantize().movedim(-1, 1)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("text", ["4/4/4/6:V=8", "8/8/-/-", "3/6/4/-:V=3", "e2m1/e2m1/4/6"])
def test_conv2d_is_the_float_one_of_dequantized_tensors(geometry, text):
    torch.manual_seed(1)
    layer, x = nn.Conv2d(11, 6, **geometry), gaussian(2, 11, 9, 8)
    quantized = calibrated(convolution.QuantizedConv2d, layer, x, text)
    config = MacConfig.parse(text)
    expected = copy.deepcopy(layer)
    expected.weight = nn.Parameter(along_channels(layer.weight, Quantizer.for_weights(config)))
    inputs = Quantizer.for_activations(config, scale_rounding=ScaleRounding.CEIL)
    want = expected(along_channels(x, inputs, gamma=quantized.input_gamma))
    torch.testing.assert_close(quantized(x), want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(quantized(x[0]), want[0], rtol=1e-5, atol=1e-5)


def test_conv1d_is_a_conv2d_of_one_line():
    torch.manual_seed(1)
    line, x = nn.Conv1d(10, 4, 3, stride=2, padding=2, dilation=2), gaussian(3, 10, 17)
    plane = nn.Conv2d(10, 4, (1, 3), stride=(1, 2), padding=(0, 2), dilation=(1, 2))
    plane.weight, plane.bias = nn.Parameter(line.weight[:, :, None]), line.bias
    ours = calibrated(convolution.QuantizedConv1d, line, x)(x)
    theirs = calibrated(convolution.QuantizedConv2d, plane, x[:, :, None])(x[:, :, None])
    assert ours.shape == line(x).shape
    assert torch.equal(ours, theirs[:, :, 0])


def test_one_channel_has_vectors_along_the_window():
    layer, x = nn.Conv2d(1, 4, 3), gaussian(2, 1, 6, 6)
    quantized = calibrated(convolution.QuantizedConv2d, layer, x)
    assert quantized.rows(x).shape == (2 * 16, 1, 9)
    assert quantized.quantized_weights().codes.shape == (4, 1, 2, 8)


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_pass_straight_through(frozen):
    torch.manual_seed(1)
    layer, x = nn.Linear(20, 5), gaussian(7, 20).requires_grad_()
    quantized = calibrated(QuantizedLinear, layer, x.detach(), "2/3/4/6:R=5")
    if frozen:
        quantized.freeze()
    upstream = gaussian(7, 5, seed=2)
    quantized(x).backward(upstream)
    w = quantized.quantized_weights().dequantize()[:, 0]
    torch.testing.assert_close(x.grad, upstream @ w)
    if frozen:
        assert layer.weight.grad is None
    else:
        inputs = quantized.quantized_inputs(quantized.rows(x)).dequantize()[:, 0]
        torch.testing.assert_close(layer.weight.grad, upstream.T @ inputs)
    torch.testing.assert_close(layer.bias.grad, upstream.sum(dim=0))


@pytest.mark.parametrize(
    "text", ["4/4/4/6:R=5", "4/4U/6/10:R=4,round=half_even", "8/8/4/-:R=2", "3/8/-/5:R=3,V=5", "4/4/16/16:R=9"]
)
def test_rounded_scale_products_are_the_hardwares(text):
    torch.manual_seed(1)
    layer, x = nn.Linear(37, 9, bias=False), gaussian(12, 37).abs()
    quantized = calibrated(QuantizedLinear, layer, x, text)
    weights, inputs = quantized.quantized_weights(), quantized.quantized_inputs(quantized.rows(x))
    operands = [side.operand().map(torch.Tensor.numpy) for side in (weights, inputs)]
    config = MacConfig.parse(text)
    gammas = weights.gamma.double().reshape(1, -1) * inputs.gamma.double().reshape(-1, 1)
    want = torch.tensor(datapath.matmul(config, *operands).acc) * 2.0**config.scale_shift * gammas
    torch.testing.assert_close(quantized(x).double(), want, rtol=1e-6, atol=0)
    full = calibrated(QuantizedLinear, layer, x, text.replace("R=", "acc=24,R=").split(",R=")[0])
    assert not torch.allclose(full(x), quantized(x), rtol=1e-3)


def test_rows_of_dynamic_gamma_do_not_know_each_other():
    layer, x = nn.Linear(24, 3), gaussian(5, 24) * torch.tensor([1, 1e-3, 10, 1e4, 0])[:, None]
    quantized = calibrated(QuantizedLinear, layer, x, input_gamma="row")
    assert torch.equal(quantized(x)[1:2], quantized(x[1:2]))
    assert torch.equal(quantized(x[4:]), layer.bias.expand(1, 3))
    of_tensor = calibrated(QuantizedLinear, layer, x, input_gamma="tensor")
    assert not torch.equal(of_tensor(x)[1:2], of_tensor(x[1:2]))


def test_float_scales_are_one_for_each_vector():
    layer, x = nn.Linear(21, 4, bias=False), gaussian(6, 21)
    quantized = QuantizedLinear(layer, scheme("4/6/-/-:V=8", float_scales=True))

    def dequantized(rows, bits):
        padded = np.pad(rows.detach().numpy().astype(np.float64), [(0, 0), (0, 3)]).reshape(-1, 3, 8)
        step = np.abs(padded).max(axis=-1, keepdims=True) / (2 ** (bits - 1) - 1)
        return (np.rint(padded / step) * step).reshape(-1, 24)

    want = dequantized(x, 6) @ dequantized(layer.weight, 4).T
    np.testing.assert_allclose(quantized(x).detach().numpy(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_types_keep_the_integers(dtype):
    layer, x = nn.Linear(32, 4).to(dtype), gaussian(6, 32).to(dtype)
    quantized = calibrated(QuantizedLinear, layer, x)
    y = quantized(x)
    assert y.dtype == dtype
    quantized.freeze()
    before = quantized.weight_gamma
    assert torch.equal(quantized.float()(x.float()).to(dtype), y)
    assert torch.equal(quantized.to(dtype).weight_gamma, before)
    assert quantized.input_gamma.dtype == torch.float32


def test_the_api_of_the_float_layer_is_left():
    layer = nn.Conv2d(6, 4, 3, stride=2, padding=1)
    quantized = convolution.QuantizedConv2d(layer, scheme("4/4/4/6")).eval()
    assert isinstance(quantized, nn.Conv2d)
    assert quantized.weight is layer.weight
    assert quantized.bias is layer.bias
    assert (quantized.stride, quantized.in_channels) == (layer.stride, 6)
    assert dict(quantized.named_parameters()).keys() == {"weight", "bias"}
    assert "4/4/4/6" in repr(quantized)


def test_errors_name_the_layer():
    layer = QuantizedLinear(nn.Linear(8, 2), scheme("4/4U/4/4"), "encoder.query")
    with pytest.raises(InputError, match=r"gamma of inputs of encoder\.query.*nan.*calibrate"):
        layer(torch.ones(1, 8))
    layer.input_gamma.fill_(1)
    with pytest.raises(InputError, match=r"inputs of encoder\.query\[1, 0, 3\] = -1\.0"):
        layer(torch.tensor([[1.0] * 8, [1.0, 1.0, 1.0, -1.0] + [0.0] * 4]))
    with torch.no_grad():
        layer.weight[1, 2] = float("inf")
    with pytest.raises(InputError, match=r"encoder\.query\.weight\[1, 0, 2\] = inf"):
        layer.freeze()


def test_schemes_refuse_bad_names():
    with pytest.raises(InputError, match="input gamma 'rows': choose one of static, tensor, row"):
        scheme("4/4/4/4", input_gamma="rows")
    with pytest.raises(InputError, match="float scales: 4/4/4/4"):
        scheme("4/4/4/4", float_scales=True)
    assert scheme("4/4/-/-", float_scales=True).weights.granularity == Granularity.TOKEN


@pytest.mark.parametrize("text", ["4/4/4/6", "8/8/-/-", "4/8/6/10:R=8", "2/2/2/2:V=3"])
@pytest.mark.parametrize("frozen", [False, True])
def test_autocast_changes_neither_integers_nor_outputs(text, frozen):
    torch.manual_seed(1)
    for kind, layer, x in (
        (QuantizedLinear, nn.Linear(37, 9), gaussian(12, 37)),
        (convolution.QuantizedConv2d, nn.Conv2d(11, 6, 3, padding=1), gaussian(2, 11, 6, 5)),
        (convolution.QuantizedConv1d, nn.Conv1d(5, 4, 3), gaussian(2, 5, 9)),
    ):
        quantized = calibrated(kind, layer, x, text)
        want, codes = quantized(x), quantized.quantized_inputs(quantized.rows(x)).codes
        with torch.autocast("cpu", torch.bfloat16):
            if frozen:
                quantized.freeze()
            assert torch.equal(quantized(x), want)
            assert torch.equal(quantized.quantized_inputs(quantized.rows(x)).codes, codes)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # PyTorch's tracer does that
def test_layers_compile_as_one_graph():
    torch.manual_seed(1)
    x = gaussian(2, 12, 6, 6)
    layer = calibrated(convolution.QuantizedConv2d, nn.Conv2d(12, 4, 3), x)
    layer.freeze()
    with torch.no_grad():
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        assert torch.equal(compiled(x), layer(x))


@pytest.mark.slow
def test_compiled_layers_are_right_where_vectors_do_not_fit():
    """The compiled kernels skipped the last vector's elements, which then were what the memory held."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    subprocess.run([sys.executable, "-P", Path(__file__).with_name("compiled_layers.py"), str(seed)], check=True)


@pytest.mark.parametrize("text", ["4/4/4/6:V=8", "4/4/4/6:V=8,R=5", "3/6/-/-"])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_what_is_kept_of_frozen_weights_is_never_old(text, context):
    torch.manual_seed(1)
    x = gaussian(5, 21)
    with context():
        layer = calibrated(QuantizedLinear, nn.Linear(21, 4), x, text)
        layer.freeze()
        other = calibrated(QuantizedLinear, nn.Linear(21, 4), x, text)
        other.freeze()

    def check(changed):
        """Outputs are those of a layer that never kept anything."""
        fresh = copy.deepcopy(changed)
        fresh.load_state_dict(changed.state_dict())
        assert torch.equal(changed(x), fresh(x))

    def changes():
        yield lambda: layer.freeze(other.quantized_weights())
        yield lambda: layer.load_state_dict({**other.state_dict(), "bias": layer.bias * 2})
        yield lambda: setattr(layer, "weight_gamma", layer.weight_gamma * 3)
        yield lambda: layer.weight_codes.copy_(-layer.weight_codes)
        yield lambda: layer.double()

    with torch.no_grad():
        before = layer(x)
        if context is torch.no_grad:  # inference tensors cannot be changed later
            for change in changes():
                change()
                check(layer)
            assert not torch.equal(layer(x), before)
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d])
def test_a_map_quantized_once_is_every_window_quantized(kind):
    """Also where the layout is channels last, padding is no zeros, and the last vector is short."""
    torch.manual_seed(1)
    axes = int(kind.__name__[-2])
    modes = ["zeros"] if "Transpose" in kind.__name__ else ["zeros", "reflect", "circular"]
    for mode, channels in itertools.product(modes, (3, 16, 20, 32)):
        layer = kind(channels, 4, 3, stride=2, padding=1, padding_mode=mode)
        x = gaussian(2, channels, *[5] * axes)
        quantized = calibrated(quantized_kind(layer), layer, x)
        windows = QuantizedLayer.simulated(quantized, x)
        torch.testing.assert_close(quantized(x), windows, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            quantized(x.movedim(1, -1).contiguous().movedim(-1, 1)), windows, rtol=1e-5, atol=1e-5
        )
        assert quantized(x).stride() == layer(x).stride()
