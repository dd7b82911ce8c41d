"""PyTorch's integers equal NumPy's, code for code."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Granularity

torch = pytest.importorskip("torch")

from vsq.golden.quantizer import pytorch

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@st.composite
def quantizers(draw):
    bits = draw(st.sampled_from([None, 1, 4, 6, 16]))
    return Quantizer(
        element=draw(st.sampled_from(["2", "3", "4", "6", "8", "16", "e2m1"]).map(element_format)),
        scale=None if bits is None else IntFormat(bits=bits, signed=False),
        vector_size=draw(st.sampled_from([1, 2, 3, 16])),
        granularity=draw(st.sampled_from(Granularity)),
        order=draw(st.sampled_from(Order)),
        scale_rounding=draw(st.sampled_from(ScaleRounding)),
    )


def assert_equal(ours, theirs):
    theirs = pytorch.to_numpy(theirs)
    for name in ("codes", "scales", "gamma"):
        left, right = getattr(ours, name), getattr(theirs, name)
        assert (left is None) == (right is None)
        if left is not None:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right, err_msg=name)
    assert ours.dequantize().tobytes() == theirs.dequantize().tobytes()


@pytest.mark.parametrize("device", DEVICES)
@given(
    quantizer=quantizers(),
    x=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=20),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
)
@settings(max_examples=100, deadline=None)
def test_arbitrary_floats(device, quantizer, x):
    expected = quantizer.quantize(x)
    tensor = torch.tensor(x, device=device)
    assert_equal(expected, pytorch.quantize(quantizer, tensor))
    assert_equal(expected, pytorch.quantize(quantizer, tensor, gamma=quantizer.gamma(x)))
    np.testing.assert_array_equal(quantizer.gamma(x), pytorch.gamma(quantizer, tensor).numpy(force=True))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("magnitude", [1e-42, 1e-38, 1e-30, 1.0, 1e30])
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("config", ["4/4/4/4", "3/3/8/8:V=24", "8/8/-/-"])
def test_many_gaussian_values(device, magnitude, order, config):
    x = np.random.default_rng(7).standard_normal((60, 1000)) * magnitude
    x[::7, :40] = 0.0  # whole vectors of zeros
    quantizer = Quantizer.for_weights(MacConfig.parse(config), order=order)
    result = quantizer.quantize(x)
    assert result.codes.any()
    assert_equal(result, pytorch.quantize(quantizer, torch.tensor(x, device=device)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_are_taken_as_float32(dtype):
    x = torch.linspace(-3, 5, 96).reshape(4, 24).to(getattr(torch, dtype))
    quantizer = Quantizer.for_weights(MacConfig.parse("4/4/4/6"))
    assert_equal(quantizer.quantize(x.double().numpy()), pytorch.quantize(quantizer, x))


def test_layout_and_gradient_do_not_matter():
    x = torch.randn(24, 3, 40, generator=torch.Generator().manual_seed(1), requires_grad=True)
    view = x.permute(1, 2, 0)[:, ::2]
    quantizer = Quantizer.for_weights(MacConfig.parse("4/4/4/6"))
    result = pytorch.quantize(quantizer, view)
    assert_equal(quantizer.quantize(view.detach().numpy()), result)
    assert not result.gamma.requires_grad


def test_errors_name_the_tensor():
    with pytest.raises(InputError, match=r"^layer\.weight\[1, 0\] = nan"):
        pytorch.quantize(
            Quantizer.for_weights(MacConfig.parse("4/4/4/6")),
            torch.tensor([[1.0], [float("nan")]]),
            name="layer.weight",
        )


EXTREMES = [
    0.0,
    1e-42,  # denormal
    -1e-38,
    1e-30,
    -1e-30,
    6e-8,  # float16's least denormal
    -0.75,
    1.0,
    1e30,
    -1e30,
]


def extreme(dtype, seed=3):
    """Return rows in which every pair of extreme magnitudes meets in a vector, with zero vectors and a tail."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(EXTREMES, (40, 53)) * rng.uniform(0.5, 2, (40, 53))
    rows[::5, 16:32] = 0.0
    limit = torch.finfo(dtype).max
    return torch.tensor(rows).clamp(-limit, limit).to(dtype)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("granularity", Granularity)
@pytest.mark.parametrize("config", ["4/4/4/4", "2/2/6/6:V=3", "8/8/-/-:V=256", "e2m1/e2m1/4/6"])
def test_extremes_in_every_dtype(device, dtype, granularity, config):
    x = extreme(dtype)
    for rounding in ScaleRounding:
        quantizer = Quantizer.for_weights(MacConfig.parse(config), granularity=granularity, scale_rounding=rounding)
        expected = quantizer.quantize(x.float().numpy())
        assert expected.codes.any()
        assert_equal(expected, pytorch.quantize(quantizer, x.to(device)))


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("config", ["4/4/4/6", "3/3/-/-:V=5", "e2m1/e2m1/4/6"])
def test_the_compiled_graph_gives_the_eager_integers(config, order):
    quantizer = Quantizer.for_weights(MacConfig.parse(config), order=order)

    def integers(x):
        result = pytorch.quantize(quantizer, x)
        return result.codes, result.scales, result.gamma, result.dequantize()

    torch.compiler.reset()  # or the graphs of other configurations count as recompilations
    compiled = torch.compile(integers, backend="aot_eager", fullgraph=True)
    for x in (extreme(torch.float32), torch.randn(8, 64, generator=torch.Generator().manual_seed(2))):
        for ours, theirs in zip(integers(x), compiled(x), strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)
