"""Matrix products with rounded scale products: the datapath's integers, in every tile and type."""

import secrets

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig, Rounding, round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.model import datapath
from vsq.golden.model.datapath import BlockOperand

torch = pytest.importorskip("torch")

from vsq.golden.kernels import products as kernel
from vsq.golden.nn.layers import rounding

ELEMENTS = ("2", "4", "4U", "8", "8U", "e2m1", "12")
SCALES = ("-", "1", "3", "6", "10", "14", "ue4m3")


def drawn(rng):
    """Return a random configuration whose scale products are rounded, with any bits that have a product left."""
    while True:
        parts = [str(rng.choice(kinds)) for kinds in (ELEMENTS, ELEMENTS, SCALES, SCALES)]
        bits, size = int(rng.integers(1, 20)), int(rng.choice([1, 3, 16]))
        mode = str(rng.choice(list(Rounding)))
        try:
            config = MacConfig.parse(f"{'/'.join(parts)}:V={size},R={bits},round={mode}")
        except InputError:
            continue
        if config.scale_shift:
            return config


def operand(rng, element, scale, rows, vectors, size):
    """Return random codes and scales; some scales are 0, some the largest, and so are some vectors of codes."""
    codes, scales = element.sample(rng, (rows, vectors, size)), None
    codes[rng.random((rows, vectors)) < 0.2] = rng.choice([element.min, element.max])
    if scale is not None:
        scales = scale.sample(rng, (rows, vectors))
        scales[rng.random(scales.shape) < 0.2] = 0
        scales[rng.random(scales.shape) < 0.3] = scale.max
    return BlockOperand(codes, scales)


@pytest.fixture(params=["kernel", "tiles"])
def way(request, monkeypatch):
    """Both ways to the same integers; the kernel takes few columns too."""
    if request.param == "kernel":
        if not kernel.available():
            pytest.skip("no C++ compiler")
        monkeypatch.setattr(rounding, "_FEW", 1)
    else:
        monkeypatch.setattr(kernel, "available", lambda: False)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("point", range(60))
def test_the_sums_are_the_datapaths(point, monkeypatch):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    config = drawn(rng)
    print(config)
    groups, columns, rows, vectors = (int(rng.integers(1, high)) for high in (4, rng.choice([9, 80]), 20, 15))
    monkeypatch.setattr(rounding, "_TILE", int(rng.choice([1, 40, 1 << 17])))
    size = config.vector_size
    weights = operand(rng, config.weight, config.weight_scale, groups * columns, vectors, size)
    inputs = operand(rng, config.activation, config.activation_scale, rows * groups, vectors, size)
    products = rounding.RoundedProducts(config)
    acc = products(products.arranged(weights.map(torch.from_numpy), groups), inputs.map(torch.from_numpy))
    for group in range(groups):
        here = slice(group * columns, (group + 1) * columns)
        of_group = weights.map(lambda values, here=here: values[here])
        want = datapath.matmul(config, of_group, inputs.map(lambda values, group=group: values[group::groups])).acc
        np.testing.assert_array_equal(acc[:, here].numpy(), want.astype(np.float64))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("text", "codes", "kind"),
    [
        ("4/8/8/8:R=7", (1, 1), torch.float32),
        ("4/8/8/8:R=7", (7, 127), torch.float32),
        ("8/8/8/8:R=9", (127, 127), torch.float64),
    ],
)
def test_float32_sums_no_more_than_it_holds(text, codes, kind):
    """Nor does it where sums of all vectors are beyond its integers, but not those of few; or even those of one."""
    config = MacConfig.parse(text)
    sides = [BlockOperand(torch.full((2, 41, 16), code), torch.full((2, 41), 255)) for code in codes]
    products = rounding.RoundedProducts(config)
    assert products.kind == kind
    want = datapath.matmul(config, *(side.map(torch.Tensor.numpy) for side in sides)).acc
    assert (want > 1 << 24).all() == (codes != (1, 1))
    np.testing.assert_array_equal(products(products.arranged(sides[0]), sides[1]).numpy(), want)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("mode", Rounding)
@pytest.mark.parametrize(("scales", "bits"), [("6/10", 8), ("6/10", 1), ("10/10", 12), ("10/11", 19), ("-/14", 9)])
def test_every_scale_product_is_rounded(scales, bits, mode):
    """In float32 up to 20 bits, above in float64."""
    config = MacConfig.parse(f"2/2/{scales}:V=1,R={bits},round={mode}")
    sides = []
    for scale in config.scales:
        values = None if scale is None else torch.arange(scale.max + 1)[:, None]
        sides.append(BlockOperand(torch.ones(1 if scale is None else len(values), 1, 1), values))
    products = rounding.RoundedProducts(config)
    weights, inputs = (torch.ones(1, dtype=torch.int64) if one.scales is None else one.scales[:, 0] for one in sides)
    want = round_shift(weights * inputs[:, None], config.scale_shift, config.rounding).clamp(max=2**bits - 1)
    assert torch.equal(products(products.arranged(sides[0]), sides[1]).long(), want)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("text", ["4/8/6/10:R=8", "8/8/4/-:R=2,round=half_even", "16/16/12/12:R=9,round=truncate"])
def test_a_compiled_graph_gives_the_same(text):
    config, rng = MacConfig.parse(text), np.random.default_rng(5)
    weights = operand(rng, config.weight, config.weight_scale, 6, 7, 16).map(torch.from_numpy)
    inputs = operand(rng, config.activation, config.activation_scale, 5, 7, 16).map(torch.from_numpy)

    products = rounding.RoundedProducts(config)

    def sums(codes):
        return products(products.arranged(weights), BlockOperand(codes, inputs.scales))

    torch.compiler.reset()
    compiled = torch.compile(sums, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(inputs.codes), sums(inputs.codes))
