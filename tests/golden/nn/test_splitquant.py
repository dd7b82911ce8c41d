"""Clusters against brute force and scikit-learn; split layers against the layers that they came from."""

import itertools

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.layers.registry import fresh_layer
from vsq.golden.nn.planes import splitquant
from vsq.golden.nn.planes.splitquant import boundaries
from vsq.golden.quantizer.scheme import Scheme, WeightScales


def gaussian(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=torch.float32)


def cost(values, cut):
    """Return the squared distances to the centres of the clusters that ``cut`` makes."""
    index = np.searchsorted(cut, values, side="left")
    return sum(np.square(part - part.mean()).sum() for k in range(3) if len(part := values[index == k]))


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_the_best_of_all(seed):
    values = np.random.default_rng(seed).integers(-30, 31, 25) ** 3 / 64
    distinct = np.unique(values)
    least = min(
        cost(values, ((distinct[i - 1] + distinct[i]) / 2, (distinct[j - 1] + distinct[j]) / 2))
        for i, j in itertools.combinations(range(1, len(distinct)), 2)
    )
    assert cost(values, boundaries(torch.tensor(values)).numpy()) == pytest.approx(least, rel=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "outliers", "many zeros"])
def test_clusters_of_many_values_are_as_good_as_scikit_learns(kind):
    cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(1)
    values = rng.standard_normal(5000)
    if kind == "outliers":
        values[:7] *= 30
    elif kind == "many zeros":
        values[:4900] = 0
    theirs = cluster.KMeans(3, n_init=10, random_state=0).fit(values[:, None])
    assert cost(values, boundaries(torch.tensor(values)).numpy()) <= theirs.inertia_ * (1 + 1e-6)


def test_boundaries_are_midpoints_of_the_centres():
    values = gaussian(3000)
    low, high = boundaries(values)
    doubles = values.double()
    centres = [doubles[where].mean() for where in (doubles <= low, (doubles > low) & (doubles <= high), doubles > high)]
    assert low == pytest.approx((centres[0] + centres[1]).item() / 2)
    assert high == pytest.approx((centres[1] + centres[2]).item() / 2)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0], [-2.0, 5.0], [-2.0, 5.0, -2.0], [1.0, 2.0, 3.0]])
def test_up_to_three_distinct_values_have_clusters_of_their_own(values):
    low, high = boundaries(torch.tensor(values)).tolist()
    clusters = {value: (value > low) + (value > high) for value in values}
    assert len(set(clusters.values())) == len(set(values))


@pytest.mark.parametrize("per_kernel", [False, True])
def test_planes_sum_up_exactly_and_share_nothing(per_kernel):
    x = gaussian(6, 5, 3, 3)
    planes = splitquant.split(x, per_kernel=per_kernel)
    assert torch.equal(planes[0] + planes[1] + planes[2], x)
    assert (sum((plane != 0).int() for plane in planes) == (x != 0)).all()
    for kernels in zip(*planes, strict=True) if per_kernel else [planes]:
        lower, middle, upper = (plane[plane != 0] for plane in kernels)
        assert lower.max() < middle.min()
        assert middle.max() < upper.min()


LAYERS = {
    "linear": (lambda: nn.Linear(20, 7), (3, 20)),
    "linear without bias": (lambda: nn.Linear(20, 7, bias=False), (3, 20)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, padding=1), (2, 4, 9)),
    "conv2d": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (2, 4, 9, 9)),
    "grouped conv2d": (
        lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding_mode="reflect", padding=1),
        (2, 4, 9, 9),
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("zero_bias", [False, True])
def test_a_split_layer_computes_the_same(kind, zero_bias):
    """With a zero bias too, which must not keep the layer from being split."""
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer = make()
    if zero_bias and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    x = gaussian(*shape)
    parted = splitquant.split_layer(layer)
    assert torch.allclose(parted(x), layer(x), atol=1e-5)
    parts = [parted.lower, parted.middle, parted.upper]
    assert all(part.weight.shape == layer.weight.shape and part.weight.any() for part in parts)
    assert torch.equal(sum(part.weight for part in parts), layer.weight)
    if layer.bias is not None:
        assert torch.equal(sum(part.bias for part in parts), layer.bias)


def test_convolutions_are_clustered_by_kernel():
    """A kernel of large weights beside one of small ones: both are split."""
    layer = nn.Conv2d(3, 2, 3)
    layer.weight.data = gaussian(2, 3, 3, 3) * torch.tensor([1.0, 100.0]).reshape(2, 1, 1, 1)
    parted = splitquant.split_layer(layer)
    assert all(part.weight[kernel].any() for part in (parted.lower, parted.middle, parted.upper) for kernel in (0, 1))


def test_a_whole_model_is_split_once():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(9, 4), nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 5), nn.ReLU()), nn.Linear(5, 2)
    )
    tokens = torch.tensor([[1, 2, 8]])
    before = model(tokens)
    twice = splitquant.split_model(splitquant.split_model(model))
    names = [name for name, module in twice.named_modules() if isinstance(module, nn.Linear)]
    assert names == [f"{layer}.{plane}" for layer in ("2.0", "3") for plane in splitquant.PLANES]
    assert torch.allclose(twice(tokens), before, atol=1e-6)


def test_a_shared_layer_stays_shared():
    layer = nn.Linear(4, 4)
    model = splitquant.split_model(nn.Sequential(layer, nn.ReLU(), nn.Sequential(layer)))
    assert isinstance(model[0], splitquant.SplitLayer)
    assert model[2][0] is model[0]


def quantized(plane, text, scales):
    """Return a plane's sign and integers, as the weight of a quantized Linear."""
    linear = nn.Linear(*plane.shape[::-1], bias=False)
    linear.weight = nn.Parameter(plane)
    scheme = Scheme(config=MacConfig.parse(text), weight_scales=scales)
    layer = fresh_layer(linear, scheme, sign=splitquant.plane_sign(plane))
    return layer.sign, layer.quantized_weights()


@pytest.mark.parametrize("scales", WeightScales)
@pytest.mark.parametrize("text", ["2/8/-/-", "2/8/4/-"])
def test_int2_error_falls_at_least_fivefold(text, scales):
    """A Gaussian 128x128, split against unsplit, both with the same choice of scales."""
    x = gaussian(128, 128)
    _, whole = quantized(x, text, scales)
    unsplit = (x - whole.dequantize()[:, 0]).square().mean()
    signs, planes = zip(*(quantized(plane, text, scales) for plane in splitquant.split(x)), strict=True)
    total = sum(sign * plane.dequantize()[:, 0] for sign, plane in zip(signs, planes, strict=True))
    assert (x - total).square().mean() < unsplit / 5
    assert signs == (-1, 1, 1)
    assert [str(plane.format.element) for plane in planes] == ["2U", "2", "2U"]
    assert all(plane.codes.min() >= 0 for plane in (planes[0], planes[2]))


@pytest.mark.parametrize("scales", WeightScales)
def test_masked_zeros_stay_exactly_zero(scales):
    for plane in splitquant.split(gaussian(32, 40)):
        _, integers = quantized(plane, "2/8/4/-", scales)
        assert not integers.dequantize()[:, 0][plane == 0].any()


def test_a_plane_of_zeros_is_quantized():
    _, integers = quantized(torch.zeros(2, 16), "2/8/-/-", WeightScales.MAX)
    assert not integers.dequantize().any()
