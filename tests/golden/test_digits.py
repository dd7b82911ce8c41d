"""The digits network: its integers against plain loops, its accuracies against what they must be."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import tensors

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.golden.workloads import convnet, digits

CONFIG = MacConfig.parse("4/4U/4/6:R=7")


@pytest.fixture(scope="module")
def trained():
    return digits.load()


@pytest.fixture(scope="module")
def quantized(trained):
    return trained.quantize(CONFIG)


@pytest.mark.parametrize(("kernel", "padding", "relu", "pool"), [(3, 1, True, 2), (3, 1, False, 1), (2, 0, False, 1)])
def test_layer_equals_torch_on_integers(kernel, padding, relu, pool):
    """With small integers float32 is exact, so the two must agree in every bit."""
    rng = np.random.default_rng(3)
    features = rng.integers(-9, 10, (2, 4, 4, 5)).astype(np.float32)
    weights = rng.integers(-9, 10, (7, 5, kernel, kernel)).astype(np.float32)
    bias = rng.integers(-9, 10, 7).astype(np.float32)
    layer = convnet.ConvLayer(
        name="layer",
        weights=weights.transpose(0, 2, 3, 1).reshape(7, kernel**2, 5),
        bias=bias,
        kernel=kernel,
        padding=padding,
        relu=relu,
        pool=pool,
    )
    expected = torch.nn.functional.conv2d(
        torch.tensor(features).permute(0, 3, 1, 2), torch.tensor(weights), torch.tensor(bias), padding=padding
    )
    expected = torch.nn.functional.max_pool2d(expected.relu() if relu else expected, pool)
    np.testing.assert_array_equal(layer.forward(features), expected.permute(0, 2, 3, 1).numpy())


def test_training_is_reproducible_and_leaves_no_trace(trained):
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    again = digits.load.__wrapped__()
    for ours, theirs in zip(trained.layers, again.layers, strict=True):
        assert ours.weights.tobytes() == theirs.weights.tobytes()
        assert ours.bias.tobytes() == theirs.bias.tobytes()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    train = {image.tobytes() for image in trained.train_images}
    assert sum(image.tobytes() in train for image in trained.test_images) == 0


@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", "fc"])
def test_accumulators_equal_plain_loops(quantized, name):
    layer = quantized.layer(name, images=2)
    w, sw = (part.tolist() for part in layer.weights.operand())
    a, sa = (part.tolist() for part in layer.activations.operand())
    shift = CONFIG.scale_shift
    rng = np.random.default_rng(1)
    nonzero = 0
    for m, n in zip(rng.integers(len(a), size=60).tolist(), rng.integers(len(w), size=60).tolist(), strict=True):
        acc = 0
        for g in range(len(w[n])):
            d = sum(x * y for x, y in zip(w[n][g], a[m][g], strict=True))
            r = min(2**CONFIG.scale_product_bits - 1, (sw[n][g] * sa[m][g] + 2 ** (shift - 1)) >> shift)
            acc += d * r
        assert layer.result.acc[m, n] == acc
        nonzero += acc != 0
    assert nonzero > 20
    assert not layer.result.overflow.any()


def test_rows_are_the_windows_of_the_previous_features(quantized):
    """Each vector of conv2 is one pixel's channels of conv1's output, and zero outside of it."""
    features = quantized.layer("conv1", images=3).features
    layer = quantized.layer("conv2", images=3)
    quantizer, gamma = layer.activations.quantizer, layer.activations.gamma
    codes, scales = layer.activations.operand()
    images, height, width, channels = features.shape
    assert codes.shape == (images * height * width, 9, 16)
    assert channels == 16
    for b, y, x, p in np.random.default_rng(2).integers((images, height, width, 9), size=(100, 4)).tolist():
        row, source = (b * height + y) * width + x, (y + p // 3 - 1, x + p % 3 - 1)
        pixel = np.zeros(channels, np.float32)
        if 0 <= source[0] < height and 0 <= source[1] < width:
            pixel = features[b, source[0], source[1]]
        expected = quantizer.quantize(pixel[None], gamma=gamma)
        assert codes[row, p].tolist() == expected.codes[0, 0].tolist()
        assert scales[row, p] == expected.scales[0, 0]


def test_shapes_and_vectors(quantized):
    """The first layer's vectors run along the window of 9; the others' along the channels of each position."""
    assert quantized.names == ["conv1", "conv2", "conv3", "fc"]
    shapes = {name: quantized.layer(name, images=2).weights.operand()[0].shape for name in quantized.names}
    assert shapes == {"conv1": (16, 1, 16), "conv2": (32, 9, 16), "conv3": (32, 18, 16), "fc": (10, 8, 16)}
    assert not quantized.layer("conv1").weights.codes[..., 9:].any()


def test_four_bits_are_as_good_as_fp32(trained):
    report = trained.report(MacConfig.parse("4/4U/4/6"))
    assert report.fp32 == trained.fp32_accuracy
    assert report.fp32 > 0.95
    assert report.quantized > report.fp32 - 0.02
    assert report.overflows == 0


@pytest.mark.parametrize(("text", "gain"), [("2/2U/4/4", 0.1), ("3/3U/4/4", 0.0)])
def test_per_vector_scales_are_worth_having(trained, text, gain):
    report = trained.report(MacConfig.parse(text))
    assert report.quantized >= report.per_channel + gain


@pytest.mark.parametrize("text", ["8/8/-/-", "8/8U/-/-", "8/8U/6/-", "8/8/-/10:V=24"])
def test_eight_bits_lose_nothing(trained, text):
    accuracy, overflows = trained.quantize(MacConfig.parse(text)).evaluate()
    assert abs(accuracy - trained.fp32_accuracy) < 0.01
    assert overflows == 0


def test_narrow_accumulators_are_counted(trained):
    accuracy, overflows = trained.quantize(MacConfig.parse("4/4U/4/6:acc=12")).evaluate()
    assert overflows > 1000
    assert accuracy < trained.fp32_accuracy


def test_layers_can_be_exported(quantized, tmp_path):
    layer = quantized.layer("conv3")
    path = tmp_path / "conv3.npz"
    tensors.save(path, CONFIG, {"weights": layer.weights, "activations": layer.activations})
    read = tensors.load(path).tensors["activations"]
    np.testing.assert_array_equal(read.codes, layer.activations.codes)


@pytest.mark.parametrize("images", [0, 361])
def test_image_counts_are_checked(quantized, images):
    with pytest.raises(InputError, match="choose 1 to 360"):
        quantized.layer("fc", images=images)


def test_unknown_layer_lists_near_names(quantized):
    with pytest.raises(InputError, match=r"'con2'.*conv2"):
        quantized.layer("con2")
    with pytest.raises(InputError, match="conv1 or conv2 or conv3 or fc"):
        quantized.layer("xyz")
