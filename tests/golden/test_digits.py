"""The digits network: its integers against plain loops, its accuracies against what they must be."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.quantizer.core import Quantizer

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.golden.nn.integer import inference, integers
from vsq.golden.workloads import digits

CONFIG = MacConfig.parse("4/4U/4/6:R=7")


@pytest.fixture(scope="module")
def workload():
    return digits.workload()


@pytest.fixture(scope="module")
def fp32(workload):
    return workload.evaluate(workload.model()).value


@pytest.fixture(scope="module")
def layers(workload):
    """The layers in integers, with the rows that two images give them."""
    chain = workload.chain().first(2)
    model = chain.quantized(CONFIG)
    with inference(model):
        return integers(model, lambda model: model(chain.inputs), rows=None)


def evaluated(workload, text):
    """Return the accuracy in golden integers, and how many accumulators overflowed."""
    model = workload.chain().quantized(MacConfig.parse(text))
    with inference(model) as differences:
        accuracy = workload.evaluate(model).value
    return accuracy, sum(difference.overflows for difference in differences.values())


def test_training_is_reproducible_and_leaves_no_trace(workload):
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    again, data = digits.load.__wrapped__(), digits.load()
    for ours, theirs in zip(data.network.parameters(), again.network.parameters(), strict=True):
        assert ours.detach().numpy().tobytes() == theirs.detach().numpy().tobytes()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    train = {image.numpy().tobytes() for image in data.train_images}
    assert sum(image.numpy().tobytes() in train for image in data.test_images) == 0


@pytest.mark.parametrize("name", ["conv1", "conv2", "conv3", "fc"])
def test_accumulators_equal_plain_loops(layers, name):
    layer = layers[name]
    w, sw = (part.tolist() for part in layer.weights.operand())
    a, sa = (part.tolist() for part in layer.inputs.operand())
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


def test_rows_are_the_windows_of_the_previous_features(layers):
    """Each vector of conv2 is one pixel's channels of conv1's output, and zero outside of it."""
    outputs = np.maximum(layers["conv1"].outputs().astype(np.float32), 0)
    features = outputs.reshape(2, 4, 2, 4, 2, 16).max(axis=(2, 4))
    layer = layers["conv2"]
    quantizer, gamma = Quantizer.for_activations(CONFIG, scale_rounding="ceil"), layer.inputs.gamma
    codes, scales = layer.inputs.operand()
    images, height, width, channels = features.shape
    assert codes.shape == (images * height * width, 9, 16)
    for b, y, x, p in np.random.default_rng(2).integers((images, height, width, 9), size=(100, 4)).tolist():
        row, source = (b * height + y) * width + x, (y + p // 3 - 1, x + p % 3 - 1)
        pixel = np.zeros(channels, np.float32)
        if 0 <= source[0] < height and 0 <= source[1] < width:
            pixel = features[b, source[0], source[1]]
        expected = quantizer.quantize(pixel[None], gamma=gamma)
        assert codes[row, p].tolist() == expected.codes[0, 0].tolist()
        assert scales[row, p] == expected.scales[0, 0]


def test_shapes_and_vectors(layers):
    """The first layer's vectors run along the window of 9; the others' along the channels of each position."""
    shapes = {name: layer.weights.operand().codes.shape for name, layer in layers.items()}
    assert shapes == {"conv1": (16, 1, 16), "conv2": (32, 9, 16), "conv3": (32, 18, 16), "fc": (10, 8, 16)}
    assert not layers["conv1"].weights.codes[..., 9:].any()


def test_four_bits_are_as_good_as_fp32(workload, fp32):
    accuracy, overflows = evaluated(workload, "4/4U/4/6")
    assert fp32 > 0.95
    assert accuracy > fp32 - 0.02
    assert overflows == 0


@pytest.mark.parametrize(("text", "plain", "gain"), [("2/2U/4/4", "2/2U/-/-", 0.1), ("3/3U/4/4", "3/3U/-/-", 0.0)])
def test_per_vector_scales_are_worth_having(workload, text, plain, gain):
    assert evaluated(workload, text)[0] >= evaluated(workload, plain)[0] + gain


@pytest.mark.parametrize("text", ["8/8/-/-", "8/8U/-/-", "8/8U/6/-", "8/8/-/10:V=24"])
def test_eight_bits_lose_nothing(workload, fp32, text):
    accuracy, overflows = evaluated(workload, text)
    assert abs(accuracy - fp32) < 0.01
    assert overflows == 0


def test_narrow_accumulators_are_counted(workload, fp32):
    accuracy, overflows = evaluated(workload, "4/4U/4/6:acc=12")
    assert overflows > 1000
    assert accuracy < fp32
