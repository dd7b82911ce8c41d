"""PyTorch's integers equal NumPy's, code for code."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import element_format
from vsq.golden.formats.scales import scale_format
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding, ScaleRule
from vsq.golden.quantizer.second_level import has_fixed_gamma
from vsq.golden.quantizer.tensor import Granularity

torch = pytest.importorskip("torch")

from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.passes import Passes

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@st.composite
def quantizers(draw):
    element = draw(st.sampled_from(["2", "3", "4", "6", "8", "16", "e2m1"]))
    scale = draw(st.sampled_from(["-", "1", "4", "6", "16", "ue4m3", "e8m0"]).map(scale_format))
    floats = str(scale) == "ue4m3"
    return Quantizer(
        element=element_format(element),
        scale=scale,
        vector_size=draw(st.sampled_from([1, 2, 3, 16])),
        granularity=draw(st.sampled_from(Granularity)),
        order=draw(st.sampled_from([Order.REQUANTIZED] if str(scale) == "e8m0" else [*Order])),
        scale_rounding=draw(st.sampled_from([one for one in ScaleRounding if not floats or one != ScaleRounding.CEIL])),
        scale_rule=draw(st.sampled_from(ScaleRule)),
        four_over_six=floats and element == "e2m1" and draw(st.booleans()),
        dual_precision=floats and element in ("2", "3", "4") and draw(st.booleans()),
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
    if not has_fixed_gamma(quantizer.scale):
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


@pytest.mark.parametrize(
    ("config", "options"),
    [
        *((config, {"order": order}) for order in Order for config in ("4/4/4/6", "3/3/-/-:V=5", "e2m1/e2m1/4/6")),
        ("e2m1/e2m1/ue4m3/ue4m3", {"four_over_six": True}),
        ("e2m1/e2m1/e8m0/e8m0:V=32", {"scale_rule": "ceil"}),
    ],
)
def test_the_compiled_graph_gives_the_eager_integers(config, options):
    quantizer = Quantizer.for_weights(MacConfig.parse(config), **options)

    def integers(x):
        result = pytorch.quantize(quantizer, x)
        return result.codes, result.scales, result.gamma, result.dequantize(), pytorch.dequantized(quantizer, x)

    torch.compiler.reset()  # or the graphs of other configurations count as recompilations
    compiled = torch.compile(integers, backend="aot_eager", fullgraph=True)
    for x in (extreme(torch.float32), torch.randn(8, 64, generator=torch.Generator().manual_seed(2))):
        for ours, theirs in zip(integers(x), compiled(x), strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@given(
    quantizer=quantizers(),
    x=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=20),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    block=st.sampled_from([1, 7, 100, None]),
    given_gamma=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_blocks_and_values_without_integers_change_nothing(quantizer, x, block, given_gamma):
    at_once = Passes(np, None)
    gamma = (
        quantizer.gamma(x, passes=at_once) * np.float32(0.7)
        if given_gamma and not has_fixed_gamma(quantizer.scale)
        else None
    )
    whole = quantizer.quantize(x, gamma=gamma, passes=at_once)
    for array, xp in ((x, np), (torch.tensor(x), torch), (torch.tensor(x).mT.contiguous().mT, torch)):
        passes = Passes(xp, block)
        parts = quantizer.quantize(array, gamma=gamma, passes=passes)
        assert_equal(whole, parts if xp is torch else parts.convert(torch.tensor, torch))
        np.testing.assert_array_equal(quantizer.gamma(array, passes=passes), quantizer.gamma(x, passes=at_once))
        values = quantizer.dequantized(array, gamma=gamma, passes=passes)
        np.testing.assert_array_equal(values, whole.dequantize())
    np.testing.assert_array_equal(pytorch.dequantized(quantizer, torch.tensor(x), gamma=gamma), whole.dequantize())


def test_values_have_the_layout_of_the_tensor():
    maps = torch.randn(3, 32, 5, 7, generator=torch.Generator().manual_seed(1)).movedim(1, -1)
    for block in (1, None):
        quantizer = Quantizer.for_activations(MacConfig.parse("4/4/4/6"))
        assert quantizer.dequantized(maps, passes=Passes(torch, block)).stride() == maps.stride()
