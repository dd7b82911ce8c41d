"""Products of two activations: those of integers, and in attention."""

import copy
import io
import secrets

import numpy as np
import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model import datapath
from vsq.golden.quantizer.core import Quantizer, ScaleRounding

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.integer import inference
from vsq.golden.nn.layers.product import Product, QuantizedProduct
from vsq.golden.nn.quantize import prepare, quantize
from vsq.golden.quantizer.scheme import Scheme


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Attended(nn.Module):
    """A product of activations between layers."""

    def __init__(self):
        super().__init__()
        self.first, self.product, self.last = nn.Linear(19, 19), Product(), nn.Linear(5, 4)

    def forward(self, x):
        y = self.first(x)
        return self.last(self.product(y, x.transpose(-2, -1)))


@pytest.mark.parametrize("text", ["4/4/4/6:V=5", "4/4/4/6:R=6", "8/8/-/-", "4/8/6/10:R=8"])
@pytest.mark.parametrize("gamma", ["static", "tensor", "row"])
def test_outputs_are_the_datapaths(text, gamma):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    m, k, n = (int(size) for size in rng.integers(2, 30, 3))
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 3, m, k), (3, k, n)))
    config = MacConfig.parse(text)
    product = QuantizedProduct(Product(), Scheme(config=config, input_gamma=gamma), "product")
    for side in ("left", "right"):
        getattr(product, f"{side}_gamma").fill_(2**-5)
    given = {"gamma": np.float32(2**-5)} if gamma == "static" else {}
    how = {"scale_rounding": ScaleRounding.CEIL, "granularity": "channel" if gamma == "row" else "tensor"}
    left = Quantizer.for_activations(config, **how).quantize(a.reshape(6 * m, 1, k), **given)
    columns = np.broadcast_to(b.swapaxes(1, 2), (2, 3, n, k)).reshape(6 * n, 1, k)
    right = Quantizer.for_weights(config, **how).quantize(columns, **given)
    acc = datapath.matmul(config, right.operand(), left.operand()).acc.reshape(6, m, 6, n)
    acc = np.stack([acc[i, :, i] for i in range(6)])
    gammas = [np.broadcast_to(side.gamma.astype(np.float64).ravel(), 6 * size).reshape(6, size)
              for side, size in ((left, m), (right, n))]  # fmt: skip
    want = acc * 2.0**config.scale_shift * gammas[0][:, :, None] * gammas[1][:, None]
    got = product(torch.tensor(a), torch.tensor(b)).numpy().reshape(6, m, n)
    if gamma == "static":  # powers of two: float32 is exact
        np.testing.assert_array_equal(got, want)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-5 * np.abs(want).max())
    empty = product(torch.zeros(0, m, k, requires_grad=True), torch.zeros(0, k, n))
    assert empty.shape == (0, m, n)
    assert empty.requires_grad


def test_products_are_quantized_if_asked_for():
    model, x = Attended().eval(), torch.randn(3, 5, 19)
    console = Console(file=io.StringIO(), width=150)
    plain = quantize(model, "8/8/8/8", lambda model: model(x))
    assert type(plain.product) is Product
    quantized = quantize(model, "8/8/8/8", lambda model: model(x), products="8/8/8/8", console=console)
    assert isinstance(quantized.product, QuantizedProduct)
    assert console.file.getvalue().rstrip().endswith(f"of two activations: {3 * 5 * 5 * 19:,}, 100.00% quantized")
    torch.testing.assert_close(quantized(x), model(x), rtol=0.1, atol=0.1)
    assert not torch.equal(quantized(x), plain(x))
    other = prepare(Attended(), "8/8/8/8", products="8/8/8/8").eval()
    other.load_state_dict(quantized.state_dict())
    assert torch.equal(other(x), quantized(x))
    wrong = prepare(Attended(), "8/8/8/8", products="4/8/8/8").eval()
    with pytest.raises(
        InputError, match=r"^layer 'product': its configuration in the state, 8/8/8/8, and in the model"
    ):
        wrong.load_state_dict(quantized.state_dict())
    gammas = quantized.product.left_gamma.clone(), quantized.product.right_gamma.clone()
    half = copy.deepcopy(quantized).bfloat16().product
    assert (half.left_gamma, half.right_gamma) == gammas  # float32 still
    x.requires_grad_()
    quantized(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_attention_has_products():
    model, x = nn.MultiheadAttention(16, 2, batch_first=True).eval(), torch.randn(3, 7, 16)

    def loop(model):
        return model(x, x, x, need_weights=False)

    quantized = quantize(model, "8/8/8/8", loop, products="8/8/8/8")
    assert {name for name, part in quantized.named_modules() if isinstance(part, QuantizedProduct)} == {
        "scores",
        "values",
    }
    assert not torch.equal(loop(quantized)[0], loop(quantize(model, "8/8/8/8", loop))[0])
    torch.testing.assert_close(loop(quantized)[0], loop(model)[0], rtol=0.1, atol=0.02)
    alone = quantize(model, "8/8/8/8", loop, skip="*", products="8/8/8/8")
    assert not torch.equal(loop(alone)[0], loop(model)[0])


@pytest.mark.parametrize("gamma", ["static", "tensor", "row"])
@pytest.mark.parametrize("text", ["8/8/6/6", "4/4/4/6:R=6"])
def test_products_run_in_integers(text, gamma, seeded_without_gradients):
    model, x = nn.MultiheadAttention(24, 2, batch_first=True).eval(), torch.randn(3, 7, 24)

    def loop(model):
        return model(x, x, x, need_weights=False)[0]

    quantized = quantize(model, "8/8/8/8", loop, products=Scheme(config=text, input_gamma=gamma))
    with inference(quantized) as differences:
        y = loop(quantized)
    assert differences.keys() == {"q_proj", "k_proj", "v_proj", "scores", "values", "out_proj"}
    assert differences["scores"].outputs == 3 * 2 * 7 * 7
    assert all(0 < one.share <= 1 and not one.overflows for one in differences.values())
    torch.testing.assert_close(y, loop(quantized), rtol=0.05, atol=0.02)


def test_what_cannot_be_multiplied():
    with pytest.raises(InputError, match=r"^products 8/8/8/8: the model has no attention that"):
        quantize(nn.Linear(4, 4), "8/8/8/8", lambda model: model(torch.randn(2, 4)), products="8/8/8/8")
    dynamic = Scheme(config="8/8/8/8", input_gamma="row")
    with pytest.raises(InputError, match=r"^layer 'product': its static gamma needs calibration"):
        quantize(Attended(), dynamic, products="8/8/8/8")
    with pytest.raises(InputError, match=r"^product 'product': float scales"):
        quantize(Attended(), dynamic, products=Scheme(config="8/8/-/-", float_scales=True))
